"""`GET /user/balance`.

Source: docs/reference/wire.md §13.2.
"""

from __future__ import annotations

import json

from seekd.accounts.types import Balance

MICROS_PER_CENT = 10_000


def balance_body(balance: Balance) -> bytes:
    """The balances of an account, one entry a currency."""
    infos = [
        {
            "currency": entry.currency,
            "total_balance": _amount(entry.total_micros),
            "granted_balance": _amount(entry.granted_micros),
            "topped_up_balance": _amount(entry.topped_up_micros),
        }
        for entry in balance.currencies
    ]
    return json.dumps({"is_available": balance.is_available, "balance_infos": infos}, separators=(",", ":")).encode()


def _amount(micros: int) -> str:
    # Towards minus infinity: what is shown is there to spend.
    cents = micros // MICROS_PER_CENT
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"
