"""Models are loaded once when asked for, unloaded when another needs their room, and never while somebody uses them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from seekd.engine.scripted import ScriptedEngine, say
from seekd.errors import ConfigError, EngineError, Overloaded, ShuttingDown, UnknownModel
from seekd.models.settings import ModelSettings
from seekd.service.model_pool import Member, ModelPool, Residence, single_model
from seekd.service.model_views import model_views
from seekd.service.served_model import ServedModel

SETTINGS = ModelSettings(prompt_format="deepseek-v4.1", temperature_mapping="none")


class Engine(ScriptedEngine):
    """Loads when the test lets it.

    Attributes:
        may_load: a load ends when this is set.
        num_starts: loads that began.
        error: what the next loads end with.
        is_up: between the end of a load and `close`.
    """

    def __init__(self) -> None:
        super().__init__(say("x"))
        self.may_load = asyncio.Event()
        self.may_load.set()
        self.num_starts = 0
        self.error: ConfigError | None = None
        self.is_up = False

    async def start(self) -> None:
        assert not self.is_up, "started twice"
        self.num_starts += 1
        await self.may_load.wait()
        if self.error is not None:
            raise self.error
        self.is_up = True
        await super().start()

    async def close(self) -> None:
        self.is_up = False
        await super().close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@contextlib.asynccontextmanager
async def _pool(
    *names: str, need: int = 1, budget: int | None = None, **options: Any
) -> AsyncIterator[tuple[ModelPool, dict[str, Engine]]]:
    engines = {name: Engine() for name in names}
    members = [
        Member(
            key=name,
            names=(name,),
            need_bytes=need,
            model=ServedModel(
                engine,
                open_vocabulary=lambda engine=engine: contextlib.nullcontext(engine.vocabulary),  # type: ignore[misc]
                settings=SETTINGS,
            ),
        )
        for name, engine in engines.items()
    ]
    pool = ModelPool(members, budget_bytes=budget, **{"clock": Clock(), "patience_s": 60, **options})
    await pool.start()
    try:
        yield pool, engines
    finally:
        await pool.close()
        assert not any(engine.is_up for engine in engines.values())


async def _use(pool: ModelPool, name: str) -> None:
    async with pool.lease(pool.find(name)) as model:
        assert model.health.ready


async def _settle() -> None:
    """Let everything run that can run; a thread opens vocabularies."""
    for _ in range(20):
        await asyncio.sleep(0.001)


async def _until_draining(member: Member) -> None:
    async with asyncio.timeout(30):
        while not member.is_draining:
            await asyncio.sleep(0.001)


def _up(engines: dict[str, Engine]) -> list[str]:
    return [name for name, engine in engines.items() if engine.is_up]


async def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    async with _pool("a", "b") as (pool, engines):
        assert pool.health.ready
        assert _up(engines) == []
        await _use(pool, "b")
        assert _up(engines) == ["b"]


async def test_requests_at_once_load_a_model_once() -> None:
    async with _pool("a") as (pool, engines):
        await asyncio.gather(*(_use(pool, "a") for _ in range(20)))
        await _use(pool, "a")
        assert engines["a"].num_starts == 1


async def test_a_client_that_leaves_does_not_end_the_load_for_others() -> None:
    async with _pool("a") as (pool, engines):
        engines["a"].may_load.clear()
        leaver, stayer = asyncio.create_task(_use(pool, "a")), asyncio.create_task(_use(pool, "a"))
        await _settle()
        leaver.cancel()
        await asyncio.gather(leaver, return_exceptions=True)
        engines["a"].may_load.set()
        await stayer
        assert engines["a"].num_starts == 1


async def test_the_least_recently_used_model_makes_room() -> None:
    async with _pool("a", "b", "c", budget=2) as (pool, engines):
        for name in ("a", "b", "a", "c"):
            await _use(pool, name)
        assert _up(engines) == ["a", "c"]
        await _use(pool, "b")
        assert _up(engines) == ["b", "c"]


async def test_without_a_budget_everything_stays() -> None:
    async with _pool("a", "b", need=10**15) as (pool, engines):
        await _use(pool, "a")
        await _use(pool, "b")
        assert _up(engines) == ["a", "b"]


async def test_a_model_above_the_budget_is_loaded_alone() -> None:
    async with _pool("a", "b", need=5, budget=4) as (pool, engines):
        await _use(pool, "a")
        await _use(pool, "b")
        assert _up(engines) == ["b"]


async def test_a_model_that_runs_requests_stays_until_they_end() -> None:
    async with _pool("a", "b", budget=1) as (pool, engines):
        async with pool.lease(pool.find("a")):
            waiting = asyncio.create_task(_use(pool, "b"))
            await _settle()
            await _use(pool, "a")  # new requests are still taken
            assert _up(engines) == ["a"]
            assert not waiting.done()
        await waiting
        assert _up(engines) == ["b"]


async def test_a_busy_model_lets_another_in_when_its_patience_is_over() -> None:
    async with _pool("a", "b", budget=1, patience_s=0.01) as (pool, engines):
        async with pool.lease(pool.find("a")):
            for_b = asyncio.create_task(_use(pool, "b"))
            await _until_draining(pool.find("a"))
            for_a = asyncio.create_task(_use(pool, "a"))
            await _settle()
            assert not for_a.done()
            assert engines["a"].is_up
        await asyncio.gather(for_a, for_b)
        assert (engines["a"].num_starts, engines["b"].num_starts) == (2, 1)


async def test_a_draining_model_serves_on_when_room_is_found_elsewhere() -> None:
    async with _pool("a", "b", "c", budget=2, patience_s=0.01) as (pool, engines):
        async with pool.lease(pool.find("a")):
            async with pool.lease(pool.find("b")):
                for_c = asyncio.create_task(_use(pool, "c"))
                await _until_draining(pool.find("a"))
                for_a = asyncio.create_task(_use(pool, "a"))
                await _settle()
            await asyncio.gather(for_c, for_a)
            assert _up(engines) == ["a", "c"]
        assert engines["a"].num_starts == 1


async def test_models_that_take_turns_all_get_their_answers() -> None:
    async with _pool("a", "b", "c", budget=1, patience_s=0.001) as (pool, _):
        async with asyncio.timeout(30):
            await asyncio.gather(*(_use(pool, "abc"[number % 3]) for number in range(60)))


async def test_a_model_that_cannot_be_loaded_is_told_to_its_callers_and_the_others_serve() -> None:
    async with _pool("a", "b", retry_s=1000) as (pool, engines):
        engines["a"].error = ConfigError("/secret/path is damaged.")
        results = await asyncio.gather(_use(pool, "a"), _use(pool, "a"), return_exceptions=True)
        assert [str(error) for error in results] == ["The model a cannot be loaded; the server's log says why."] * 2
        await _use(pool, "b")
        with pytest.raises(EngineError):
            await _use(pool, "a")
        assert engines["a"].num_starts == 1, "it is not tried again at once"
        assert pool.health.ready


async def test_a_model_that_could_not_be_loaded_is_tried_again_later() -> None:
    async with _pool("a", retry_s=0) as (pool, engines):
        engines["a"].error = ConfigError("away")
        with pytest.raises(EngineError):
            await _use(pool, "a")
        assert not pool.health.ready
        engines["a"].error = None
        await _use(pool, "a")
        assert pool.health.ready


async def test_a_wait_has_an_end() -> None:
    async with _pool("a", wait_limit_s=0.01) as (pool, engines):
        engines["a"].may_load.clear()
        with pytest.raises(Overloaded):
            await _use(pool, "a")


async def test_closing_ends_loads_and_tells_who_waits() -> None:
    async with _pool("a") as (pool, engines):
        engines["a"].may_load.clear()
        waiting = asyncio.create_task(_use(pool, "a"))
        await _settle()
        await pool.close()
        with pytest.raises(ShuttingDown):
            await waiting
        with pytest.raises(ShuttingDown):
            await _use(pool, "a")


async def test_names_find_their_model_and_others_the_default() -> None:
    async with _pool("a", "b") as (pool, _):
        assert pool.find("x", "b").key == "b"
        assert pool.find().key == "a"
        with pytest.raises(UnknownModel) as caught:
            pool.find("x")
        assert caught.value.known_models == ("a", "b")
    default = single_model(pool.find("a").model)
    assert default.find("anything").key == "default"


async def test_the_only_model_is_loaded_at_the_start_and_its_error_ends_the_start() -> None:
    engine = Engine()
    model = ServedModel(engine, open_vocabulary=lambda: contextlib.nullcontext(engine.vocabulary), settings=SETTINGS)
    pool = single_model(model)
    assert not pool.health.ready
    engine.error = ConfigError("damaged")
    with pytest.raises(ConfigError, match="damaged"):
        await pool.start()
    engine.error = None
    await pool.start()
    assert pool.health.ready
    assert pool.members[0].residence is Residence.LOADED
    await pool.close()


async def test_an_operator_is_told_where_each_model_is_and_what_is_wrong_with_it() -> None:
    good, bad = Engine(), Engine()
    bad.error = ConfigError("its file is damaged")
    members = [
        Member(
            key=key,
            names=(key,),
            model=ServedModel(
                engine, open_vocabulary=lambda: contextlib.nullcontext(good.vocabulary), settings=SETTINGS
            ),
            need_bytes=7,
            is_preloaded=True,
        )
        for key, engine in (("good", good), ("bad", bad))
    ]
    pool = ModelPool(members)
    await pool.start()
    one, other = model_views(pool.members)
    assert (one.name, one.served_names, one.state, one.reason, one.memory_bytes) == (
        "good",
        ("good",),
        "loaded",
        None,
        7,
    )
    assert (other.state, other.reason) == ("away", "its file is damaged")
    await pool.close()
