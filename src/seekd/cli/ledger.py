"""`seekd ledger`: proves that no balance was ever changed behind the books' back.

Room: cli.
"""

from __future__ import annotations

import typer

from seekd.accounts.verify import verify_ledger
from seekd.cli.books import ConfigOption, DataDirOption, JsonOption, open_books_connection, print_json

app = typer.Typer(help="The ledger: every movement of money, append-only.", no_args_is_help=True)


@app.callback()
def ledger() -> None:
    """The ledger: every movement of money, append-only."""


@app.command()
def verify(
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Replay the ledger and compare it with every balance; status 1 when they differ."""
    with open_books_connection(data_dir, config) as connection:
        found = verify_ledger(connection)
    if as_json:
        print_json(
            {
                "is_valid": not found.problems,
                "balances": found.num_pools,
                "rows": found.num_rows,
                "problems": list(found.problems),
            }
        )
    elif found.problems:
        for problem in found.problems:
            typer.echo(problem)
    else:
        typer.echo(f"{found.num_rows} ledger rows replay to {found.num_pools} balances")
    if found.problems:
        raise typer.Exit(1)
