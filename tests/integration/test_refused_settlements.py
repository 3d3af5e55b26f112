"""A settlement that the database refuses as wrong in itself: kept apart, shown, tried again, and no harm to others."""

from __future__ import annotations

import concurrent.futures
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from seekd.accounts.registry import Registry
from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.accounts.store import open_connection
from seekd.cli import ledger
from seekd.engine.scripted import say
from seekd.testing.server import ScriptedServer, serve_script

ACCOUNTS = AccountsSettings(
    prices=(
        PriceSetting(model="deepseek-chat", currency="USD", hit="0", miss="0", output="100000"),
        PriceSetting(model="deepseek-reasoner", currency="USD", hit="0", miss="0", output="0"),
    ),
    synchronous="normal",
)
"""One completion token costs 0.10 USD; prompts are free, and so is all of deepseek-reasoner."""
# The next row of the first account's ledger is there already, as after a backup that was put back in part.
SPOIL = """
    INSERT INTO ledger (account_id, currency, seq, kind, source, target, micros, reference, at_ms, digest)
    SELECT account_id, currency, last_seq + 1, 'charge', 'topped_up', 'revenue', 1, 'stray', 1, x'00'
    FROM pools WHERE account_id = ?
"""
# And no usage of the free model can be written down.
SPOIL_FREE = """
    CREATE TRIGGER spoiled BEFORE INSERT ON usage WHEN NEW.model = 'deepseek-reasoner'
    BEGIN SELECT RAISE(ABORT, 'spoiled'); END
"""
REPAIR = ("DROP TRIGGER ledger_no_delete", "DELETE FROM ledger WHERE reference = 'stray'", "DROP TRIGGER spoiled")


class Customer:
    """An account with 1.00 USD and a key."""

    def __init__(self, registry: Registry, name: str) -> None:
        self.account_id = registry.create_account(name).id
        registry.top_up(self.account_id, currency="USD", micros=1_000_000)
        self._headers = {"Authorization": f"Bearer {registry.create_key(self.account_id).secret}"}

    def ask(self, server: ScriptedServer, model: str = "deepseek-chat") -> str:
        """The request's id."""
        body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
        url = f"{server.url}/v1/chat/completions"
        response = httpx.post(url, json=body, headers=self._headers, timeout=60)
        assert response.status_code == 200
        return response.headers["x-request-id"]

    def balance(self, server: ScriptedServer) -> str:
        shown = httpx.get(f"{server.url}/user/balance", headers=self._headers).json()["balance_infos"][0]
        balance: str = shown["total_balance"]
        return balance


@pytest.fixture
def customers(tmp_path: Path) -> Iterator[tuple[Customer, Customer]]:
    with contextlib.closing(open_connection(ACCOUNTS, tmp_path)) as connection:
        registry = Registry(connection)
        yield Customer(registry, "first"), Customer(registry, "second")


def serve(data_dir: Path) -> contextlib.AbstractContextManager[ScriptedServer]:
    return serve_script(say("four"), data_dir=data_dir, accounts=ACCOUNTS)


def health(server: ScriptedServer) -> object:
    return httpx.get(f"{server.url}/healthz").json()


def verify(data_dir: Path) -> tuple[int, str]:
    result = CliRunner().invoke(ledger.app, ["verify", "--data-dir", str(data_dir)])
    return result.exit_code, result.stdout


@pytest.mark.fault("settlement-that-the-database-refuses")
def test_a_refused_settlement_is_kept_apart_and_shown_and_charged_when_the_database_takes_it(
    tmp_path: Path, customers: tuple[Customer, Customer]
) -> None:
    first, second = customers
    with contextlib.closing(sqlite3.connect(tmp_path / "books.sqlite3")) as connection:
        with serve(tmp_path) as server:
            connection.execute(SPOIL, (first.account_id,))
            connection.execute(SPOIL_FREE)
            connection.commit()
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                asked = [pool.submit(customer.ask, server) for customer in customers]
                refused = {asked[0].result(), first.ask(server, "deepseek-reasoner")}
            assert (first.balance(server), second.balance(server)) == ("1.00", "0.60")
        for _ in range(2):
            with serve(tmp_path) as server:
                assert health(server) == {"status": "ok", "refused_settlements": 2}
                assert second.balance(server) == "0.60"
        status, told = verify(tmp_path)
        assert status == 1
        assert all(f"request {request_id} " in told for request_id in refused)
        for statement in REPAIR:
            connection.execute(statement)
        connection.commit()
    with serve(tmp_path) as server:
        assert health(server) == {"status": "ok"}
        assert (first.balance(server), second.balance(server)) == ("0.60", "0.60")
    assert verify(tmp_path)[0] == 0
