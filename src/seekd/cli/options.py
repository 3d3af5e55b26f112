"""What several commands share: options, and settings from flags.

Imports no room above settings, so that quick commands stay quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seekd.config import Loaded, load
from seekd.settings import Settings

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="seekd.toml", help="Settings file; flags and SEEKD_... variables win over it."),
]
DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Caches and books.  [default: ~/.local/share/seekd]")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="bundled|NAME|PATH.gguf|hf:OWNER/REPO:FILE",
        help="The model that answers; one that is not here yet is downloaded first.  [default: bundled]",
    ),
]


def load_settings(config: Path | None, **flags: object) -> Loaded[Settings]:
    """Resolve settings; flags are given as `section__key`. Raises `ConfigError`."""
    return load(Settings, flags={name.replace("__", "."): value for name, value in flags.items()}, file=config)
