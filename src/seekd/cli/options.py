"""What several commands share: options, and settings from flags.

Imports nothing above settings, so that quick commands stay quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from seekd.config import Loaded, load
from seekd.errors import ConfigError
from seekd.settings import Settings

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="seekd.toml", help="Settings file; flags and SEEKD_... variables win over it."),
]
DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Caches and books.  [default: ~/.local/share/seekd]")
]
HostOption = Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")]
PortOption = Annotated[int | None, typer.Option(help="Port to listen on; 0 chooses a free one.  [default: 8000]")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="bundled|NAME|PATH.gguf|hf:OWNER/REPO:FILE",
        help="The model that answers; one that is not here yet is downloaded first.  [default: bundled]",
    ),
]


class HelpfulGroup(TyperGroup):
    """Commands of which one must be named: without a name they are listed, which is no mistake."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Any: typer's own copy of click is not public
        """Read no arguments as `--help`."""
        return super().parse_args(ctx, args or ["--help"])


def existing_data_dir(settings: Settings) -> Path:
    """The data directory of a command that only looks. Raises `ConfigError` where there is none."""
    data_dir = settings.server.data_dir
    if not data_dir.is_dir():
        raise ConfigError(
            f"There is no data directory {data_dir}: no server has run with it. Name the server's own with --data-dir."
        )
    return data_dir


def load_settings(config: Path | None, **flags: object) -> Loaded[Settings]:
    """Resolve settings; flags are given as `section__key`. Raises `ConfigError`."""
    return load(Settings, flags={name.replace("__", "."): value for name, value in flags.items()}, file=config)
