"""Running summaries: made part by part, once, at their owner's cost, and refused rather than lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from seekd.config import ByteSize
from seekd.engine.scripted import Cached, Delay, Emit, EmitText, Fail, ScriptStep
from seekd.engine.types import EngineRequest
from seekd.errors import EngineError, Overloaded
from tests.unit.service.talking import CALLER, CONTEXT, Talk, is_summary, read, repeat_facts, talking, turns


def _num_summaries(talk: Talk) -> int:
    return sum(map(is_summary, talk.engine.requests))


async def test_facts_of_old_turns_survive_every_cut() -> None:
    async with talking() as talk:
        for num_turns in range(1, 29):
            await talk.ask(turns(num_turns))
            prompt = read(talk.engine.requests[-1])
            assert [fact for fact in range(num_turns) if f"FACT{fact}" not in prompt] == []
        assert 2 <= _num_summaries(talk) <= 6


async def test_the_next_turn_finds_the_summary_and_the_one_after_a_cut_builds_on_it() -> None:
    async with talking() as talk:
        first = await talk.ask(turns(14))
        again = await talk.ask(turns(15))
        assert first.context is not None
        assert again.context is not None
        assert (first.context.num_summaries, again.context.num_summaries) == (1, 0)
        assert _num_summaries(talk) == 1
        later = await talk.ask(turns(22))
        assert later.context is not None
        assert later.context.num_summaries == 1
        request = [request for request in talk.engine.requests if is_summary(request)][-1]
        assert "- FACT0" in read(request)
        assert f"FACT{first.context.num_turns} x" in read(request)
        assert "FACT0 x" not in read(request)


async def test_a_long_history_that_was_never_here_is_summarised_part_by_part() -> None:
    async with talking() as talk:
        generation = await talk.ask(turns(40))
        assert generation.context is not None
        assert generation.context.num_summaries == _num_summaries(talk) > 3
        assert generation.context.num_turns > 30
        assert "FACT0" in read(talk.engine.requests[-1])


async def test_a_summary_is_asked_for_greedily_in_the_conversations_own_layout() -> None:
    async with talking() as talk:
        await talk.ask(turns(14), temperature=1.5, seed=5, response_format={"type": "text"}, user="u")
        summary, answer = talk.engine.requests
        assert (summary.sampling.temperature, summary.sampling.seed) == (0.0, None)
        assert summary.max_tokens == 200
        assert summary.constraint is None
        assert summary.cache_salt == answer.cache_salt
        assert summary.request_id == f"{answer.request_id}-summary-1"
        text = read(summary)
        assert text.startswith("Be brief.FACT0 ")
        assert text.endswith("Sum it up.-")


async def test_the_report_says_what_the_summaries_took_and_the_books_have_them() -> None:
    def script(request: EngineRequest) -> Iterable[ScriptStep]:
        return [Cached(num_tokens=64), *repeat_facts(request)]

    async with talking(script) as talk:
        generation = await talk.ask(turns(14))
        summary = talk.engine.requests[0]
        assert generation.response()["usage"]["prompt_tokens"] == len(talk.engine.requests[1].prompt_token_ids)
        report = generation.context
        assert report is not None
        assert report.num_summary_prompt_tokens == len(summary.prompt_token_ids)
        assert report.num_summary_cached_tokens == 64
        facts = " ".join(f"FACT{i}" for i in range(report.num_turns))
        assert report.num_summary_completion_tokens == len(facts) + 1
        assert not report.is_summary_cut
        metrics = talk.metrics.exposition().decode()
        assert 'seekd_summaries_total{model="default",outcome="made"} 1.0' in metrics
        assert 'seekd_long_conversations_total{action="summarised",model="default"} 1.0' in metrics


async def test_a_summary_that_reaches_its_limit_is_used_and_said_to_be_cut() -> None:
    async with talking(context=replace(CONTEXT, summary_tokens=20)) as talk:
        generation = await talk.ask(turns(14))
        assert generation.context is not None
        assert generation.context.is_summary_cut
        again = await talk.ask(turns(15))
        assert again.context is not None
        assert again.context.is_summary_cut


@pytest.mark.parametrize("script", [lambda _: [Fail(error=EngineError("it died"))], lambda _: [EmitText(text=" \n")]])
async def test_a_summary_that_cannot_be_made_is_an_error_and_made_again_next_time(script: Any) -> None:
    async with talking(script) as talk:
        for num_requests in (1, 2):
            with pytest.raises(EngineError, match=r"could not be summarised: (it died|the model wrote nothing)"):
                await talk.ask(turns(14))
            assert len(talk.engine.requests) == num_requests
        assert 'seekd_summaries_total{model="default",outcome="failed"} 2.0' in talk.metrics.exposition().decode()


async def test_a_full_engine_says_so() -> None:
    async with talking(lambda _: [Fail(error=Overloaded())]) as talk:
        with pytest.raises(Overloaded):
            await talk.ask(turns(14))


async def test_twins_in_flight_make_one_summary() -> None:
    def script(request: EngineRequest) -> Iterable[ScriptStep]:
        return [Delay(delay_s=0.02), *repeat_facts(request)]

    async with talking(script) as talk:
        both = await asyncio.gather(talk.ask(turns(14)), talk.ask(turns(14)))
        assert _num_summaries(talk) == 1
        assert sorted(twin.context.num_summaries for twin in both if twin.context is not None) == [0, 1]


async def test_accounts_and_users_do_not_share_summaries() -> None:
    async with talking() as talk:
        for user_id in ("a", "b", "a"):
            await talk.ask(turns(14), user_id=user_id)
        assert _num_summaries(talk) == 2
        await talk.ask(turns(14), caller=replace(CALLER, account_id="other"), user_id="a")
        assert _num_summaries(talk) == 3


async def test_the_systems_text_is_no_part_of_what_a_summary_is_known_by() -> None:
    async with talking() as talk:
        await talk.ask(turns(14, system="It is 10:00."))
        await talk.ask(turns(14, system="It is 10:01."))
        assert _num_summaries(talk) == 1


async def test_the_latest_summary_is_enough_to_go_on() -> None:
    async with talking(context=replace(CONTEXT, summaries_ram=ByteSize(600))) as talk:  # room for one
        first = await talk.ask(turns(20))
        again = await talk.ask(turns(20))
        assert first.context is not None
        assert again.context is not None
        assert first.context.num_summaries > 1
        assert again.context.num_summaries == 0
        assert 'seekd_summaries_total{model="default",outcome="reused"} 1.0' in talk.metrics.exposition().decode()


async def test_one_that_was_dropped_from_the_store_is_made_again() -> None:
    async with talking(context=replace(CONTEXT, summaries_ram=ByteSize(0))) as talk:
        for _ in range(2):
            await talk.ask(turns(14))
        assert _num_summaries(talk) == 2


async def test_a_client_that_leaves_ends_its_summary() -> None:
    async with talking(lambda _: [EmitText(text=" a"), Delay(delay_s=60)]) as talk:
        task = asyncio.create_task(talk.open(turns(14)))
        while not talk.engine.requests:
            await asyncio.sleep(0.001)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert talk.engine.aborted_request_ids == [talk.engine.requests[0].request_id]


async def test_what_a_summary_says_never_becomes_a_marker() -> None:
    spelling = "<｜User｜><｜end▁of▁sentence｜>"

    def script(request: EngineRequest) -> Iterable[ScriptStep]:
        # A model may write the spelling of a marker in plain tokens.
        return [Emit(token_ids=list(f" {spelling}".encode()))] if is_summary(request) else [EmitText(text="ok")]

    async with talking(script) as talk:
        await talk.ask(turns(14))
        request = talk.engine.requests[-1]
        assert spelling in read(request)
        marks = [token for token in request.prompt_token_ids if token >= 256]
        num_kept = read(request).count("FACT")
        assert marks.count(talk.engine.vocabulary.special_tokens["<｜User｜>"]) == num_kept
