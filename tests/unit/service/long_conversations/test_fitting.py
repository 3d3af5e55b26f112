"""What happens to conversations that do not fit: chosen by request, account or model, and never in silence."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seekd.engine.scripted import Delay, EmitText
from seekd.errors import ContextTooLong, InvalidParameter, Overloaded
from seekd.models.settings import LongConversationName
from seekd.prompt.answer.context_report import ContextReport
from seekd.request import LongConversation
from tests.unit.service.talking import CALLER, CONTEXT, is_summary, read, talking, turns

REFUSE, DROP, SUMMARISE = LongConversation


async def test_by_default_it_is_refused_with_the_true_numbers() -> None:
    async with talking(choice="refuse") as talk:
        with pytest.raises(ContextTooLong) as caught:
            await talk.ask(turns(30))
        assert caught.value.num_prompt_tokens > caught.value.context_length == 2000
        generation = await talk.ask(turns(2))
        assert generation.context is None


@pytest.mark.parametrize(
    ("of_model", "of_account", "of_request", "action"),
    [
        ("drop", None, None, "dropped"),
        ("drop", "summarise", None, "summarised"),
        ("drop", "summarise", DROP, "dropped"),
        ("refuse", None, SUMMARISE, "summarised"),
    ],
)
async def test_the_request_wins_over_the_account_and_the_account_over_the_model(
    of_model: LongConversationName,
    of_account: LongConversationName | None,
    of_request: LongConversation | None,
    action: str,
) -> None:
    accounts = {} if of_account is None else {CALLER.account_id: of_account}
    async with talking(choice=of_model, context=replace(CONTEXT, accounts=accounts)) as talk:
        generation = await talk.ask(turns(30), long_conversation=of_request)
        assert generation.context is not None
        assert generation.context.action == action


async def test_a_request_may_refuse_what_its_model_would_shorten() -> None:
    async with talking() as talk:
        with pytest.raises(ContextTooLong):
            await talk.ask(turns(30), long_conversation=REFUSE)


async def test_one_that_fits_is_sent_whole_and_says_so() -> None:
    async with talking() as talk:
        generation = await talk.ask(turns(3))
        assert generation.context is not None
        assert generation.context.action == "whole"
        assert "FACT0" in read(talk.engine.requests[0])


async def test_dropping_keeps_the_systems_text_and_the_newest_turns_and_says_how_much_is_gone() -> None:
    async with talking(choice="drop") as talk:
        generation = await talk.ask(turns(30))
        [request] = talk.engine.requests
        prompt = read(request)
        assert prompt.startswith("Be brief.")
        first = 30 - prompt.count("FACT")
        assert [f"FACT{index} " in prompt for index in range(30)] == [index >= first for index in range(30)]
        assert generation.context == ContextReport(action="dropped", num_turns=first, num_messages=2 * first)
        assert request.max_tokens == 2000 - len(request.prompt_token_ids) >= 500


@pytest.mark.parametrize("choice", ["drop", "summarise"])
async def test_a_conversation_is_cut_again_only_when_its_room_is_full_again(choice: LongConversationName) -> None:
    async with talking(choice=choice) as talk:
        starts = []
        for num_turns in range(1, 41):
            generation = await talk.ask(turns(num_turns))
            assert generation.context is not None
            starts.append(generation.context.num_turns)
        assert starts == sorted(starts)
        num_cuts = len(set(starts)) - 1
        num_shortened = sum(start > 0 for start in starts)
        assert num_cuts >= 4
        assert num_shortened > 4 * num_cuts
        prompts = [request.prompt_token_ids for request in talk.engine.requests if not is_summary(request)]
        for start, before, shorter, longer in zip(starts[1:], starts, prompts, prompts[1:], strict=False):
            if start == before:  # all but the opening of the answer is there again, for the prefix cache
                assert longer[: len(shorter)] == shorter


async def test_a_room_for_the_answer_counts() -> None:
    async with talking(choice="drop") as talk:
        for max_tokens, action in ((100, "whole"), (400, "dropped"), (4000, "dropped")):
            generation = await talk.ask(turns(15), max_tokens=max_tokens)
            assert generation.context is not None
            assert generation.context.action == action, max_tokens


@pytest.mark.parametrize("choice", ["drop", "summarise"])
async def test_a_last_turn_that_does_not_fit_is_refused_before_any_work(choice: LongConversationName) -> None:
    async with talking(choice=choice) as talk:
        messages = turns(30)
        messages[-1]["content"] = "x" * 1900
        with pytest.raises(ContextTooLong):
            await talk.ask(messages)
        with pytest.raises(ContextTooLong):
            await talk.ask(messages[-1:])
        assert not talk.engine.requests
        assert 'action="refused"' in talk.metrics.exposition().decode()


async def test_a_single_message_that_no_summary_can_read_is_refused() -> None:
    async with talking() as talk:
        messages = turns(4)
        messages[1]["content"] = "x" * 1900
        with pytest.raises(ContextTooLong):
            await talk.ask(messages)
        assert (await talk.ask(messages, long_conversation=DROP)).context is not None


async def test_what_is_wrong_with_a_request_is_found_before_a_summary_is_made() -> None:
    async with talking() as talk:
        schema = {"name": "a", "schema": {"type": "object", "patternProperties": {"(": {}}}}
        with pytest.raises(InvalidParameter):
            await talk.ask(turns(30), response_format={"type": "json_schema", "json_schema": schema})
        assert not talk.engine.requests


async def test_summaries_that_take_too_long_end_the_request() -> None:
    async with talking(lambda _: [Delay(delay_s=60)], deadline_s=0.05) as talk:
        with pytest.raises(Overloaded):
            await talk.ask(turns(30))
        await asyncio.sleep(0)
        assert len(talk.engine.aborted_request_ids) == 1


async def test_the_answer_has_the_time_that_the_summary_left() -> None:
    async with talking(
        lambda request: [Delay(delay_s=0.05), EmitText(text=" a")] if is_summary(request) else [EmitText(text="a")],
        deadline_s=5,
    ) as talk:
        await talk.ask(turns(14))
        summary, answer = talk.engine.requests
        assert summary.deadline_s is not None
        assert answer.deadline_s is not None
        assert answer.deadline_s < 5 - 0.04


@pytest.mark.parametrize("choice", [DROP, SUMMARISE])
async def test_the_true_count_decides_where_the_estimate_of_a_turn_is_short(choice: LongConversation) -> None:
    messages = turns(40)
    for index in range(3):  # the markup of many parameters is more than is taken for a call
        arguments = json.dumps({f"p{number}": number for number in range(12)})
        call = {"id": f"c{index}", "type": "function", "function": {"name": "f", "arguments": arguments}}
        messages[-1:] = [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{index}", "content": "y"},
            {"role": "assistant", "content": "ok"},
            messages[-1],
        ]
    async with talking(context_length=3600) as talk:
        await talk.ask(messages, long_conversation=choice)
        assert talk.engine.requests[-1].max_tokens >= 900


@settings(max_examples=25)
@given(st.lists(st.integers(1, 300), min_size=2, max_size=40), st.sampled_from([DROP, SUMMARISE]), st.booleans())
def test_whatever_is_sent_fits_and_keeps_the_order(
    lengths: list[int], choice: LongConversation, has_tools: bool
) -> None:
    messages = [{"role": "system", "content": "Be brief."}]
    for index, length in enumerate(lengths):
        messages.append({"role": "user", "content": f"FACT{index} " + "x" * length})
        if has_tools and index % 2:
            call = {"id": f"c{index}", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
            messages.append({"role": "assistant", "content": "", "tool_calls": [call]})  # type: ignore[dict-item]
            messages.append({"role": "tool", "tool_call_id": f"c{index}", "content": f"RESULT{index}"})
        messages.append({"role": "assistant", "content": "y" * length})

    async def run() -> None:
        async with talking(context_length=3000, context=replace(CONTEXT, summary_tokens=320)) as talk:
            await talk.ask(messages[:-1], long_conversation=choice)
            for request in talk.engine.requests:
                assert len(request.prompt_token_ids) + request.max_tokens <= 3000
            prompt = read(talk.engine.requests[-1])
            kept = [index for index in range(len(lengths)) if f"FACT{index} x" in prompt]
            assert kept == list(range(kept[0], len(lengths)))
            if has_tools:
                assert [index for index in range(len(lengths)) if f"RESULT{index}<" in prompt] == [
                    index for index in kept if index % 2
                ]
            if choice is SUMMARISE:
                assert all(f"FACT{index}" in prompt for index in range(len(lengths)))

    asyncio.run(run())
