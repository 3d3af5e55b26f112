"""The books in a real PostgreSQL: the schema, the money, several gateways, a server that goes away."""

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import httpx
import pytest

from seekd.accounts.books import Books, open_books
from seekd.accounts.driver import Connection, Statement, TransactionFailed
from seekd.accounts.instants import parse_deadline
from seekd.accounts.migrate import migrate
from seekd.accounts.postgres import PostgresConnection
from seekd.accounts.registry import KeyOptions, Registry
from seekd.accounts.reports import UsageQuery, usage_report
from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.accounts.statements import statement
from seekd.accounts.store import open_connection
from seekd.accounts.types import Answer, Caller, Claim, Twin, Usage
from seekd.accounts.verify import verify_ledger
from seekd.config import Secret
from seekd.engine.scripted import say
from seekd.errors import ConfigError, IdempotencyConflict, InsufficientBalance, StoreError, Unauthenticated
from seekd.testing.server import ScriptedServer
from tests.integration import books_load
from tests.integration.services import Postgres, postgres  # noqa: F401 - a fixture
from tests.released_books import RELEASED, RELEASED_CLOCK_S, check_released_books, load_rows, schema

FULL = Usage(num_hit_tokens=0, num_miss_tokens=60, num_completion_tokens=40, latency_ms=5.0)


def settings(url: str, **changes: object) -> AccountsSettings:
    price = PriceSetting(model="priced", currency="USD", hit="1", miss="1", output="1")
    every: dict[str, object] = {"database_url": Secret(url), "prices": (price,), "failed_auth_delay_s": 0.0, **changes}
    return AccountsSettings(**every)  # type: ignore[arg-type]


@pytest.fixture
def url(postgres: Postgres) -> str:  # noqa: F811
    return postgres.new_database()


MakeBooks = Callable[..., Awaitable[Books]]


@pytest.fixture
async def make_books(url: str, tmp_path: Path) -> AsyncIterator[MakeBooks]:
    async with AsyncExitStack() as stack:
        names = count()

        async def make(clock: Callable[[], float] = time.time, **changes: object) -> Books:
            data_dir = tmp_path / f"gateway{next(names)}"
            of = settings(url, **changes)
            books = await asyncio.to_thread(open_books, of, data_dir, allows_open=True, clock=clock)
            stack.push_async_callback(books.close)
            await books.start()
            return books

        yield make


@pytest.fixture
def connection(url: str, tmp_path: Path) -> Iterator[Connection]:
    connection = open_connection(settings(url), tmp_path)
    yield connection
    connection.close()


@pytest.fixture
def key(connection: Connection) -> str:
    """A key of an account with 20 times 100 micro-units."""
    registry = Registry(connection)
    account = registry.create_account("a")
    registry.top_up(account.id, currency="USD", micros=2000)
    return registry.create_key(account.id).secret


async def answer(books: Books, caller: Caller, request_id: str) -> bool:
    try:
        reservation = await books.reserve(
            caller, request_id=request_id, model="priced", num_prompt_tokens=60, max_completion_tokens=40
        )
    except InsufficientBalance:
        return False
    await books.settle(reservation, FULL)
    return True


CATALOG = """
    SELECT 'column', table_name::text, column_name::text,
    data_type || ' ' || is_nullable || COALESCE(column_default, '')
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger
    WHERE NOT tgisinternal
    UNION ALL SELECT 'function', '', proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    ORDER BY 1, 2, 3
"""


def make_released(url: str, version: str) -> PostgresConnection:
    """The empty books of a released version."""
    connection = PostgresConnection(url, timeout_s=5.0)
    script = schema(version, "postgresql")
    connection.run(Statement("", script))
    return connection


@pytest.mark.parametrize("version", RELEASED)
def test_new_books_have_the_schema_of_released_books_that_were_migrated(
    version: str,
    postgres: Postgres,  # noqa: F811
) -> None:
    new = PostgresConnection(postgres.new_database(), timeout_s=5.0)
    old = make_released(postgres.new_database(), version)
    for _ in range(2):
        migrate(new)
        migrate(old)
    assert new.rows(Statement("", CATALOG)) == old.rows(Statement("", CATALOG))
    new.close()
    old.close()


def test_gateways_that_start_at_once_on_an_empty_database_make_the_books_once(url: str) -> None:
    def start(_: int) -> None:
        connection = PostgresConnection(url, timeout_s=30.0)
        migrate(connection)
        connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(start, range(4)))
    connection = PostgresConnection(url, timeout_s=5.0)
    assert connection.rows(statement("SELECT id FROM accounts")) == [("open",)]
    connection.close()


