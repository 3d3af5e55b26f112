"""`seekd ledger`: proves that no balance was ever changed behind the books' back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from seekd.accounts.migrate import schema_version
from seekd.accounts.store import refused_settlements
from seekd.accounts.types import format_exact
from seekd.accounts.verify import verify_ledger
from seekd.cli.books import ConfigOption, DataDirOption, JsonOption, open_books_connection, print_json
from seekd.cli.options import HelpfulGroup, load_settings

app = typer.Typer(help="The ledger: every movement of money, append-only.", cls=HelpfulGroup)


@app.callback()
def ledger() -> None:
    """The ledger: every movement of money, append-only."""


@app.command()
def verify(
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Replay the ledger and compare it with every balance; status 1 when they differ, or a charge was refused."""
    with open_books_connection(data_dir, config) as connection:
        found = verify_ledger(connection)
    problems = [*found.problems, *_refused(data_dir, config)]
    if as_json:
        print_json(
            {
                "is_valid": not problems,
                "balances": found.num_pools,
                "rows": found.num_rows,
                "problems": problems,
            }
        )
    elif problems:
        for problem in problems:
            typer.echo(problem)
    else:
        typer.echo(f"{found.num_rows} ledger rows replay to {found.num_pools} balances")
    if problems:
        raise typer.Exit(1)


@app.command()
def migrate(as_json: JsonOption = False, data_dir: DataDirOption = None, config: ConfigOption = None) -> None:
    """Make the books, or bring them to this version; a server does it at its start."""
    with open_books_connection(data_dir, config, makes_new=True) as connection:
        version = schema_version(connection)
    if as_json:
        print_json({"version": version})
    else:
        typer.echo(f"the books have version {version}")


def _refused(data_dir: Path | None, config: Path | None) -> Iterator[str]:
    refused = refused_settlements(load_settings(config, server__data_dir=data_dir).settings.server.data_dir)
    for refusal in refused.read():
        reservation, usage = refusal.settlement.reservation, refusal.settlement.usage
        cost_micros = reservation.price.cost_micros(
            num_hit_tokens=usage.num_hit_tokens,
            num_miss_tokens=usage.num_miss_tokens,
            num_completion_tokens=usage.num_completion_tokens,
        )
        yield (
            f"request {reservation.request_id} of {reservation.account_id} is not settled, {format_exact(cost_micros)} "
            f"{reservation.currency}: the database refuses it ({refusal.reason}); it waits in {refused.path}"
        )
