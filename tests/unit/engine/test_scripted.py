"""The scripted engine keeps the rules of a real one."""

import asyncio
from collections.abc import Iterable

import pytest

from seekd.engine.scripted import (
    BOS,
    EOS,
    Cached,
    Delay,
    Emit,
    EmitText,
    Fail,
    Finish,
    Script,
    ScriptedEngine,
    ScriptedVocabulary,
    ScriptStep,
    say,
)
from seekd.engine.types import Engine, EngineHealth, EngineRequest, EngineUpdate, FinishReason, Sampling, TokenLogprobs
from seekd.errors import EngineError, Overloaded, ShuttingDown
from seekd.vocabulary import TokenKind, Vocabulary


def request(
    *, max_tokens: int = 100, num_top_logprobs: int | None = None, deadline_s: float | None = None
) -> EngineRequest:
    return EngineRequest(
        request_id="r",
        prompt_token_ids=[256],
        max_tokens=max_tokens,
        sampling=Sampling(num_top_logprobs=num_top_logprobs),
        deadline_s=deadline_s,
    )


async def started(script: Script) -> ScriptedEngine:
    engine = ScriptedEngine(script)
    await engine.start()
    return engine


async def play(script: Script, of: EngineRequest) -> list[EngineUpdate]:
    engine = await started(script)
    return [update async for update in engine.generate(of)]


def script(*steps: ScriptStep) -> Script:
    return lambda _request: steps


def test_is_an_engine_with_a_vocabulary() -> None:
    engine: Engine = ScriptedEngine(say("x"))
    vocabulary: Vocabulary = ScriptedVocabulary()
    assert engine.info.vocab_size == vocabulary.size


def test_plain_text_never_becomes_a_marker() -> None:
    vocabulary = ScriptedVocabulary()
    for spelling, token_id in vocabulary.special_tokens.items():
        assert token_id not in vocabulary.tokenize(f"a{spelling}b")
        assert vocabulary.token_bytes(token_id) == spelling.encode()
        assert vocabulary.kind(token_id) is not TokenKind.NORMAL
        assert vocabulary.encode(f"a{spelling}b") == [ord("a"), token_id, ord("b")]


def test_bytes_round_trip() -> None:
    vocabulary = ScriptedVocabulary()
    assert b"".join(map(vocabulary.token_bytes, vocabulary.tokenize("héllo 世界"))) == "héllo 世界".encode()
    assert vocabulary.kind(65) is TokenKind.NORMAL
    assert vocabulary.end_token_ids == {vocabulary.special_tokens[EOS]}
    assert vocabulary.encode(BOS)[0] not in vocabulary.end_token_ids


async def test_text_is_split_into_updates_and_ends_with_stop() -> None:
    updates = await play(say("hello", num_tokens_per_update=2), request())
    assert [bytes(update.token_ids) for update in updates] == [b"he", b"ll", b"o", b""]
    assert [update.finish_reason for update in updates] == [None, None, None, FinishReason.STOP]


async def test_max_tokens_cuts_the_script() -> None:
    updates = await play(script(EmitText(text="hello"), EmitText(text="never")), request(max_tokens=5))
    assert b"".join(bytes(update.token_ids) for update in updates) == b"hello"
    assert [update.finish_reason for update in updates] == [None, FinishReason.LENGTH]


async def test_cached_tokens_are_on_the_first_update() -> None:
    updates = await play(script(Cached(num_tokens=64), Emit(token_ids=[1])), request())
    assert updates[0].num_cached_tokens == 64


async def test_logprobs_only_where_asked() -> None:
    own = TokenLogprobs(logprob=-1.0, top=((1, -1.0),))
    steps = script(Emit(token_ids=[1], logprobs=[own]), Emit(token_ids=[2]))
    asked = await play(steps, request(num_top_logprobs=1))
    assert asked[0].logprobs == [own]
    assert asked[1].logprobs == [TokenLogprobs(logprob=0.0, top=((2, 0.0),))]
    assert all(update.logprobs is None for update in await play(steps, request()))


@pytest.mark.parametrize("error", [EngineError(), Overloaded()])
async def test_a_failure_is_raised_after_what_came_before(error: EngineError | Overloaded) -> None:
    engine = await started(script(Emit(token_ids=[1]), Fail(error=error)))
    seen: list[EngineUpdate] = []
    with pytest.raises(type(error)):  # noqa: PT012 - the loop is what raises
        async for update in engine.generate(request()):
            seen.append(update)
    assert [update.token_ids for update in seen] == [[1]]


async def test_a_script_chooses_its_end() -> None:
    updates = await play(script(Finish(reason=FinishReason.ERROR, error="why"), Emit(token_ids=[1])), request())
    assert [(update.finish_reason, update.error) for update in updates] == [(FinishReason.ERROR, "why")]


async def test_closing_the_iterator_aborts() -> None:
    engine = await started(say("hello"))
    stream = engine.generate(request())
    await anext(stream)
    await stream.aclose()
    assert engine.aborted_request_ids == ["r"]


async def test_cancelling_the_consumer_aborts() -> None:
    engine = await started(script(Emit(token_ids=[1]), Delay(delay_s=3600)))
    first = asyncio.Event()

    async def consume() -> None:
        async for _update in engine.generate(request()):
            first.set()

    task = asyncio.create_task(consume())
    await first.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert engine.aborted_request_ids == ["r"]


async def test_the_deadline_ends_a_delay() -> None:
    updates = await play(script(Delay(delay_s=3600)), request(deadline_s=0.01))
    assert [update.finish_reason for update in updates] == [FinishReason.DEADLINE]


async def test_closing_the_engine_ends_what_runs_and_refuses_the_rest() -> None:
    def endless(_request: EngineRequest) -> Iterable[ScriptStep]:
        while True:
            yield Emit(token_ids=[1])

    engine = await started(endless)
    stream = engine.generate(request(max_tokens=10**9))
    await anext(stream)
    await engine.close()
    assert [update.finish_reason async for update in stream][-1] is FinishReason.ABORT
    with pytest.raises(ShuttingDown):
        await anext(engine.generate(request()))


async def test_health_follows_the_life_cycle_and_can_be_set() -> None:
    engine = ScriptedEngine(say("x"))
    assert not engine.health.ready
    await engine.start()
    assert engine.health.ready
    engine.set_health(EngineHealth(ready=False, reason="drill"))
    assert engine.health.reason == "drill"
    await engine.close()
    assert not engine.health.ready


async def test_an_aborted_request_ends_within_its_delay() -> None:
    engine = await started(script(Emit(token_ids=[1]), Delay(delay_s=3600)))
    stream = engine.generate(request())
    await anext(stream)
    engine.abort("r")
    engine.abort("never came")
    assert [update.finish_reason async for update in stream] == [FinishReason.ABORT]
    assert engine.aborted_request_ids == []
