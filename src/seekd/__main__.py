"""`python -m seekd` is the `seekd` program."""

from seekd.cli.main import main

main()
