"""`seekd audit`: who changed accounts and keys."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from seekd.accounts.audit import read_audit
from seekd.cli.books import print_json, print_table


def show(file: Path, *, limit: int, as_json: bool) -> None:
    """Print the latest entries."""
    entries = read_audit(file, limit=limit)
    if as_json:
        print_json(msgspec.to_builtins(entries))
        return
    print_table(
        ("when", "who", "what", "target", "outcome", "details"),
        [
            (
                entry.at,
                entry.actor,
                entry.action,
                entry.target,
                entry.outcome,
                json.dumps(entry.details, ensure_ascii=False) if entry.details else "",
            )
            for entry in entries
        ],
    )
