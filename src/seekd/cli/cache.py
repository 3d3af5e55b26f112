"""`seekd cache`: the prefix cache on disk."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from seekd.cli.books import print_json, print_table
from seekd.cli.options import ConfigOption, DataDirOption, HelpfulGroup, JsonOption, existing_data_dir, load_settings
from seekd.engine.cache.store_admin import StoreSummary, clear_stores, inspect_stores

app = typer.Typer(help="The prefix cache on disk: prompts that need not be computed again.", cls=HelpfulGroup)


@app.command()
def show(data_dir: DataDirOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show each store: one for each model, build and element type."""
    stores = inspect_stores(_cache_dir(data_dir, config))
    if as_json:
        _print_json(stores)
        return
    print_table(
        ("model and build", "blocks", "size", "last used", "in use"),
        [
            (
                store.binding or store.directory.name,
                str(store.num_blocks),
                _mib(store.used_bytes),
                "never" if store.newest_s is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(store.newest_s)),
                "yes" if store.in_use else "no",
            )
            for store in stores
        ],
    )


@app.command()
def clear(
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove every store that no server uses. Nothing but computing time is lost."""
    root = _cache_dir(data_dir, config)
    if not yes:
        typer.confirm(f"Remove the stores in {root}?", abort=True, err=True)
    removed = clear_stores(root)
    if as_json:
        _print_json(removed)
        return
    num_kept = len(inspect_stores(root))
    kept = f"; {num_kept} in use by a running server kept" if num_kept else ""
    typer.echo(f"{len(removed)} removed, {_mib(sum(store.used_bytes for store in removed))} free again{kept}")


def _cache_dir(data_dir: Path | None, config: Path | None) -> Path:
    settings = load_settings(config, server__data_dir=data_dir).settings
    existing_data_dir(settings)
    return settings.server.cache_dir


def _mib(num_bytes: int) -> str:
    return f"{num_bytes / 1024**2:.1f} MiB"


def _print_json(stores: list[StoreSummary]) -> None:
    print_json(
        [
            {
                "directory": str(store.directory),
                "binding": store.binding,
                "num_blocks": store.num_blocks,
                "used_bytes": store.used_bytes,
                "newest_s": store.newest_s,
                "oldest_s": store.oldest_s,
                "in_use": store.in_use,
            }
            for store in stores
        ]
    )
