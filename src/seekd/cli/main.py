"""`seekd`: the command line.

Room: cli. May import everything below. Each command says in one sentence what is wrong and leaves with a non-zero
status; tracebacks are for bugs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from seekd import __version__
from seekd.cli import accounts, keys, ledger, usage
from seekd.config import Loaded, describe, load
from seekd.errors import SeekdError
from seekd.settings import Settings

app = typer.Typer(
    name="seekd",
    help="The DeepSeek Chat API on your own machines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(accounts.app, name="accounts")
app.add_typer(keys.app, name="keys")
app.add_typer(usage.app, name="usage")
app.add_typer(ledger.app, name="ledger")

_errors = Console(stderr=True, soft_wrap=True, highlight=False)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="seekd.toml", help="Settings file; flags and SEEKD_... variables win over it."),
]
DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Caches and books.  [default: ~/.local/share/seekd]")
]


def main() -> None:
    """Entry point of the `seekd` program."""
    try:
        app()
    except SeekdError as error:
        _errors.print(f"seekd: {error.message}", markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:  # noqa: FBT002 - a flag
    """The DeepSeek Chat API on your own machines."""
    if version:
        typer.echo(f"seekd {__version__}")
        raise typer.Exit


def load_settings(config: Path | None, **flags: object) -> Loaded[Settings]:
    """Resolve settings; flags are given as `section__key`."""
    return load(Settings, flags={name.replace("__", "."): value for name, value in flags.items()}, file=config)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 chooses a free one.  [default: 8000]")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="bundled|PATH.gguf", help="The model that answers.  [default: bundled]")
    ] = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Allow an address other than loopback without any key.")
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(metavar="debug|info|warning|error", help="Least severe records shown.  [default: info]"),
    ] = None,
) -> None:
    """Serve the API until interrupted.

    Every other setting goes into the settings file or the environment: `seekd config` lists them all.
    """
    loaded = load_settings(
        config,
        server__host=host,
        server__port=port,
        server__data_dir=data_dir,
        server__insecure=insecure,
        model__source=model,
        log__level=log_level,
    )
    from seekd.cli.serve import run_server

    raise typer.Exit(run_server(loaded.settings))


@app.command("config")
def show_config(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Print every setting: its value and where the value comes from."""
    for name, value, origin in describe(load_settings(config, server__data_dir=data_dir)):
        typer.echo(f"{name} = {value}    ({origin})")
