"""`GET /user/balance`.

Room: wire. Imports the standard library only. Source: deepseek-api.md §13.2.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

MICROS_PER_CENT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrencyBalance:
    """What an account has in one currency, in millionths of its unit.

    Attributes:
        currency: `USD` or `CNY`.
        granted_micros: given, spent first.
        topped_up_micros: paid in.
    """

    currency: str
    granted_micros: int
    topped_up_micros: int


def balance_body(balances: Sequence[CurrencyBalance], *, is_available: bool) -> bytes:
    """The balances of an account.

    Args:
        balances: one entry a currency.
        is_available: whether a request would be served.
    """
    infos = [
        {
            "currency": balance.currency,
            "total_balance": _amount(balance.granted_micros + balance.topped_up_micros),
            "granted_balance": _amount(balance.granted_micros),
            "topped_up_balance": _amount(balance.topped_up_micros),
        }
        for balance in balances
    ]
    return json.dumps({"is_available": is_available, "balance_infos": infos}, separators=(",", ":")).encode()


def _amount(micros: int) -> str:
    # Towards minus infinity: what is shown is there to spend.
    cents = micros // MICROS_PER_CENT
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"
