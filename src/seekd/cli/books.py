"""What the commands about accounts share: options, opening the books, printing.

The commands work beside a running server: the database orders the writers.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from seekd.accounts.audit import AuditTrail
from seekd.accounts.driver import Connection
from seekd.accounts.registry import Registry
from seekd.accounts.store import open_connection
from seekd.accounts.types import Limits
from seekd.cli.options import load_settings

DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Where the books lie.  [default: ~/.local/share/seekd]")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="seekd.toml", help="Settings file; names the database, if any.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
MaxConcurrencyOption = Annotated[
    int | None, typer.Option("--max-concurrency", min=1, metavar="N", help="Requests that may run at once.")
]
RequestsOption = Annotated[int | None, typer.Option("--rpm", min=1, metavar="N", help="Requests per minute.")]
TokensOption = Annotated[int | None, typer.Option("--tpm", min=1, metavar="N", help="Tokens per minute.")]


@contextlib.contextmanager
def open_books_connection(
    data_dir: Path | None, config: Path | None, *, makes_new: bool = False
) -> Iterator[Connection]:
    """A connection to the books that the settings name; see `open_connection`."""
    settings = load_settings(config, server__data_dir=data_dir).settings
    connection = open_connection(settings.accounts, settings.server.data_dir, makes_new=makes_new)
    try:
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def open_registry(data_dir: Path | None, config: Path | None, *, makes_new: bool = False) -> Iterator[Registry]:
    """The accounts and keys of the books that the settings name."""
    settings = load_settings(config, server__data_dir=data_dir).settings
    audit = AuditTrail(settings.server.audit_file, actor=f"command line, user {_user()}")
    with open_books_connection(data_dir, config, makes_new=makes_new) as connection:
        yield Registry(connection, audit=audit)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return str(os.getuid())


def limits_of(max_concurrency: int | None, rpm: int | None, tpm: int | None) -> Limits:
    """Limits from the options."""
    return Limits(max_concurrency=max_concurrency, requests_per_minute=rpm, tokens_per_minute=tpm)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns for people; nothing is cut off, so that ids can be copied."""
    cells = [list(header), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(header))]
    for row in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _text(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}"
    return str(value)
