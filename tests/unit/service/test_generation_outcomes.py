"""What the books and the metrics are told of how a generation ended, with the response cache and without."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seekd.accounts.books import Books, open_books
from seekd.accounts.limiter import Limiter
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.statements import statement
from seekd.accounts.store import open_connection
from seekd.accounts.types import OPEN_ACCOUNT_ID, Caller
from seekd.engine.scripted import Cached, EmitText, Fail, Script, ScriptedEngine, say
from seekd.errors import EngineError
from seekd.models.settings import ModelSettings
from seekd.service.billing import Billing
from seekd.service.generation import Generation
from seekd.service.metrics import Metrics
from seekd.service.model_pool import single_model
from seekd.service.opening import GenerationService
from seekd.service.response_cache.answer_stores import MemoryStore
from seekd.service.response_cache.cache import CacheResult, ResponseCache
from seekd.service.response_cache.settings import ResponseCacheSettings
from seekd.service.served_model import ServedModel
from seekd.wire.chat import parse_chat
from seekd.wire.dialect import CLASSIC

CALLER = Caller(account_id=OPEN_ACCOUNT_ID, key_id=None, key_prefix="", name="open", is_open=True)
MODEL = ModelSettings(prompt_format="deepseek-v4.1", temperature_mapping="none")


@dataclass(slots=True, kw_only=True)
class Served:
    """A service whose requests are numbered."""

    service: GenerationService
    books: Books
    metrics: Metrics
    data_dir: Path
    num_requests: int = 0
    num_prompt_tokens: int = 0

    async def open(self, **fields: Any) -> Generation:
        self.num_requests += 1
        body = {"model": "deepseek-chat", "temperature": 0, "messages": [{"role": "user", "content": "Hi"}], **fields}
        call = parse_chat(json.dumps(body).encode(), dialect=CLASSIC, beta=False)
        request_id = str(self.num_requests)
        generation = await self.service.open(call.request, caller=CALLER, request_id=request_id, response_id="r")
        self.num_prompt_tokens = generation.record.num_prompt_tokens
        return generation

    async def ask(self, **fields: Any) -> None:
        async for _ in (await self.open(**fields)).chunks():
            pass
        await asyncio.sleep(0)  # an answer is kept by a task of its own

    async def leave(self, **fields: Any) -> None:
        generation = await self.open(**fields)
        chunks = generation.chunks()
        await anext(chunks)
        await chunks.aclose()
        assert generation.cache_result is CacheResult.HIT

    async def recorded(self, *columns: str) -> list[list[Any]]:
        """These columns of each request's usage. The books are closed by it."""
        await self.books.close()
        with contextlib.closing(open_connection(AccountsSettings(), self.data_dir)) as connection:
            query = f"SELECT {', '.join(columns)} FROM usage ORDER BY request_id"
            return [list(row) for row in connection.rows(statement(query))]

    def counted(self, reason: str) -> bool:
        return f'seekd_request_total{{model="default",outcome="{reason}"}} 1.0' in self.metrics.exposition().decode()


@contextlib.asynccontextmanager
async def _served(script: Script, data_dir: Path, *, caches: bool = True) -> AsyncIterator[Served]:
    engine = ScriptedEngine(script)
    model = ServedModel(engine, open_vocabulary=lambda: contextlib.nullcontext(engine.vocabulary), settings=MODEL)
    books = open_books(AccountsSettings(), data_dir, allows_open=True)
    await books.start()
    pool = single_model(model)
    await pool.start()
    metrics = Metrics(engines={})
    cache = None
    if caches:
        store = MemoryStore(budget_bytes=100_000, lifetime_s=100.0)
        cache = ResponseCache(ResponseCacheSettings(use="on", replay="original"), store, metrics=metrics)
        await cache.start()
    billing = Billing(books, Limiter(AccountsSettings(), total_micros=books.total_micros))
    service = GenerationService(models=pool, billing=billing, metrics=metrics, cache=cache)
    try:
        yield Served(service=service, books=books, metrics=metrics, data_dir=data_dir)
    finally:
        if cache is not None:
            await cache.close()
        await pool.close()


async def test_an_answer_from_the_cache_is_recorded_as_cached_however_it_ended(tmp_path: Path) -> None:
    async with _served(say("0123456789"), tmp_path) as served:
        for max_tokens in (20, 20, 5, 5, 5):
            await served.ask(max_tokens=max_tokens)
        assert await served.recorded("outcome", "is_error") == [
            ["stop", 0],
            ["cached", 0],
            ["length", 0],
            ["cached", 0],
            ["cached", 0],
        ]
        assert 'time_to_first_token_seconds_count{model="default"} 2.0' in served.metrics.exposition().decode()
        assert 'seekd_request_total{model="default",outcome="cached"} 3.0' in served.metrics.exposition().decode()


async def test_books_metrics_and_log_tell_one_outcome_by_one_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="seekd.service.generation")
    async with _served(say("0123456789", num_tokens_per_update=1), tmp_path) as served:
        await served.ask()
        await served.ask()
        await served.leave()
        told = ["stop", "cached", "disconnect"]
        ended = [vars(record) for record in caplog.records if vars(record).get("action") == "generation_ended"]
        assert [line["outcome"] for line in ended] == told
        assert all(served.counted(outcome) for outcome in told)
        assert await served.recorded("outcome") == [[outcome] for outcome in told]


async def test_who_leaves_an_answer_from_the_cache_has_left(tmp_path: Path) -> None:
    async with _served(say("0123456789", num_tokens_per_update=1), tmp_path) as served:
        await served.ask()
        await served.leave()
        outcomes = await served.recorded("outcome", "is_error", "num_completion_tokens")
        assert outcomes == [["stop", 0, 10], ["disconnect", 0, 1]]


@pytest.mark.parametrize("caches", [False, True])
async def test_without_a_kept_answer_nothing_is_recorded_as_cached(tmp_path: Path, caches: bool) -> None:
    async with _served(lambda _: (Cached(num_tokens=3), EmitText(text="ok")), tmp_path, caches=caches) as served:
        await served.ask()
        [[outcome, hit, miss, first_ms, whole_ms]] = await served.recorded(
            "outcome", "num_hit_tokens", "num_miss_tokens", "first_token_ms", "latency_ms"
        )
        assert (outcome, hit, miss) == ("stop", 3, served.num_prompt_tokens - 3)
        assert 0 <= first_ms <= whole_ms
        assert served.counted("stop")


async def test_a_failure_is_an_error(tmp_path: Path) -> None:
    async with _served(lambda _: (EmitText(text="Hel"), Fail(error=EngineError())), tmp_path) as served:
        with pytest.raises(EngineError):
            await served.ask()
        assert served.counted("error")
        assert await served.recorded("outcome", "is_error", "num_completion_tokens") == [["error", 1, 3]]
