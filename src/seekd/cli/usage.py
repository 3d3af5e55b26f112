"""`seekd usage`: what was used, by whom, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated

import typer

from seekd.accounts.instants import parse_instant
from seekd.accounts.registry import Registry
from seekd.accounts.reports import Dimension, UsageLine, UsageQuery, parse_dimensions, to_csv, usage_report
from seekd.cli.books import ConfigOption, DataDirOption, JsonOption, open_books_connection, print_json, print_table
from seekd.errors import InvalidParameter

_COUNTS = ("requests", "errors", "cached", "hit", "miss", "output", "reasoning", "cost", "p50_ms")

app = typer.Typer(help="What was used, by whom, and what it cost.", invoke_without_command=True)


@app.callback(invoke_without_command=True)
def report(
    by: Annotated[
        list[Dimension] | None,
        typer.Option("--by", help="What the lines are about; repeatable.  [default: day and model]"),
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="ID", help="Only this account, by id or name.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="ID", help="Only this key.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Only this model.")] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="DATE", help="From this instant, UTC.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="DATE", help="Before this instant, UTC.")] = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Add up tokens, cost, errors and latencies."""
    query = UsageQuery(
        by=parse_dimensions(by or ()),
        key_id=key,
        model=model,
        since_ms=_instant(since),
        until_ms=_instant(until),
    )
    with open_books_connection(data_dir, config) as connection:
        if account is not None:
            query = replace(query, account_id=Registry(connection).account(account).id)
        lines = usage_report(connection, query)
    print_report(lines, query.by, as_json=as_json, as_csv=as_csv)


def print_report(lines: Sequence[UsageLine], by: Sequence[Dimension], *, as_json: bool, as_csv: bool) -> None:
    """Print a report in the form that was asked for."""
    if as_csv:
        typer.echo(to_csv(lines, by), nl=False)
        return
    if as_json:
        print_json([asdict(line) for line in lines])
        return
    names = ("day", "account_id", "key_id", "model")
    shown = [name for name in names if any(getattr(line, name) is not None for line in lines)]
    print_table(
        [
            *(name.removesuffix("_id") for name in shown),
            *_COUNTS,
        ],
        [
            [
                *(getattr(line, name) for name in shown),
                line.num_requests,
                line.num_errors,
                line.num_cached,
                line.num_hit_tokens,
                line.num_miss_tokens,
                line.num_completion_tokens,
                line.num_reasoning_tokens,
                f"{line.cost} {line.currency}",
                line.latency_p50_ms,
            ]
            for line in lines
        ],
    )


def _instant(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise InvalidParameter(f"{text!r} is not a date such as 2027-01-31 or 2027-01-31T12:00.") from error
