"""Books as each released version left them, to be migrated by tests.

`VERSION.sqlite.sql` and `VERSION.postgresql.sql` are the empty books as that version made them, dumped from real ones;
`VERSION.json` has rows by table, bytes as {"hex": ...}.
"""

import json
from pathlib import Path
from typing import Any

from seekd.accounts.books import Books
from seekd.accounts.driver import Connection, Dialect, Statement
from seekd.accounts.types import Answer, Limits

DIRECTORY = Path(__file__).parent / "data" / "released_books"
RELEASED_CLOCK_S = 1_790_000_100.0  # soon after the books were left
RELEASED = sorted(path.stem for path in DIRECTORY.glob("*.json"))


def schema(version: str, dialect: Dialect) -> str:
    """A script that makes the empty books of a released version."""
    return (DIRECTORY / f"{version}.{dialect}.sql").read_text()


def load_rows(connection: Connection, version: str) -> None:
    """Fill the empty books of a released version."""
    tables: dict[str, list[dict[str, Any]]] = json.loads((DIRECTORY / f"{version}.json").read_text())
    for table, rows in tables.items():
        for row in rows:
            values = {
                name: bytes.fromhex(value["hex"]) if isinstance(value, dict) else value for name, value in row.items()
            }
            names = ", ".join(values)
            sqlite = f"INSERT INTO {table} ({names}) VALUES ({', '.join(':' + name for name in values)})"
            postgresql = f"INSERT INTO {table} ({names}) VALUES ({', '.join(f'%({name})s' for name in values)})"
            connection.run(Statement(sqlite, postgresql), values)


async def check_released_books(books: Books) -> None:
    """What the books of every version hold: money, a running request, a key, a kept answer."""
    caller = await books.authenticate("sk-00000000000000000000000000000003")
    assert (caller.account_id, caller.name) == ("acct_0000000000000001", "ci")
    assert caller.account_limits == Limits(requests_per_minute=60)
    assert caller.key_limits == Limits(max_concurrency=2)
    balance = await books.balance(caller.account_id)
    # 700 were granted; three requests cost 485, and the fourth had noted 162 when its server died.
    assert [(entry.currency, entry.total_micros, entry.held_micros) for entry in balance.currencies] == [
        ("CNY", 5_000_000, 0),
        ("USD", 2_000_053, 0),
    ]
    kept = await books.claims.take(caller, idempotency_key="key", body=b"body", request_id="request-9")
    assert isinstance(kept, Answer)
    assert kept.body == '{"é":1}'.encode()
