"""What an account has, read without changing anything."""

from __future__ import annotations

from seekd.accounts.driver import Connection
from seekd.accounts.statements import sql
from seekd.accounts.transaction import pools_of
from seekd.accounts.types import Balance, CurrencyBalance


def read_balance(
    connection: Connection,
    account_id: str,
    *,
    now_ms: int,
    default_currency: str,
    is_everything_free: bool,
) -> Balance:
    """The balances of an account now, without grants that have expired.

    An account that never had any money is shown with zero amounts in the default currency. An empty balance is
    available when no model has a price.

    Raises:
        TransactionFailed: the database is away.
    """
    pools = pools_of(
        *connection.rows_together(
            [(sql["read_pools"], {"account_id": account_id}), (sql["grants_left"], {"account_ids": [account_id]})]
        )
    )
    for pool in pools:
        pool.expire(now_ms)  # in memory only; the next request writes it
    currencies = tuple(
        CurrencyBalance(
            currency=pool.currency,
            granted_micros=pool.granted_micros,
            topped_up_micros=pool.topped_up_micros,
            held_micros=pool.held_micros,
        )
        for pool in pools
    ) or (CurrencyBalance(currency=default_currency, granted_micros=0, topped_up_micros=0, held_micros=0),)
    return Balance(
        account_id=account_id,
        is_available=is_everything_free or any(balance.available_micros > 0 for balance in currencies),
        currencies=currencies,
    )