@pytest.mark.parametrize("version", RELEASED)
async def test_books_of_every_released_version_are_migrated_and_keep_every_amount(
    version: str, url: str, tmp_path: Path
) -> None:
    connection = make_released(url, version)
    load_rows(connection, version)
    books = open_books(settings(url), tmp_path, allows_open=True, clock=lambda: RELEASED_CLOCK_S + 1000.0)
    await books.start()
    try:
        await check_released_books(books)
    finally:
        await books.close()
    assert verify_ledger(connection).problems == ()
    connection.close()


@pytest.mark.parametrize("command", ["UPDATE ledger SET micros = 1", "DELETE FROM ledger", "TRUNCATE ledger"])
def test_the_database_refuses_to_change_the_ledger(connection: Connection, key: str, command: str) -> None:
    with pytest.raises(TransactionFailed, match="never changed"):
        connection.run(statement(command))


async def test_two_gateways_answer_exactly_what_the_balance_pays_for(
    make_books: MakeBooks, key: str, connection: Connection
) -> None:
    gateways = [await make_books(), await make_books()]
    callers = [await gateway.authenticate(key) for gateway in gateways]
    answered = await asyncio.gather(
        *(answer(gateways[number % 2], callers[number % 2], f"r{number}") for number in range(200))
    )
    assert sum(answered) == 20
    assert verify_ledger(connection).problems == ()
    (line,) = usage_report(connection, UsageQuery(by=()))
    assert (line.num_requests, line.cost, line.latency_p50_ms) == (20, "0.002", 5.0)


@pytest.mark.fault("two-gateways-in-one-data-directory")
def test_a_second_server_in_one_data_directory_is_refused_whatever_the_database(
    seekd_server: Callable[..., ScriptedServer], url: str
) -> None:
    accounts = AccountsSettings(database_url=Secret(url))
    server = seekd_server(say("x"), accounts=accounts)
    with pytest.raises(ConfigError, match="its own") as refused:
        seekd_server(say("x"), accounts=accounts)
    assert "keep the books" not in refused.value.message
    assert httpx.get(f"{server.url}/healthz").status_code == 200


async def test_a_key_revoked_anywhere_fails_everywhere_at_once(
    make_books: MakeBooks, key: str, connection: Connection
) -> None:
    books = await make_books()
    caller = await books.authenticate(key)
    assert caller.key_id is not None
    Registry(connection).revoke_key(caller.key_id)
    with pytest.raises(Unauthenticated):
        await books.authenticate(key)
    with pytest.raises(Unauthenticated):
        await answer(books, caller, "r")


async def test_a_living_gateways_requests_are_left_alone_and_a_silent_ones_end(
    make_books: MakeBooks, key: str, connection: Connection
) -> None:
    living = await make_books(lease_s=600.0)
    caller = await living.authenticate(key)
    reservation = await living.reserve(
        caller, request_id="r", model="priced", num_prompt_tokens=60, max_completion_tokens=40
    )
    await make_books(lease_s=600.0)
    assert connection.rows(statement("SELECT request_id FROM holds")) == [("r",)]
    connection.run(statement("UPDATE owners SET seen_at_ms = 0"))
    await make_books(lease_s=600.0)
    assert connection.rows(statement("SELECT request_id FROM holds")) == []
    charge = await living.settle(reservation, FULL)  # it was not dead after all
    assert charge.cost_micros == 100
    assert verify_ledger(connection).problems == ()


@pytest.mark.fault("clocks-of-gateways-differ")
@pytest.mark.parametrize("hours", [-5, 5])
async def test_gateways_whose_clocks_differ_by_hours_agree_on_who_lives_and_what_is_kept(
    make_books: MakeBooks, key: str, connection: Connection, hours: int
) -> None:
    odd = await make_books(clock=lambda: time.time() + hours * 3600)
    caller = await odd.authenticate(key)
    claim = await odd.claims.take(caller, idempotency_key="k", body=b"body", request_id="r1")
    assert isinstance(claim, Claim)
    reservation = await odd.reserve(
        caller, request_id="r1", model="priced", num_prompt_tokens=60, max_completion_tokens=40, is_retry_safe=True
    )
    right = await make_books()
    assert connection.rows(statement("SELECT request_id FROM holds")) == [("r1",)]
    kept = Answer(status=200, headers=(), body=b"{}")
    await odd.settle(reservation, FULL, claim=claim, answer=kept)
    assert await right.claims.take(caller, idempotency_key="k", body=b"body", request_id="r2") == kept
    for number, gateway in enumerate((odd, right)):
        await gateway.reserve(
            caller, request_id=f"dead {number}", model="priced", num_prompt_tokens=60, max_completion_tokens=40
        )
    connection.run(statement("UPDATE owners SET seen_at_ms = seen_at_ms - 200000"))
    await make_books(clock=lambda: time.time() + hours * 3600)
    assert connection.rows(statement("SELECT request_id FROM holds")) == []


