"""One request's life with a scripted engine: what ends it, what it counts, and what is refused before any work."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seekd.accounts.books import open_books
from seekd.accounts.driver import Connection
from seekd.accounts.limiter import Limiter
from seekd.accounts.recovery import recover
from seekd.accounts.registry import Registry
from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.accounts.statements import statement
from seekd.accounts.store import open_connection
from seekd.accounts.types import OPEN_ACCOUNT_ID, Caller
from seekd.engine.scripted import Cached, Computed, Delay, Emit, EmitText, Fail, Finish, Script, ScriptedEngine, say
from seekd.engine.types import FinishReason
from seekd.errors import (
    ContextTooLong,
    EngineError,
    InsufficientBalance,
    Overloaded,
    RequestCancelled,
    SeekdError,
    ShuttingDown,
    UnpricedModel,
)
from seekd.models.settings import ModelSettings
from seekd.service.billing import Billing
from seekd.service.generation import Generation
from seekd.service.metrics import Metrics
from seekd.service.model_pool import single_model
from seekd.service.opening import GenerationService
from seekd.service.served_model import ServedModel
from seekd.wire.chat import parse_chat
from seekd.wire.dialect import CLASSIC

SETTINGS = ModelSettings(prompt_format="deepseek-v4.1", temperature_mapping="v3")


CALLER = Caller(account_id=OPEN_ACCOUNT_ID, key_id=None, key_prefix="", name="open", is_open=True)


PRICED = AccountsSettings(
    prices=(PriceSetting(model="deepseek-chat", currency="USD", hit="1", miss="1000", output="1"),),
    progress_interval_s=0,
)


@contextlib.asynccontextmanager
async def _paid(script: Script) -> AsyncIterator[tuple[GenerationService, Connection]]:
    """A service whose caller pays 1,000 micro-units for each computed prompt token, and its books."""
    with tempfile.TemporaryDirectory() as data_dir:
        connection = open_connection(PRICED, Path(data_dir))
        Registry(connection).top_up(OPEN_ACCOUNT_ID, currency="USD", micros=1_000_000_000)
        async with _service(script, accounts=PRICED, data_dir=data_dir) as (service, _):
            yield service, connection
        connection.close()


@contextlib.asynccontextmanager
async def _service(
    script: Script,
    *,
    context_length: int = 8192,
    accounts: AccountsSettings = AccountsSettings(),  # noqa: B008 - frozen
    data_dir: str | None = None,
) -> AsyncIterator[tuple[GenerationService, ScriptedEngine]]:
    engine = ScriptedEngine(script, context_length=context_length)
    model = ServedModel(engine, open_vocabulary=lambda: contextlib.nullcontext(engine.vocabulary), settings=SETTINGS)
    with tempfile.TemporaryDirectory() as own_dir:
        books = open_books(accounts, Path(data_dir or own_dir), allows_open=True)
        await books.start()
        pool = single_model(model)
        await pool.start()
        try:
            metrics = Metrics(engines={})
            limiter = Limiter(accounts, total_micros=books.total_micros)
            yield GenerationService(models=pool, billing=Billing(books, limiter), metrics=metrics), engine
        finally:
            await pool.close()
            await books.close()


async def _open(service: GenerationService, **fields: Any) -> Generation:
    body = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}], **fields}
    call = parse_chat(json.dumps(body).encode(), dialect=CLASSIC, beta=False)
    return await service.open(call.request, caller=CALLER, request_id=uuid.uuid4().hex, response_id="r")


async def _collect(generation: Generation, seen: list[dict[str, Any]]) -> None:
    async for chunks in generation.chunks():
        seen += chunks


async def _run(generation: Generation) -> dict[str, Any]:
    async for _ in generation.chunks():
        pass
    return generation.response()


async def test_who_cannot_pay_or_has_no_price_is_refused_before_a_model_is_loaded() -> None:
    engine = ScriptedEngine(say("x"))
    model = ServedModel(engine, open_vocabulary=lambda: contextlib.nullcontext(engine.vocabulary), settings=SETTINGS)
    price = PriceSetting(model="deepseek-chat", currency="USD", hit="1", miss="1", output="1")
    free = PriceSetting(model="deepseek-reasoner", currency="USD", hit="0", miss="0", output="0")
    settings = AccountsSettings(prices=(price, free))
    with tempfile.TemporaryDirectory() as data_dir:
        books = open_books(settings, Path(data_dir), allows_open=True)
        await books.start()
        pool = single_model(model)
        billing = Billing(books, Limiter(settings, total_micros=books.total_micros))
        service = GenerationService(models=pool, billing=billing, metrics=Metrics(engines={}))
        try:
            with pytest.raises(InsufficientBalance):
                await _open(service)
            with pytest.raises(UnpricedModel):
                await _open(service, model="deepseek-flash")
            assert not pool.members[0].is_usable
            await _open(service, model="deepseek-reasoner")
            assert pool.members[0].is_usable
            with pytest.raises(UnpricedModel):  # a loaded model does not even tokenize for it
                await _open(service, model="deepseek-flash")
        finally:
            await pool.close()
            await books.close()


async def test_an_answer_carries_its_text_its_end_and_its_counts() -> None:
    async with _service(lambda _: (Cached(num_tokens=5), EmitText(text="Hello"))) as (service, engine):
        generation = await _open(service)
        answer = await _run(generation)
        [choice] = answer["choices"]
        assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello", "stop")
        assert answer["usage"]["completion_tokens"] == 5
        assert answer["usage"]["prompt_tokens"] == len(engine.requests[0].prompt_token_ids)
        assert answer["usage"]["prompt_cache_hit_tokens"] == 5
        assert (generation.record.outcome, generation.record.num_completion_tokens) == ("stop", 5)


async def test_a_character_that_spans_tokens_arrives_whole() -> None:
    async with _service(say("añ😀", num_tokens_per_update=1)) as (service, _):
        answer = await _run(await _open(service))
        assert answer["choices"][0]["message"]["content"] == "añ😀"
        assert answer["usage"]["completion_tokens"] == len("añ😀".encode())


async def test_a_stop_string_ends_the_sequence_and_nothing_behind_it_is_sent_or_counted() -> None:
    async with _service(say("one END two", num_tokens_per_update=11)) as (service, engine):
        generation = await _open(service, stop=["END"])
        answer = await _run(generation)
        assert answer["choices"][0]["message"]["content"] == "one "
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert generation.record.num_completion_tokens == len("one END")
        assert engine.aborted_request_ids == [engine.requests[0].request_id]


async def test_the_token_limit_reaches_the_engine_and_ends_as_length() -> None:
    async with _service(say("abcdefgh")) as (service, _):
        answer = await _run(await _open(service, max_tokens=3))
        assert (answer["choices"][0]["message"]["content"], answer["choices"][0]["finish_reason"]) == ("abc", "length")


async def test_an_unset_limit_becomes_the_documented_one_within_the_room_left() -> None:
    async with _service(say("x"), context_length=8192) as (service, engine):
        await _run(await _open(service))
        assert engine.requests[0].max_tokens == 4096
    async with _service(say("x"), context_length=100) as (service, engine):
        await _run(await _open(service))
        assert engine.requests[0].max_tokens == 100 - len(engine.requests[0].prompt_token_ids)


async def test_a_prompt_that_does_not_fit_is_refused_before_any_work() -> None:
    async with _service(say("x"), context_length=16) as (service, engine):
        with pytest.raises(ContextTooLong) as caught:
            await _open(service, messages=[{"role": "user", "content": "x" * 100}])
        assert caught.value.context_length == 16
        assert caught.value.num_prompt_tokens > 100
        assert not engine.requests


async def test_a_limit_above_the_room_left_is_refused_where_the_dialect_says_so() -> None:
    async with _service(say("x"), context_length=100) as (service, _):
        body = b'{"model":"deepseek-chat","messages":[{"role":"user","content":"Hi"}],"max_tokens":500}'
        request = replace(parse_chat(body, dialect=CLASSIC, beta=False).request, lower_max_tokens=False)
        with pytest.raises(ContextTooLong):
            await service.open(request, caller=CALLER, request_id=uuid.uuid4().hex, response_id="r")


async def test_sampling_parameters_reach_the_engine_with_the_models_own_temperature() -> None:
    async with _service(say("x")) as (service, engine):
        await _run(
            await _open(
                service,
                temperature=1.5,
                top_p=0.5,
                presence_penalty=1,
                frequency_penalty=-1,
                seed=7,
                logprobs=True,
                top_logprobs=2,
            )
        )
        sampling = engine.requests[0].sampling
        assert sampling.temperature == pytest.approx(0.8)
        assert (sampling.top_p, sampling.presence_penalty, sampling.frequency_penalty) == (0.5, 1, -1)
        assert (sampling.seed, sampling.num_top_logprobs) == (7, 2)


async def test_logprobs_are_those_of_the_engine() -> None:
    async with _service(say("ab")) as (service, _):
        answer = await _run(await _open(service, logprobs=True))
        entries = answer["choices"][0]["logprobs"]["content"]
        assert [entry["token"] for entry in entries] == ["a", "b"]
        assert [entry["bytes"] for entry in entries] == [[97], [98]]


def _used(connection: Connection) -> list[tuple[Any, ...]]:
    wanted = "SELECT outcome, num_hit_tokens, num_miss_tokens, cost_micros FROM usage"
    return [tuple(row) for row in connection.rows(statement(wanted))]


async def _until_computed(generation: Generation) -> asyncio.Task[dict[str, Any]]:
    running = asyncio.create_task(_run(generation))
    async with asyncio.timeout(10):
        while not generation.record.num_computed_tokens:
            await asyncio.sleep(0)
    return running


async def test_a_client_that_leaves_while_its_prompt_is_computed_pays_for_what_was_computed() -> None:
    script = (Cached(num_tokens=2), Computed(num_tokens=5), Delay(delay_s=60))
    async with _paid(lambda _: script) as (service, connection):
        running = await _until_computed(await _open(service))
        running.cancel()
        await asyncio.wait([running])
        assert _used(connection) == [("interrupted", 2, 5, 5002)]


async def test_a_request_that_is_cancelled_in_its_prompt_pays_for_what_was_computed() -> None:
    async with _paid(lambda _: (Computed(num_tokens=5), Delay(delay_s=60))) as (service, connection):
        generation = await _open(service)
        running = await _until_computed(generation)
        service.running.cancel(generation.request_id)
        with pytest.raises(RequestCancelled):
            await running
        assert _used(connection) == [("cancelled", 0, 5, 5000)]
        assert service.running.views() == []


async def test_a_request_that_is_cancelled_while_its_client_reads_slowly_frees_the_engine_at_once() -> None:
    script = (EmitText(text="a"), Delay(delay_s=60), EmitText(text="b"))
    async with _service(lambda _: script) as (service, engine):
        generation = await _open(service)
        chunks = generation.chunks()
        await anext(chunks)
        service.running.cancel(generation.request_id)
        assert engine.aborts == [generation.request_id]
        with pytest.raises(RequestCancelled):
            await anext(chunks)
        assert generation.record.outcome == "cancelled"


async def test_a_request_that_has_ended_is_no_more_listed_and_cannot_be_cancelled() -> None:
    async with _service(say("x")) as (service, _):
        generation = await _open(service)
        assert service.running.views() == []
        await _run(generation)
        service.running.cancel(generation.request_id)
        assert (service.running.views(), generation.record.outcome) == ([], "stop")


async def test_a_client_that_leaves_before_anything_was_computed_pays_nothing() -> None:
    async with _paid(lambda _: (Cached(num_tokens=2), Delay(delay_s=60))) as (service, connection):
        generation = await _open(service)
        running = asyncio.create_task(_run(generation))
        async with asyncio.timeout(10):
            while not generation.is_admitted:
                await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
        assert _used(connection) == []
        assert connection.rows(statement("SELECT request_id FROM holds")) == []


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (Fail(error=EngineError()), "error"),
        (Finish(reason=FinishReason.DEADLINE), "deadline"),
        (Fail(error=ShuttingDown()), "shutdown"),
    ],
)
async def test_what_was_computed_is_paid_however_a_prompt_ends(end: Fail | Finish, outcome: str) -> None:
    async with _paid(lambda _: (Computed(num_tokens=5), end)) as (service, connection):
        with pytest.raises(SeekdError):
            await _run(await _open(service))
        assert _used(connection) == [(outcome, 0, 5, 5000)]


@pytest.mark.fault("killed-within-a-prompt")
async def test_a_note_of_a_prompt_that_is_computed_tells_a_recovery_what_to_charge() -> None:
    async with _paid(lambda _: (Computed(num_tokens=5), Delay(delay_s=60))) as (service, connection):
        generation = await _open(service)
        running = await _until_computed(generation)
        noted: list[Any] = []
        async with asyncio.timeout(10):
            while not noted:
                await asyncio.sleep(0)
                held = connection.rows(statement("SELECT progress FROM holds WHERE progress IS NOT NULL"))
                noted = [json.loads(row[0]) for row in held]
        assert [usage["num_miss_tokens"] for usage in noted] == [5]
        recover(connection, owner="the next server", now_ms=lambda: 2**41, lease_ms=None)
        assert _used(connection) == [("recovered", 0, 5, 5000)]
        running.cancel()
        await asyncio.wait([running])


async def test_closing_early_aborts_the_sequence() -> None:
    async with _service(lambda _: (EmitText(text="a"), Delay(delay_s=60), EmitText(text="b"))) as (service, engine):
        generation = await _open(service)
        chunks = generation.chunks()
        await anext(chunks)
        await chunks.aclose()
        assert engine.aborted_request_ids == [engine.requests[0].request_id]
        assert generation.record.outcome == "disconnect"


@pytest.mark.parametrize(
    ("end", "error", "finish"),
    [
        (Fail(error=EngineError("it died")), EngineError, "error"),
        (Fail(error=Overloaded()), Overloaded, "error"),
        (Finish(reason=FinishReason.ERROR, error="matcher failed"), EngineError, "error"),
        (Finish(reason=FinishReason.DEADLINE), Overloaded, "deadline"),
        (Finish(reason=FinishReason.ABORT), ShuttingDown, "shutdown"),
    ],
)
async def test_what_the_engine_could_not_finish_is_an_error_and_never_a_closing_event(
    end: Fail | Finish, error: type[Exception], finish: str
) -> None:
    async with _service(lambda _: (EmitText(text="a"), end)) as (service, _):
        generation = await _open(service, stream=True)
        seen: list[dict[str, Any]] = []
        with pytest.raises(error):
            await _collect(generation, seen)
        assert seen
        assert all(chunk["choices"][0]["finish_reason"] is None for chunk in seen)
        assert generation.record.outcome == finish


async def test_different_users_of_one_account_do_not_share_a_cache() -> None:
    async with _service(say("x")) as (service, engine):
        for user in ("a", "b", "a"):
            await _run(await _open(service, user_id=user))
        salts = [request.cache_salt for request in engine.requests]
        assert salts[0] == salts[2] != salts[1]


async def test_a_text_of_the_user_never_becomes_a_marker() -> None:
    async with _service(say("x")) as (service, engine):
        vocabulary = engine.vocabulary
        for spelling in vocabulary.special_tokens:
            await _run(await _open(service, messages=[{"role": "user", "content": f"a{spelling}b"}]))
        plain = await _open(service)
        await _run(plain)
        marker_ids = set(vocabulary.special_tokens.values())
        of_plain = [token for token in engine.requests[-1].prompt_token_ids if token in marker_ids]
        for request in engine.requests[:-1]:
            assert [token for token in request.prompt_token_ids if token in marker_ids] == of_plain


async def test_empty_updates_do_not_disturb_the_answer() -> None:
    async with _service(lambda _: (Emit(token_ids=()), EmitText(text="ok"))) as (service, _):
        assert (await _run(await _open(service)))["choices"][0]["message"]["content"] == "ok"
