"""`seekd cache`: the prefix cache on disk."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from seekd.cli.books import print_json, print_table
from seekd.cli.options import ConfigOption, DataDirOption, JsonOption, load_settings
from seekd.engine.cache.store_admin import StoreSummary, clear_stores, inspect_stores

app = typer.Typer(help="The prefix cache on disk: prompts that need not be computed again.", no_args_is_help=True)


@app.command()
def show(data_dir: DataDirOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show each store: one for each model, build and element type."""
    stores = inspect_stores(load_settings(config, server__data_dir=data_dir).settings.server.cache_dir)
    _print(stores, as_json=as_json)


@app.command()
def clear(
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove every store that no server uses. Nothing but computing time is lost."""
    root = load_settings(config, server__data_dir=data_dir).settings.server.cache_dir
    if not yes:
        typer.confirm(f"Remove the stores in {root}?", abort=True, err=True)
    _print(clear_stores(root), as_json=as_json)


def _print(stores: list[StoreSummary], *, as_json: bool) -> None:
    if as_json:
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
        return
    print_table(
        ("model and build", "blocks", "size", "last used", "in use"),
        [
            (
                store.binding or store.directory.name,
                str(store.num_blocks),
                f"{store.used_bytes / 1024**2:.1f} MiB",
                "never" if store.newest_s is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(store.newest_s)),
                "yes" if store.in_use else "no",
            )
            for store in stores
        ],
    )
