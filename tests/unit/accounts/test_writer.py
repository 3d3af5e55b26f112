"""What is committed together, what fails alone, and what is never lost."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from seekd.accounts.claims import TakeClaim
from seekd.accounts.driver import Connection, Dialect, Parameters, Row, Statement, TransactionFailed, Write
from seekd.accounts.journal import Journal
from seekd.accounts.operations import Reserve, Settle, TopUp
from seekd.accounts.refused import RefusedSettlements
from seekd.accounts.statements import statement
from seekd.accounts.transaction import Needs, Transaction, run_batch
from seekd.accounts.types import Answer, Claim, Price, Reservation, Twin, Usage
from seekd.accounts.verify import verify_ledger
from seekd.accounts.writer import MAX_BATCH, SAVED, Writer
from seekd.errors import StoreError
from tests.unit.accounts.conftest import refuse_usage

USED = statement("SELECT request_id FROM usage ORDER BY request_id")
LEDGER = statement("SELECT reference FROM ledger ORDER BY id")


class Faulty:
    """Passes everything on and counts commits; `away` makes each transaction fail, as a database that is away."""

    dialect: Dialect = "sqlite"

    def __init__(self, inner: Connection) -> None:
        self._inner = inner
        self.num_commits = 0
        self.away = 0
        self.lost_answers = 0

    def begin(self) -> None:
        if self.away:
            self.away -= 1
            raise TransactionFailed("away", is_away=True)
        self._inner.begin()

    def begin_reading(self) -> None:
        self._inner.begin_reading()

    def commit(self, writes: Sequence[Write] = ()) -> None:
        self._inner.commit(writes)
        self.num_commits += 1
        if self.lost_answers:
            self.lost_answers -= 1
            raise TransactionFailed("the connection broke before the answer to COMMIT", is_away=True)

    def rollback(self) -> None:
        self._inner.rollback()

    def rows(self, query: Statement, parameters: Parameters | None = None) -> list[Row]:
        return self._inner.rows(query, parameters)

    def rows_together(self, queries: Sequence[tuple[Statement, Parameters]]) -> list[list[Row]]:
        return self._inner.rows_together(queries)

    def stream(self, query: Statement, parameters: Parameters | None = None) -> Any:
        return self._inner.stream(query, parameters)

    def run(self, command: Statement, parameters: Parameters | None = None) -> int:
        return self._inner.run(command, parameters)

    def close(self) -> None:
        self._inner.close()


class Bug:
    """An operation with a bug."""

    account_id = "open"

    @property
    def needs(self) -> Needs:
        return Needs()

    def apply(self, transaction: Transaction) -> None:
        raise ZeroDivisionError


def top_up(number: int) -> TopUp:
    return TopUp(account_id="open", currency="USD", micros=1, reference=str(number))


@pytest.fixture
def faulty(connect: Callable[[], Connection]) -> Faulty:
    return Faulty(connect())


@pytest.fixture
def make(faulty: Faulty, tmp_path: Path) -> Callable[..., Writer]:
    def make(store_timeout_s: float = 5.0) -> Writer:
        journal, refused = Journal(tmp_path / "journal"), RefusedSettlements(tmp_path / "refused")
        return Writer(lambda: faulty, journal, refused, owner="o", now_ms=lambda: 1, store_timeout_s=store_timeout_s)

    return make


def references(connect: Callable[[], Connection]) -> list[str]:
    return [row[0] for row in connect().rows(LEDGER)]


async def test_what_is_queued_together_is_committed_together_in_order(
    make: Callable[..., Writer], faulty: Faulty, connect: Callable[[], Connection]
) -> None:
    writer = make()
    writer._loop = asyncio.get_running_loop()  # queued before the thread runs, so that the batch is certain
    futures = [writer.submit(top_up(number)) for number in range(100)]
    writer.start(asyncio.get_running_loop())
    await asyncio.gather(*futures)
    assert faulty.num_commits == 1
    assert references(connect) == [str(number) for number in range(100)]
    await asyncio.to_thread(writer.stop, give_up_after_s=5)


async def test_an_operation_with_a_bug_fails_alone(
    make: Callable[..., Writer], connect: Callable[[], Connection]
) -> None:
    writer = make()
    writer._loop = asyncio.get_running_loop()
    futures = [writer.submit(operation) for operation in (top_up(1), Bug(), top_up(2))]
    writer.start(asyncio.get_running_loop())
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), StoreError, type(None)]
    assert references(connect) == ["1", "2"]
    await writer.submit(top_up(3))  # the thread lives
    await asyncio.to_thread(writer.stop, give_up_after_s=5)


async def test_while_the_database_is_away_waiting_ends_and_what_must_not_be_lost_stays(
    make: Callable[..., Writer], faulty: Faulty, connect: Callable[[], Connection]
) -> None:
    writer = make(store_timeout_s=0.0)
    faulty.away = 3
    writer.start(asyncio.get_running_loop())
    durable = writer.submit(top_up(1), is_durable=True)
    with pytest.raises(StoreError):
        await writer.submit(top_up(2))
    await durable
    assert references(connect) == ["1"]
    await asyncio.to_thread(writer.stop, give_up_after_s=5)


async def test_what_is_written_is_known_by_its_number(make: Callable[..., Writer], faulty: Faulty) -> None:
    writer = make()
    writer.start(asyncio.get_running_loop())
    assert (writer.num_queued, writer.num_written) == (0, 0)
    await asyncio.gather(*(writer.submit(top_up(number), is_durable=True) for number in range(3)))
    async with asyncio.timeout(30):
        while writer.num_written != 3:
            await asyncio.sleep(0.001)
    faulty.away = 10**6
    writer.post(top_up(4), is_durable=True)
    writer.post(top_up(5), is_durable=True)
    async with asyncio.timeout(30):
        while not writer.is_behind:
            await asyncio.sleep(0.001)
    assert (writer.num_queued, writer.num_written) == (5, 3)
    faulty.away = 0
    await asyncio.to_thread(writer.stop, give_up_after_s=5)
    assert writer.num_written == 5


async def test_stopping_writes_what_is_queued(make: Callable[..., Writer], connect: Callable[[], Connection]) -> None:
    writer = make()
    writer.start(asyncio.get_running_loop())
    for number in range(1000):
        writer.post(top_up(number), is_durable=True)
    await asyncio.to_thread(writer.stop, give_up_after_s=30)
    assert len(references(connect)) == 1000


async def test_stopping_gives_up_on_a_database_that_stays_away(make: Callable[..., Writer], faulty: Faulty) -> None:
    writer = make()
    faulty.away = 10**9
    writer.start(asyncio.get_running_loop())
    durable = writer.submit(top_up(1), is_durable=True)
    await asyncio.to_thread(writer.stop, give_up_after_s=0.0)
    with pytest.raises(StoreError):
        await durable


async def test_a_commit_whose_answer_was_lost_is_done_once(
    make: Callable[..., Writer], faulty: Faulty, connect: Callable[[], Connection]
) -> None:
    run_batch(connect(), [TopUp(account_id="open", currency="USD", micros=100, reference="p")], now_ms=1, owner="")
    price = Price(hit_micros=1_000_000, miss_micros=1_000_000, output_micros=1_000_000)
    reserve = Reserve(
        account_id="open",
        key_id=None,
        request_id="r",
        model="m",
        prices=(("USD", price),),
        num_prompt_tokens=60,
        max_completion_tokens=0,
        is_retry_safe=False,
    )
    writer = make()
    writer.start(asyncio.get_running_loop())
    faulty.lost_answers = 1
    reservation = await writer.submit(reserve)
    assert reservation.held_micros == 60
    faulty.lost_answers = 1
    usage = Usage(num_hit_tokens=0, num_miss_tokens=50, num_completion_tokens=0)
    assert await writer.submit(Settle(reservation=reservation, usage=usage), is_durable=True) is SAVED
    await asyncio.to_thread(writer.stop, give_up_after_s=5)
    assert connect().rows(statement("SELECT topped_up_micros, held_micros FROM pools")) == [(50, 0)]
    assert verify_ledger(connect()).problems == ()


def settlement(request_id: str, *, claim: Claim | None = None, answer: Answer | None = None) -> Settle:
    price = Price(hit_micros=1_000_000, miss_micros=1_000_000, output_micros=1_000_000)
    reservation = Reservation(
        request_id=request_id,
        account_id="open",
        key_id=None,
        model="m",
        currency="USD",
        held_micros=0,
        price=price,
        is_retry_safe=False,
        reserved_at_ms=1,
    )
    usage = Usage(num_hit_tokens=0, num_miss_tokens=5, num_completion_tokens=0)
    return Settle(reservation=reservation, usage=usage, claim=claim, answer=answer, answer_expires_at_ms=10**15)


async def test_a_settlement_waits_no_longer_than_until_the_journal_has_it(
    make: Callable[..., Writer], faulty: Faulty, tmp_path: Path
) -> None:
    writer = make(store_timeout_s=60.0)
    faulty.away = 10**9
    writer.start(asyncio.get_running_loop())
    async with asyncio.timeout(30):
        assert await writer.submit(settlement("r"), is_durable=True) is SAVED
    assert [saved.reservation.request_id for saved in Journal(tmp_path / "journal").read()] == ["r"]
    faulty.away = 0
    await asyncio.to_thread(writer.stop, give_up_after_s=30)
    assert Journal(tmp_path / "journal").read() == []


async def test_what_was_saved_from_outside_stays_in_the_journal_until_it_is_committed(
    make: Callable[..., Writer], tmp_path: Path
) -> None:
    writer = make()
    writer.save(settlement("r"))
    writer.start(asyncio.get_running_loop())
    await writer.submit(top_up(1))
    await writer.submit(top_up(2))
    assert len(Journal(tmp_path / "journal").read()) == 1
    writer.forget_saved(settlement("r"))
    await writer.submit(top_up(3))
    await asyncio.to_thread(writer.stop, give_up_after_s=5)
    assert Journal(tmp_path / "journal").read() == []


@pytest.mark.fault("settlement-that-the-database-refuses")
async def test_a_settlement_that_is_refused_is_written_down_and_holds_up_no_other(
    make: Callable[..., Writer], connect: Callable[[], Connection], tmp_path: Path
) -> None:
    refuse_usage(connect(), "r bad")
    writer = make()
    writer._loop = asyncio.get_running_loop()  # queued before the thread runs, so that all are in one batch
    names = ["r1", "r2", "r bad", "r3", "r4"]
    futures = [writer.submit(settlement(name), is_durable=True) for name in names]
    writer.start(asyncio.get_running_loop())
    async with asyncio.timeout(30):
        results = await asyncio.gather(*futures)
    assert [result is SAVED for result in results] == [name == "r bad" for name in names]
    await asyncio.to_thread(writer.stop, give_up_after_s=5)
    (refusal,) = RefusedSettlements(tmp_path / "refused").read()
    assert (refusal.request_id, refusal.reason) == ("r bad", "SQLite: refused by the test")
    assert connect().rows(USED) == [("r1",), ("r2",), ("r3",), ("r4",)]
    assert writer.num_written == len(names)


async def test_the_idempotency_key_of_a_refused_settlement_keeps_its_answer(
    make: Callable[..., Writer], connect: Callable[[], Connection]
) -> None:
    refuse_usage(connect(), "r bad")
    writer = make()
    writer.start(asyncio.get_running_loop())
    twin = Twin(account_id="open", idempotency_key="k", body_hash=b"")
    take = TakeClaim(twin=twin, request_id="r bad", lifetime_ms=10**6)
    claim, kept = await writer.submit(take), Answer(status=200, headers=(), body=b"{}")
    assert await writer.submit(settlement("r bad", claim=claim, answer=kept), is_durable=True) is SAVED
    assert await writer.submit(take) == kept
    await asyncio.to_thread(writer.stop, give_up_after_s=5)


async def test_a_refused_settlement_that_cannot_be_written_down_is_tried_until_it_can(
    make: Callable[..., Writer], connect: Callable[[], Connection], tmp_path: Path
) -> None:
    refuse_usage(connect(), "r bad")
    (tmp_path / "refused").mkdir()
    writer = make()
    writer.start(asyncio.get_running_loop())
    refused = writer.submit(settlement("r bad"), is_durable=True)
    async with asyncio.timeout(30):
        while not writer.is_behind:
            await asyncio.sleep(0.001)
        assert await writer.submit(settlement("r1"), is_durable=True) is not SAVED
        assert not refused.done()
        (tmp_path / "refused").rmdir()
        assert await refused is SAVED
    await asyncio.to_thread(writer.stop, give_up_after_s=5)
    assert RefusedSettlements(tmp_path / "refused").num == 1


@pytest.mark.fault("stop-while-the-database-is-away")
async def test_stopping_leaves_every_settlement_to_the_journal_however_many_wait(
    make: Callable[..., Writer], faulty: Faulty, tmp_path: Path
) -> None:
    writer = make()
    faulty.away = 10**9
    names = [f"r{number}" for number in range(3 * MAX_BATCH)]
    for name in names:
        writer.post(settlement(name), is_durable=True)
    writer.start(asyncio.get_running_loop())
    await asyncio.to_thread(writer.stop, give_up_after_s=0.0)
    assert [saved.reservation.request_id for saved in Journal(tmp_path / "journal").read()] == names
