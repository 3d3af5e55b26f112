"""`seekd keys`: what proves who calls."""

from __future__ import annotations

from typing import Annotated

import typer

from seekd.accounts.registry import KeyOptions
from seekd.cli.accounts import parse_expiry
from seekd.cli.books import (
    ConfigOption,
    DataDirOption,
    JsonOption,
    MaxConcurrencyOption,
    RequestsOption,
    TokensOption,
    limits_of,
    open_registry,
    print_json,
    print_table,
)
from seekd.cli.options import HelpfulGroup
from seekd.errors import InvalidParameter
from seekd.wire.admin import key_json

app = typer.Typer(help="API keys. A key is shown once, when it is made.", cls=HelpfulGroup)


@app.command()
def create(
    account: Annotated[str, typer.Option("--account", metavar="ID", help="The account that pays, by id or name.")],
    name: Annotated[str, typer.Option("--name", help="For people.")] = "",
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="DATE|SPAN", help="Such as 2027-01-31 or 30d.  [default: never]")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="A model that the key may use; repeatable.  [default: all]")
    ] = None,
    max_concurrency: MaxConcurrencyOption = None,
    rpm: RequestsOption = None,
    tpm: TokensOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a key and print it, for the only time."""
    with open_registry(data_dir, config) as registry:
        options = KeyOptions(
            name=name,
            expires_at_ms=parse_expiry(expires, registry),
            limits=limits_of(max_concurrency, rpm, tpm),
            allowed_models=model or None,
        )
        key = registry.create_key(account, options)
    if as_json:
        print_json({"id": key.view.id, "key": key.secret, **key_json(key.view)})
    else:
        typer.echo(f"{key.secret}\nmade key {key.view.id}; it will not be shown again", err=False)


@app.command("list")
def list_keys(
    account: Annotated[
        str | None, typer.Option("--account", metavar="ID", help="Only this account's, by id or name.")
    ] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """List keys: of one account, or all."""
    with open_registry(data_dir, config) as registry:
        keys = [key_json(key) for key in registry.keys(account)]
    if as_json:
        print_json(keys)
        return
    columns = ("id", "account_id", "name", "shown", "created_at", "expires_at", "revoked_at")
    print_table([name.removesuffix("_id") for name in columns], [[key[name] for name in columns] for key in keys])


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `create` and `list` print it.")],
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a key useless, at once, also for a running server."""
    with open_registry(data_dir, config) as registry:
        key = registry.revoke_key(key_id)
    if key is None:
        raise InvalidParameter(f"There is no key {key_id!r}.")
    if as_json:
        print_json(key_json(key))
    else:
        typer.echo(f"revoked key {key.id}")
