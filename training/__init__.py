"""How the bundled demonstration model is made; not part of the installed package."""