@pytest.mark.fault("clocks-of-gateways-differ")
@pytest.mark.parametrize("hours", [-5, 5])
async def test_keys_and_grants_end_by_the_databases_clock_whoever_made_them_and_whoever_asks(
    make_books: MakeBooks, key: str, connection: Connection, hours: int
) -> None:
    odd = await make_books(clock=lambda: time.time() + hours * 3600)
    registry = Registry(connection, clock=lambda: time.time() + hours * 3600)
    ends_at_ms = parse_deadline("1h", now_ms=registry.now_ms())
    grant_ends_at_ms = int((time.time() + 3600) * 1000)
    made = registry.create_key((await odd.authenticate(key)).account_id, KeyOptions(expires_at_ms=ends_at_ms))
    caller = await odd.authenticate(made.secret)
    registry.grant(caller.account_id, currency="USD", micros=500, expires_at_ms=grant_ends_at_ms)
    registry.top_up(caller.account_id, currency="USD", micros=1)
    for gateway in (odd, await make_books()):
        assert await answer(gateway, await gateway.authenticate(made.secret), uuid.uuid4().hex)
    balance = (await odd.balance(caller.account_id)).currencies[0]
    assert (balance.granted_micros, balance.topped_up_micros) == (300, 2001)


async def test_a_settlement_that_waited_for_a_recovery_sees_what_it_did(
    make_books: MakeBooks, key: str, connection: Connection, url: str
) -> None:
    """A batch reads its holds only when it has the balance's lock; read before, the hold would be given back twice."""
    books = await make_books()
    caller = await books.authenticate(key)
    reservation = await books.reserve(
        caller, request_id="r", model="priced", num_prompt_tokens=60, max_completion_tokens=40
    )
    connection.begin()
    connection.rows(statement("SELECT 1 FROM pools FOR UPDATE"))
    settling = asyncio.create_task(books.settle(reservation, FULL))
    watcher = PostgresConnection(url, timeout_s=5.0)
    waiting = statement(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    for _ in range(500):
        if watcher.rows(waiting):
            break
        await asyncio.sleep(0.01)
    watcher.close()
    connection.run(statement("DELETE FROM holds"))
    connection.commit([(statement("UPDATE pools SET held_micros = :held"), [{"held": 0}])])
    await settling
    assert connection.rows(statement("SELECT request_id, cost_micros FROM usage")) == [("r", 100)]
    assert verify_ledger(connection).problems == ()


@pytest.mark.fault("settlement-that-the-database-refuses")
@pytest.mark.parametrize(
    "spoil",
    ["RAISE EXCEPTION 'refused by the test'", "NEW.model := repeat('x', 1500000000)", "NEW.account_id := NULL"],
)
async def test_a_settlement_that_postgresql_refuses_is_kept_apart_whatever_the_reason(
    make_books: MakeBooks, key: str, connection: Connection, spoil: str
) -> None:
    books = await make_books()
    caller = await books.authenticate(key)
    function = f"CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {spoil}; RETURN NEW; END $$"
    connection.run(statement(function))
    connection.run(
        statement(
            "CREATE TRIGGER spoiled BEFORE INSERT ON usage FOR EACH ROW WHEN (NEW.request_id = 'bad') "
            "EXECUTE FUNCTION spoil()"
        )
    )
    assert all(await asyncio.gather(*(answer(books, caller, name) for name in ("r1", "bad", "r2"))))
    assert books.num_refused == 1
    assert connection.rows(statement("SELECT request_id FROM usage ORDER BY 1")) == [("r1",), ("r2",)]
    assert connection.rows(statement("SELECT request_id FROM holds")) == [("bad",)]


async def test_an_idempotency_key_holds_across_gateways(make_books: MakeBooks, key: str) -> None:
    first, second = await make_books(), await make_books()
    caller = await first.authenticate(key)
    claim = await first.claims.take(caller, idempotency_key="k", body=b"body", request_id="r1")
    assert isinstance(claim, Claim)
    waits = await second.claims.take(caller, idempotency_key="k", body=b"body", request_id="r2")
    assert isinstance(waits, Twin)
    twin = asyncio.create_task(second.claims.answer_to(waits))
    with pytest.raises(IdempotencyConflict):
        await second.claims.take(caller, idempotency_key="k", body=b"other", request_id="r3")
    reservation = await first.reserve(
        caller, request_id="r1", model="priced", num_prompt_tokens=60, max_completion_tokens=40, is_retry_safe=True
    )
    kept = Answer(status=200, headers=(("content-type", "application/json"),), body=b"\x00{}")
    await first.settle(reservation, FULL, claim=claim, answer=kept)
    assert await twin == kept


@pytest.mark.fault("database-away")
async def test_a_database_that_goes_away_and_comes_back(
    make_books: MakeBooks,
    key: str,
    connection: Connection,
    postgres: Postgres,  # noqa: F811
    url: str,
    tmp_path: Path,
) -> None:
    books = await make_books(busy_timeout_s=1.0, store_timeout_s=0.5)
    caller = await books.authenticate(key)
    reservation = await books.reserve(
        caller, request_id="r", model="priced", num_prompt_tokens=60, max_completion_tokens=40
    )
    postgres.stop()
    try:
        with pytest.raises(StoreError):
            await books.authenticate(key)
        with pytest.raises(StoreError):
            await answer(books, caller, "refused")
        assert (await books.settle(reservation, FULL)).cost_micros == 100
        assert (tmp_path / "gateway0" / "books.unsettled.jsonl").exists()
    finally:
        postgres.start()
    for _ in range(200):  # it comes back by itself
        try:
            assert await answer(books, caller, "next")
            break
        except StoreError:
            await asyncio.sleep(0.05)
    after = open_connection(settings(url), tmp_path)
    rows = after.rows(statement("SELECT request_id, cost_micros FROM usage ORDER BY request_id"))
    assert rows == [("next", 100), ("r", 100)]
    assert verify_ledger(after).problems == ()
    after.close()


async def test_a_database_that_falls_silent_keeps_no_answer_back_for_long_and_loses_no_charge(
    make_books: MakeBooks,
    key: str,
    connection: Connection,
    postgres: Postgres,  # noqa: F811
    tmp_path: Path,
) -> None:
    books = await make_books(store_timeout_s=0.5)
    caller = await books.authenticate(key)
    reservation = await books.reserve(
        caller, request_id="r", model="priced", num_prompt_tokens=60, max_completion_tokens=40
    )
    postgres.pause()
    try:
        with pytest.raises(StoreError):
            await books.authenticate(key)
        assert (await books.settle(reservation, FULL)).cost_micros == 100
        assert (tmp_path / "gateway0" / "books.unsettled.jsonl").exists()
    finally:
        postgres.resume()
    for number in range(200):
        try:
            assert await answer(books, caller, f"next {number}")
            break
        except StoreError:
            await asyncio.sleep(0.05)
    assert connection.rows(statement("SELECT cost_micros FROM usage")) == [(100,), (100,)]
    assert verify_ledger(connection).problems == ()


def test_a_killed_gateway_on_postgresql_loses_no_charge(connection: Connection, url: str, tmp_path: Path) -> None:
    registry = Registry(connection)
    account = registry.create_account("load")
    secret = registry.create_key(account.id).secret
    registry.top_up(account.id, currency="USD", micros=10_000_000)
    command = [sys.executable, "-m", "tests.integration.books_load", str(tmp_path), secret, url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        lines = [process.stdout.readline() for _ in range(60)]
        process.kill()
        lines += process.stdout.readlines()
    process.wait()
    connection.run(statement("UPDATE owners SET seen_at_ms = 0"))  # as if a lease had passed
    asyncio.run(open_and_close(books_load.settings(url), tmp_path))
    assert connection.rows(statement("SELECT request_id FROM holds")) == []
    assert verify_ledger(connection).problems == ()
    costs = {row[0]: row[1] for row in connection.rows(statement("SELECT request_id, cost_micros FROM usage"))}
    for line in lines:
        if line.startswith("answered") and line.endswith("\n"):
            _, request_id, cost = line.split()
            assert costs[request_id] == int(cost)


async def open_and_close(of: AccountsSettings, data_dir: Path) -> None:
    books = open_books(of, data_dir, allows_open=False)
    await books.start()
    await books.close()
