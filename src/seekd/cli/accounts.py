"""`seekd accounts`: who pays."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

import typer

from seekd.accounts.instants import parse_deadline
from seekd.accounts.registry import Registry
from seekd.accounts.reports import Dimension, UsageQuery, usage_report
from seekd.accounts.types import OPEN_ACCOUNT_ID, AccountView, Balance, parse_amount
from seekd.cli.books import (
    ConfigOption,
    DataDirOption,
    JsonOption,
    MaxConcurrencyOption,
    RequestsOption,
    TokensOption,
    limits_of,
    open_books_connection,
    open_registry,
    print_json,
    print_table,
)
from seekd.cli.options import HelpfulGroup
from seekd.cli.usage import print_report
from seekd.errors import InvalidParameter
from seekd.wire.admin import account_json, balances_json

app = typer.Typer(help="Accounts: who pays, and how much is left.", cls=HelpfulGroup)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The account's id or name, as `list` prints them.")]
AmountArgument = Annotated[str, typer.Argument(metavar="AMOUNT", help="Such as 1.50.")]
CurrencyOption = Annotated[Literal["USD", "CNY"], typer.Option("--currency", help="What the amount is in.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that no other account has.")],
    max_concurrency: MaxConcurrencyOption = None,
    rpm: RequestsOption = None,
    tpm: TokensOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Make an account."""
    with open_registry(data_dir, config, makes_new=True) as registry:
        account = registry.create_account(name, limits=limits_of(max_concurrency, rpm, tpm))
    text = f"made account {account.id}; next: seekd keys create --account {shlex.quote(account.name)}"
    _print_account(account, text, as_json=as_json)


@app.command()
def limit(
    account_id: IdArgument,
    max_concurrency: MaxConcurrencyOption = None,
    rpm: RequestsOption = None,
    tpm: TokensOption = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Set the limits of an account, at once; what is left out is not limited."""
    with open_registry(data_dir, config) as registry:
        account = registry.set_limits(account_id, limits_of(max_concurrency, rpm, tpm))
    _print_account(account, f"set the limits of account {account.id}", as_json=as_json)


@app.command()
def rename(
    account_id: IdArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that no other account has.")],
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Give an account another name; its id stays."""
    with open_registry(data_dir, config) as registry:
        account = registry.rename(account_id, name)
    _print_account(account, f"account {account.id} is called {account.name}", as_json=as_json)


@app.command()
def disable(
    account_id: IdArgument,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Let no key of an account work, at once, until `enable`; its balance and its books stay."""
    with open_registry(data_dir, config) as registry:
        account = registry.disable(account_id)
    _print_account(account, f"disabled account {account.id}", as_json=as_json)


@app.command()
def enable(
    account_id: IdArgument,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Let the keys of a disabled account work again."""
    with open_registry(data_dir, config) as registry:
        account = registry.enable(account_id)
    _print_account(account, f"enabled account {account.id}", as_json=as_json)


@app.command("list")
def list_accounts(
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """List all accounts with their balances."""
    with open_registry(data_dir, config) as registry:
        shown = [(account, registry.balance(account.id)) for account in registry.accounts()]
    if as_json:
        print_json([account_json(account, balance) for account, balance in shown])
        return
    print_table(
        ("id", "name", "balance", "state"),
        [(account.id, account.name, _balance_line(balance), _state(account)) for account, balance in shown],
    )


@app.command()
def show(
    account_id: IdArgument,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Show one account with its balances."""
    with open_registry(data_dir, config) as registry:
        account = registry.account(account_id)
        balance = registry.balance(account.id)
    if as_json:
        print_json(account_json(account, balance))
        return
    typer.echo(f"{account.id}  {account.name}  {_state(account)}")
    _print_balance(balance)


@app.command("top-up")
def top_up(
    account_id: IdArgument,
    amount: AmountArgument,
    currency: CurrencyOption = "USD",
    reference: Annotated[str, typer.Option("--reference", help="What the ledger notes, such as an invoice.")] = "",
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Add paid balance."""
    micros = _parse(amount)
    with open_registry(data_dir, config) as registry:
        balance = registry.top_up(account_id, currency=currency, micros=micros, reference=reference)
    _print_credit(balance, as_json=as_json)


@app.command("take-back")
def take_back(
    account_id: IdArgument,
    amount: AmountArgument,
    currency: CurrencyOption = "USD",
    reference: Annotated[
        str, typer.Option("--reference", help="What the ledger notes, such as the wrong top-up.")
    ] = "",
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Take paid balance back, by a counter-entry: corrects a wrong top-up. What is spent or held cannot be taken."""
    micros = _parse(amount)
    with open_registry(data_dir, config) as registry:
        balance = registry.take_back(account_id, currency=currency, micros=micros, reference=reference)
    _print_credit(balance, as_json=as_json)


@app.command()
def grant(
    account_id: IdArgument,
    amount: AmountArgument,
    currency: CurrencyOption = "USD",
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="DATE|SPAN", help="Such as 2027-01-31 or 30d.  [default: never]")
    ] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Give balance, which is spent before paid balance."""
    micros = _parse(amount)
    with open_registry(data_dir, config) as registry:
        expires_at_ms = parse_expiry(expires, registry)
        balance = registry.grant(account_id, currency=currency, micros=micros, expires_at_ms=expires_at_ms)
    _print_credit(balance, as_json=as_json)


@app.command()
def usage(
    account_id: IdArgument,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """What an account has used, by day, key and model. `seekd usage` has more options."""
    by = (Dimension.DAY, Dimension.KEY, Dimension.MODEL)
    with open_books_connection(data_dir, config) as connection:
        query = UsageQuery(by=by, account_id=Registry(connection).account(account_id).id)
        lines = usage_report(connection, query)
    print_report(lines, by, as_json=as_json, as_csv=as_csv)


def parse_expiry(text: str | None, registry: Registry) -> int | None:
    """The instant of an `--expires` option. Raises `InvalidParameter`."""
    if text is None:
        return None
    try:
        return parse_deadline(text, now_ms=registry.now_ms())
    except ValueError as error:
        raise InvalidParameter(f"{error}.") from error


def _parse(amount: str) -> int:
    try:
        return parse_amount(amount)
    except ValueError as error:
        raise InvalidParameter(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error


def _print_account(account: AccountView, text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(account_json(account))
    else:
        typer.echo(text)


def _state(account: AccountView) -> str:
    if account.disabled_at_ms is not None:
        return "disabled"
    return "for requests without a key" if account.id == OPEN_ACCOUNT_ID else "enabled"


def _print_credit(balance: Balance, *, as_json: bool) -> None:
    if as_json:
        print_json({"id": balance.account_id, "balances": balances_json(balance)})
    else:
        _print_balance(balance)


def _print_balance(balance: Balance) -> None:
    rows = balances_json(balance)
    print_table([name.removesuffix("_balance") for name in rows[0]], [list(row.values()) for row in rows])


def _balance_line(balance: Balance) -> str:
    return ", ".join(f"{row['total_balance']} {row['currency']}" for row in balances_json(balance))
