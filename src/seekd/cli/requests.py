"""`seekd requests`: what a running server works on, asked over HTTP with its admin token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from seekd.cli.books import print_json, print_table
from seekd.cli.options import (
    ConfigOption,
    DataDirOption,
    HelpfulGroup,
    JsonOption,
    existing_data_dir,
    load_settings,
)
from seekd.errors import ConfigError, InvalidParameter

_TIMEOUT_S = 30.0
_COLUMNS = ("id", "account_id", "key_name", "model", "route", "state", "prompt_tokens", "completion_tokens", "age_s")

UrlOption = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Of the server.  [default: this machine, at the configured port]"),
]

app = typer.Typer(help="Requests that a running server works on.", cls=HelpfulGroup)


@app.command("list")
def list_requests(
    url: UrlOption = None, as_json: JsonOption = False, data_dir: DataDirOption = None, config: ConfigOption = None
) -> None:
    """List them, the oldest first; never their texts."""
    shown = ask_admin("GET", "/admin/requests", url=url, data_dir=data_dir, config=config)
    if as_json:
        print_json(shown)
    else:
        print_table(_COLUMNS, [[request[name] for name in _COLUMNS] for request in shown])


@app.command()
def cancel(
    request_id: Annotated[str, typer.Argument(metavar="ID")],
    url: UrlOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Cancel one: its client is told, and what it used is charged."""
    cancelled = ask_admin(
        "DELETE", f"/admin/requests/{quote(request_id, safe='')}", url=url, data_dir=data_dir, config=config
    )
    if as_json:
        print_json(cancelled)
    else:
        typer.echo(f"cancelled {cancelled['id']} after {cancelled['completion_tokens']} completion tokens")


def ask_admin(
    method: str, path: str, *, url: str | None, data_dir: Path | None, config: Path | None
) -> Any:  # Any: JSON
    """A running server's answer.

    Raises:
        ConfigError: there is no token to read, or no server that takes it.
        InvalidParameter: the server refused.
    """
    import httpx2

    settings = load_settings(config, server__data_dir=data_dir).settings
    token_file = existing_data_dir(settings) / "admin-token"
    address = url or f"{settings.server.scheme}://127.0.0.1:{settings.server.port}"
    try:
        headers = {"authorization": f"Bearer {token_file.read_text(encoding='ascii').strip()}"}
        response = httpx2.request(method, f"{address}{path}", headers=headers, timeout=_TIMEOUT_S)
        answer = json.loads(response.content)
    except OSError as error:
        raise ConfigError(f"The admin token {token_file} cannot be read: {error.strerror}.") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise ConfigError(
            f"No seekd answers at {address} ({str(error) or type(error).__name__}). See --url."
        ) from error
    if response.status_code == 401:
        raise ConfigError(f"The server at {address} has another admin token than {token_file}. See --data-dir.")
    if response.status_code != 200:
        raise InvalidParameter(answer["error"]["message"])
    return answer
