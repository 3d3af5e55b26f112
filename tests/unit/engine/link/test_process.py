"""The supervisor with a child that can be told to fail."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from seekd.engine.link.process import EngineProcess
from seekd.engine.settings import EngineSettings
from seekd.engine.types import Engine, EngineRequest, EngineUpdate, FinishReason
from seekd.errors import ConfigError, EngineError, Overloaded, ShuttingDown

COUNT, FOREVER, KILL, EXIT, REFUSE, GARBAGE, EXPLAIN, HANG, PREFILL = range(9)
WORKER = Path(__file__).with_name("fake_worker.py")

Make = Callable[..., EngineProcess]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def make_engine(
            model: str = "loads", *, restart_wait_s: float = 30, hang_limit_s: float | None = None
        ) -> EngineProcess:
            engine = EngineProcess(
                tmp_path / model,
                EngineSettings(restart_wait_s=restart_wait_s, hang_limit_s=hang_limit_s),
                command=(sys.executable, str(WORKER)),
            )
            stack.push_async_callback(engine.close)
            return engine

        yield make_engine


@pytest.fixture
async def engine(make: Make) -> EngineProcess:
    engine = make()
    await engine.start()
    return engine


def request(order: int, request_id: str = "r", *, max_tokens: int = 3) -> EngineRequest:
    return EngineRequest(request_id=request_id, prompt_token_ids=[order], max_tokens=max_tokens)


async def collect(engine: Engine, of: EngineRequest) -> list[int]:
    return [token_id async for update in engine.generate(of) for token_id in update.token_ids]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_updates_arrive_in_order_and_the_model_describes_itself(engine: EngineProcess) -> None:
    assert await collect(engine, request(COUNT, max_tokens=50)) == list(range(50))
    assert engine.info.name == "fake"
    assert engine.health.ready
    await until(lambda: engine.stats.num_steps == 50)


async def test_requests_run_side_by_side(engine: EngineProcess) -> None:
    forever = engine.generate(request(FOREVER, "a"))
    await anext(forever)
    assert await collect(engine, request(COUNT, "b")) == [0, 1, 2]
    await forever.aclose()


async def test_closing_the_iterator_aborts_in_the_child(engine: EngineProcess, tmp_path: Path) -> None:
    stream = engine.generate(request(FOREVER, "gone"))
    await anext(stream)
    await stream.aclose()
    await until(lambda: (tmp_path / "loads.aborted").exists())
    assert (tmp_path / "loads.aborted").read_text() == "gone\n"


async def test_a_request_that_is_aborted_ends_by_itself(engine: EngineProcess) -> None:
    stream = engine.generate(request(FOREVER, "gone"))
    await anext(stream)
    engine.abort("gone")
    engine.abort("never came")
    async with asyncio.timeout(20):
        reasons = [update.finish_reason async for update in stream]
    assert reasons[-1] is FinishReason.ABORT
    assert await collect(engine, request(COUNT)) == [0, 1, 2]


async def test_an_iterator_that_is_closed_before_the_first_token_hears_what_was_computed(engine: EngineProcess) -> None:
    heard: list[EngineUpdate] = []
    waiting = asyncio.create_task(anext(engine.generate(request(PREFILL, max_tokens=100), heard.append)))
    await until(lambda: len(heard) > 2)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    computed = [update.num_computed_tokens for update in heard]
    assert computed == [*range(1, len(computed)), computed[-1]]
    assert [update.finish_reason for update in heard[:-1]] == [None] * (len(heard) - 1)
    assert heard[-1].finish_reason is FinishReason.ABORT


@pytest.mark.fault("answer-read-too-slowly")
async def test_a_reader_that_falls_far_behind_gets_an_error_and_the_rest_is_not_kept(
    engine: EngineProcess, tmp_path: Path
) -> None:
    stream = engine.generate(request(COUNT, "slow", max_tokens=20_000))
    await anext(stream)
    await until(lambda: (tmp_path / "loads.aborted").exists())
    with pytest.raises(Overloaded, match="read too slowly"):
        await anext(stream)
    assert await collect(engine, request(COUNT)) == [0, 1, 2]


async def test_a_finished_request_is_not_aborted(engine: EngineProcess, tmp_path: Path) -> None:
    await collect(engine, request(COUNT))
    await collect(engine, request(COUNT))
    assert not (tmp_path / "loads.aborted").exists()


async def test_a_death_fails_what_runs_and_the_next_request_works(
    engine: EngineProcess, caplog: pytest.LogCaptureFixture
) -> None:
    streams = [engine.generate(request(FOREVER, name)) for name in "ab"]
    for stream in streams:
        await anext(stream)
    process_id = engine.process_id
    assert process_id is not None
    os.kill(process_id, signal.SIGKILL)
    for stream in streams:
        with pytest.raises(EngineError):
            await drain(stream)
    assert not engine.health.ready
    assert "started again" in engine.health.reason
    assert await collect(engine, request(COUNT)) == [0, 1, 2]
    assert engine.health.ready
    assert engine.num_restarts == 1
    assert "signal SIGKILL" in caplog.text


async def drain(stream: AsyncIterator[EngineUpdate]) -> None:
    async for _update in stream:
        pass


async def test_a_request_that_meets_a_dying_engine_goes_to_the_next(engine: EngineProcess) -> None:
    assert engine.process_id is not None
    os.kill(engine.process_id, signal.SIGKILL)
    assert await collect(engine, request(COUNT)) == [0, 1, 2]


async def test_a_death_that_happens_while_a_request_waits_for_an_engine_is_not_its_own(engine: EngineProcess) -> None:
    assert engine.process_id is not None
    os.kill(engine.process_id, signal.SIGKILL)
    await until(lambda: not engine.health.ready)
    waiting = asyncio.create_task(collect(engine, request(COUNT)))
    await asyncio.sleep(0)
    engine._fail_streams(EngineError)  # the next child has died too, before the request was woken up
    assert await waiting == [0, 1, 2]


@pytest.mark.parametrize(("order", "num_deaths"), [(KILL, 2), (EXIT, 1)])
async def test_only_a_request_that_was_not_accepted_is_repeated_and_only_once(
    engine: EngineProcess, order: int, num_deaths: int
) -> None:
    with pytest.raises(EngineError):
        await collect(engine, request(order))
    assert await collect(engine, request(COUNT)) == [0, 1, 2]
    assert engine.num_restarts == num_deaths


@pytest.mark.fault("engine-hangs")
async def test_an_engine_that_hangs_is_killed_its_requests_fail_and_the_next_one_works(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    engine = make(hang_limit_s=2)
    await engine.start()
    waiting = asyncio.create_task(collect(engine, request(HANG, "hangs")))
    with pytest.raises(EngineError):
        await collect(engine, request(FOREVER, "never answered"))
    with pytest.raises(EngineError):
        await waiting
    assert "has sent nothing for 2 s and is killed" in caplog.text
    assert await collect(engine, request(COUNT)) == [0, 1, 2]
    assert engine.num_restarts >= 1


async def test_an_engine_without_work_or_without_a_limit_may_be_silent(make: Make) -> None:
    idle = make(hang_limit_s=2)
    await idle.start()
    await collect(idle, request(COUNT))
    await asyncio.sleep(2.5)
    unlimited = make("unlimited", hang_limit_s=0)
    await unlimited.start()
    hanging = asyncio.create_task(collect(unlimited, request(HANG)))
    await asyncio.wait({hanging}, timeout=1)
    assert not hanging.done()
    assert (idle.num_restarts, unlimited.num_restarts) == (0, 0)
    assert unlimited.process_id is not None
    os.kill(unlimited.process_id, signal.SIGKILL)
    with pytest.raises(EngineError):
        await hanging


async def test_the_cause_of_a_death_and_the_last_lines_are_logged(
    engine: EngineProcess, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(EngineError):
        await collect(engine, request(EXIT))
    assert "exit status 7; last lines: a last line" in caplog.text


async def test_a_refusal_is_raised_as_its_error(engine: EngineProcess) -> None:
    with pytest.raises(Overloaded):
        await collect(engine, request(REFUSE))


@pytest.mark.fault("garbage-from-the-engine")
async def test_garbage_from_the_child_ends_nothing(engine: EngineProcess, caplog: pytest.LogCaptureFixture) -> None:
    assert await collect(engine, request(GARBAGE)) == [0, 1, 2]
    assert "was not understood" in caplog.text


async def test_an_id_in_use_is_refused(engine: EngineProcess) -> None:
    stream = engine.generate(request(FOREVER))
    await anext(stream)
    with pytest.raises(EngineError):
        await collect(engine, request(COUNT))
    await anext(stream)
    await stream.aclose()


async def test_closing_fails_what_runs_and_refuses_the_rest(engine: EngineProcess) -> None:
    stream = engine.generate(request(FOREVER))
    await anext(stream)
    process_id = engine.process_id
    await engine.close()
    with pytest.raises(ShuttingDown):
        await drain(stream)
    with pytest.raises(ShuttingDown):
        await collect(engine, request(COUNT))
    assert process_id is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)
    assert not engine.health.ready


async def test_a_refused_model_keeps_the_engine_from_starting(make: Make) -> None:
    engine = make("refuse")
    with pytest.raises(ConfigError, match=r"^The file is no good\.$"):
        await engine.start()
    assert not engine.health.ready
    with pytest.raises(EngineError):
        _ = engine.info


async def test_health_says_that_the_model_is_loading(make: Make) -> None:
    engine = make("slow", restart_wait_s=0.05)
    starting = asyncio.create_task(engine.start())
    await until(lambda: "loading" in engine.health.reason)
    with pytest.raises(EngineError, match="loading"):
        await collect(engine, request(COUNT))
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)


async def test_a_restart_that_fails_is_tried_again(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    engine = make("stumble")
    await engine.start()
    assert engine.process_id is not None
    os.kill(engine.process_id, signal.SIGKILL)
    assert await collect(engine, request(COUNT)) == [0, 1, 2]
    assert engine.num_restarts == 2
    assert "did not start: The file is no good." in caplog.text


async def test_explanations_of_recent_requests_are_remembered(engine: EngineProcess) -> None:
    await collect(engine, request(EXPLAIN))
    explanation = engine.explain("r")
    assert explanation is not None
    assert explanation.num_known_tokens == 7
    assert engine.explain("old1098") is not None
    assert engine.explain("old0") is None
