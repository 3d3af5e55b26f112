"""The counter of one process, and how the one in Redis renews its places, which is tested against a real Redis too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from seekd.accounts.concurrency import ConcurrencyLimit, Full, LocalConcurrencyCounter, RedisConcurrencyCounter
from tests.unit.accounts.conftest import Waits

ACCOUNT, KEY = ConcurrencyLimit(name="account", limit=2), ConcurrencyLimit(name="key", limit=1)


async def test_a_place_is_taken_under_all_names_or_none() -> None:
    counter = LocalConcurrencyCounter()
    assert await counter.enter("1", [ACCOUNT, KEY]) is None
    assert await counter.enter("2", [ACCOUNT, KEY]) == Full(limit=KEY, num_running=1)
    assert await counter.enter("3", [ACCOUNT]) is None  # the refused one left no trace in the account's counter
    assert await counter.enter("4", [ACCOUNT]) == Full(limit=ACCOUNT, num_running=2)


async def test_places_come_back_and_leave_nothing_behind() -> None:
    counter = LocalConcurrencyCounter()
    for number in range(100):
        assert await counter.enter(str(number), [KEY]) is None
        await counter.leave(str(number), [KEY])
    assert not counter._running


class RecordingRedis:
    """Speaks Redis' protocol, answers every script alike, and remembers the keys and arguments of each."""

    def __init__(self) -> None:
        self.scripts: list[list[str]] = []
        self.answer = b"*2\r\n:0\r\n:0\r\n"
        self.is_refusing = False
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while header := await reader.readline():
            words = []
            for _ in range(int(header[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2].decode())
            writer.write(self._answer_to(words))
        writer.close()

    def _answer_to(self, words: list[str]) -> bytes:
        if words[:2] == ["SCRIPT", "EXISTS"]:
            return b"*%d\r\n" % len(words[2:]) + b":1\r\n" * len(words[2:])
        if words[0] == "EVALSHA":
            if self.is_refusing:
                return b"-ERR no\r\n"
            self.scripts.append(words[3:])
            return self.answer
        return b"+OK\r\n"


@pytest.fixture
async def redis() -> AsyncIterator[RecordingRedis]:
    recording = RecordingRedis()
    async with await asyncio.start_server(recording.serve, "127.0.0.1", 0) as server:
        recording.url = f"valkey://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield recording
        server.close()


@asynccontextmanager
async def counter_at(redis: RecordingRedis, waits: Waits) -> AsyncIterator[RedisConcurrencyCounter]:
    counter = RedisConcurrencyCounter(redis.url, lease_s=60.0, sleep=waits)
    try:
        yield counter
    finally:
        await counter.close()


ACCOUNT_NAME, KEY_NAME = "seekd:running:account", "seekd:running:key"


async def test_every_place_is_renewed_for_a_whole_lease_three_times_in_its_length(redis: RecordingRedis) -> None:
    waits = Waits()
    async with counter_at(redis, waits) as counter:
        assert await counter.enter("1", [ACCOUNT, KEY]) is None
        assert await counter.enter("2", [ACCOUNT]) is None
        assert redis.scripts == [[ACCOUNT_NAME, KEY_NAME, "60.0", "1", "2", "1"], [ACCOUNT_NAME, "60.0", "2", "2"]]
        redis.scripts.clear()
        await waits.end_one()
        assert redis.scripts == [[ACCOUNT_NAME, KEY_NAME, "60.0", "1"], [ACCOUNT_NAME, "60.0", "2"]]
        assert waits.seconds == [20.0, 20.0]  # one renewal for all places


async def test_a_place_that_was_left_or_never_taken_is_not_renewed(redis: RecordingRedis) -> None:
    waits = Waits()
    async with counter_at(redis, waits) as counter:
        await counter.enter("1", [ACCOUNT])
        redis.answer = b"*2\r\n:2\r\n:1\r\n"
        assert await counter.enter("2", [ACCOUNT, KEY]) == Full(limit=KEY, num_running=1)
        redis.scripts.clear()
        await waits.end_one()
        assert redis.scripts == [[ACCOUNT_NAME, "60.0", "1"]]
        redis.scripts.clear()
        await counter.leave("1", [ACCOUNT])
        await waits.end_one()
        assert redis.scripts == []


async def test_a_renewal_that_fails_is_followed_by_the_next(
    redis: RecordingRedis, caplog: pytest.LogCaptureFixture
) -> None:
    waits = Waits()
    async with counter_at(redis, waits) as counter:
        await counter.enter("1", [ACCOUNT])
        redis.scripts.clear()
        redis.is_refusing = True
        await waits.end_one()
        assert "could not be renewed" in caplog.text
        redis.is_refusing = False
        await waits.end_one()
        assert redis.scripts == [[ACCOUNT_NAME, "60.0", "1"]]


async def test_a_closed_counter_renews_nothing_and_one_that_was_never_used_can_be_closed(redis: RecordingRedis) -> None:
    waits = Waits()
    async with counter_at(redis, waits) as counter:
        await counter.enter("1", [ACCOUNT])
        task = counter._renewal
    assert task is not None
    assert task.cancelled()
    async with counter_at(redis, waits):
        pass
