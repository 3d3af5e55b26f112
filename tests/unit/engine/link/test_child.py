"""One child process, told how to load and how to end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from seekd.engine.link.child import ChildProcess
from seekd.engine.link.messages import Accepted, FromEngine, Submit, Updates, WorkerJob
from seekd.engine.settings import EngineSettings
from seekd.engine.types import EngineRequest, ModelInfo
from seekd.errors import ConfigError

COMMAND = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))
FOREVER = 1


class Start(Protocol):
    async def __call__(self, model: str) -> ModelInfo: ...


@pytest.fixture
async def received() -> asyncio.Queue[FromEngine]:
    return asyncio.Queue()


@pytest.fixture
async def child(received: asyncio.Queue[FromEngine]) -> AsyncIterator[ChildProcess]:
    async with AsyncExitStack() as stack:
        child = ChildProcess(received.put_nowait)
        stack.push_async_callback(child.close, grace_s=0)
        yield child


@pytest.fixture
def start(child: ChildProcess, tmp_path: Path) -> Start:
    async def start_child(model: str) -> ModelInfo:
        return await child.start(
            COMMAND,
            WorkerJob(model_path=str(tmp_path / model), settings=EngineSettings()),
        )

    return start_child


async def test_it_loads_and_answers(child: ChildProcess, start: Start, received: asyncio.Queue[FromEngine]) -> None:
    assert (await start("loads")).name == "fake"
    child.send(Submit(EngineRequest(request_id="r", prompt_token_ids=[0], max_tokens=1)))
    assert await received.get() == Accepted("r")
    message = await received.get()
    assert isinstance(message, Updates)
    assert [update.token_ids for update in message.updates] == [[0]]


async def test_a_refusal_while_loading_is_raised_as_it_is(start: Start) -> None:
    with pytest.raises(ConfigError, match=r"^The file is no good\.$"):
        await start("refuse")


async def test_a_death_while_loading_says_how_it_died(start: Start) -> None:
    with pytest.raises(ConfigError, match=r"signal SIGABRT.*GGML_ASSERT failed"):
        await start("die")


async def test_the_end_of_the_process_is_told_with_its_cause(child: ChildProcess, start: Start) -> None:
    await start("loads")
    assert child.process_id is not None
    os.kill(child.process_id, signal.SIGKILL)
    assert await child.died() == "signal SIGKILL"


async def test_closing_lets_it_end_by_itself(child: ChildProcess, start: Start) -> None:
    await start("loads")
    await child.close(grace_s=20)
    assert await child.died() == "exit status 0"


async def test_one_that_does_not_end_is_killed(child: ChildProcess, tmp_path: Path) -> None:
    loading = asyncio.create_task(
        child.start(
            COMMAND,
            WorkerJob(model_path=str(tmp_path / "slow"), settings=EngineSettings()),
        )
    )
    async with asyncio.timeout(20):
        while not (tmp_path / "slow.began").exists():
            await asyncio.sleep(0.01)
    await child.close(grace_s=0)
    with pytest.raises(ConfigError, match=r"signal SIGKILL|was closed"):
        await loading


async def test_messages_to_a_closed_one_are_lost(child: ChildProcess, start: Start) -> None:
    await start("loads")
    await child.close(grace_s=0)
    child.send(Submit(EngineRequest(request_id="r", prompt_token_ids=[FOREVER], max_tokens=1)))


async def test_its_log_joins_ours(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await start("loads")
    async with asyncio.timeout(20):
        while ("seekd.fake", logging.INFO, "loading") not in caplog.record_tuples:
            await asyncio.sleep(0.01)


async def test_a_line_without_end_in_its_log_ends_nothing(start: Start) -> None:
    assert (await start("chatty")).name == "fake"


async def test_a_message_larger_than_the_sockets_buffer_arrives_whole(
    child: ChildProcess, start: Start, received: asyncio.Queue[FromEngine]
) -> None:
    await start("loads")
    child.send(Submit(EngineRequest(request_id="r", prompt_token_ids=[0] * 1_000_000, max_tokens=1)))
    assert await received.get() == Accepted("r")
