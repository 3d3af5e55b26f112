import hashlib
import json
from typing import Any

import pytest

from seekd.engine.scripted import ScriptedVocabulary
from seekd.errors import InvalidParameter, MalformedBody
from seekd.prompt.recipe import ReadBody, RecipeBody, WireProtocol
from seekd.prompt.render.segments import encode
from seekd.prompt.tokenizer_json import tokenizer_json
from seekd.prompt.types import ChatFormat, PromptFormat, PromptUsage, ResponseIdentity
from tests.formats import V4, V41
from tests.unit.prompt.speaking import speaker_of

IDENTITY = ResponseIdentity(response_id="ID", model="m", created_s=5, system_fingerprint="fp")
HI = [{"role": "user", "content": "Hi"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}


def _body(fields: dict[str, Any], *, thinking: bool = False, protocol: WireProtocol = WireProtocol.CHAT) -> RecipeBody:
    body = json.dumps({"model": "m", **fields}).encode()
    return ReadBody(protocol, body).convert(models=("m",), thinking_by_default=thinking, requires_reasoning=False)


def _prompt(body: RecipeBody, chat_format: ChatFormat) -> str:
    return "".join(segment.text for segment in body.render(chat_format))


S_U = [{"role": "system", "content": "Be brief."}, *HI]
CALL_TURNS = [
    *S_U,
    {
        "role": "assistant",
        "content": "",
        "reasoning_content": "need weather",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Paris", "days": 2}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
]


@pytest.mark.parametrize(
    ("fields", "thinking", "v4", "v41"),
    [
        (
            {"messages": S_U, "tools": [WEATHER]},
            True,
            "48571ee0e30f0d85264c2ba7a44865cc764b5a14997f3328941180aa8407966f",
            "676ae741e597893f94c18a8aa14e8bf0f692babef33aea2b031431d1c9def939",
        ),
        (
            {"messages": CALL_TURNS, "tools": [WEATHER], "reasoning_effort": "low"},
            True,
            "5a7fdc91c2a923a833573f427f6ad3b28a77b2aeedb163fe06fb74225ab75319",
            "b6afb4b35253fade0055216e47760fa872701b4ad3e8b11c3c885357e329f75b",
        ),
        (
            {"messages": CALL_TURNS, "tools": [WEATHER]},
            False,
            "67fce90c1d0e5bb198c6158952bed9259adc588674f0be0d36bbce90ab99b8e9",
            "9f0974a7ffa649abb02404851ae2933623016706b535cc6694c3ae7b9399920a",
        ),
    ],
    ids=["default effort", "low effort with a call", "off with a call"],
)
def test_prompts_have_the_published_sums(fields: dict[str, Any], thinking: bool, v4: str, v41: str) -> None:
    body = _body(fields, thinking=thinking)
    for chat_format, expected in ((V4, v4), (V41, v41)):
        assert hashlib.sha256(_prompt(body, chat_format).encode()).hexdigest() == expected


def test_rendering_does_not_consume_the_body() -> None:
    body = _body({"messages": HI})
    assert _prompt(body, V41) == _prompt(body, V41)
    assert _prompt(body, V4) == "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜></think>"


def test_only_the_layouts_own_markers_are_control_segments() -> None:
    segments = _body({"messages": [{"role": "user", "content": "a</think>b"}]}).render(V41)
    assert [segment.text for segment in segments if segment.is_control] == [
        "<｜begin▁of▁sentence｜>",
        "<｜User｜>",
        "<｜Assistant｜>",
        "</think>",
    ]
    assert [segment.text for segment in segments if not segment.is_control] == ["a</think>b"]


def test_a_body_opens_as_many_parsers_as_are_wanted() -> None:
    body = _body({"messages": HI})
    for _ in range(2):
        parser = body.open_parser(IDENTITY, V41)
        parser.ready(PromptUsage(num_prompt_tokens=1))
        parser.push_text("x", num_tokens=1)
        parser.finish(hit_length_limit=False)
        assert parser.response()["created"] == 5


@pytest.mark.fault("marker-in-a-string")
@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize("tools", [None, [{"type": "function", "function": {"name": "f"}}]])
@pytest.mark.parametrize("text", ['{"a": "b</think>c"}', '{"a": "<think>", "b": "<｜DSML｜ calls>\\n"}'])
def test_the_strings_of_a_json_answer_keep_what_they_spell(
    text: str, tools: list[dict[str, Any]] | None, thinking: bool
) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    fields = {"response_format": schema} | ({} if tools is None else {"tools": tools})
    body = _body({"messages": HI, **fields}, thinking=thinking)
    parser = body.open_parser(IDENTITY, V41, is_json=True)
    parser.ready(PromptUsage(num_prompt_tokens=1))
    for char in ("Hm</think>" if thinking else "") + text:
        parser.push_text(char, num_tokens=1)
    parser.finish(hit_length_limit=False)
    message = parser.response()["choices"][0]["message"]
    assert message["content"] == text
    assert message.get("reasoning_content") == ("Hm" if thinking else None)


def test_errors_say_which_kind_they_are() -> None:
    with pytest.raises(MalformedBody) as caught:
        ReadBody(WireProtocol.CHAT, b"{")
    assert caught.value.is_syntax
    with pytest.raises(MalformedBody) as caught:
        ReadBody(WireProtocol.CHAT, b"{}")
    assert not caught.value.is_syntax
    assert caught.value.message == "missing field `messages`"
    with pytest.raises(InvalidParameter, match="Invalid temperature value"):
        _body({"messages": HI, "temperature": 3})


def test_reasoning_is_counted_by_generated_tokens_also_with_a_tokenizer() -> None:
    class Wordy(ScriptedVocabulary):
        @property
        def size(self) -> int:
            return super().size + 1

        def token_bytes(self, token_id: int) -> bytes:
            return b"thinking" if token_id == super().size else super().token_bytes(token_id)

    vocabulary = Wordy()
    word, end = ScriptedVocabulary().size, vocabulary.special_tokens["</think>"]
    body = _body({"messages": HI, "logprobs": True}, thinking=True)
    parser = body.open_parser(IDENTITY, V41, tokenizer_json=tokenizer_json(vocabulary))
    parser.ready(PromptUsage(num_prompt_tokens=1))
    for token_id in (word, word, end, *b"ok"):
        parser.push_tokens([token_id], [(-0.5, [])])
    parser.finish(hit_length_limit=False)
    whole = parser.response()
    assert whole["usage"]["completion_tokens"] == 5
    assert whole["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}
    logprobs = whole["choices"][0]["logprobs"]
    assert [entry["token"] for entry in logprobs["reasoning_content"]] == ["thinking", "thinking"]
    assert [entry["token"] for entry in logprobs["content"]] == ["o", "k"]


def test_a_closed_parser_says_nothing_more() -> None:
    parser = _body({"messages": HI, "stop": ["x"]}).open_parser(IDENTITY, V41)
    parser.ready(PromptUsage(num_prompt_tokens=1))
    parser.close()
    parser.close()
    assert not parser.stopped
    with pytest.raises(RuntimeError):
        parser.finish(hit_length_limit=False)


def test_stopping_is_seen_at_once_and_the_finish_adds_nothing() -> None:
    parser = _body({"messages": HI, "stop": ["END"], "stream": True}).open_parser(IDENTITY, V41)
    parser.ready(PromptUsage(num_prompt_tokens=1))
    parser.push_text("a E", num_tokens=1)
    assert not parser.stopped
    closing = parser.push_text("ND", num_tokens=1)
    assert parser.stopped
    assert closing[-1]["choices"][0]["finish_reason"] == "stop"
    assert parser.finish(hit_length_limit=False) == []


def test_the_events_of_a_whole_answer_are_empty_but_as_many() -> None:
    numbers = []
    for stream in (True, False):
        parser = _body({"messages": HI, "stream": stream}).open_parser(IDENTITY, V41)
        events = parser.ready(PromptUsage(num_prompt_tokens=1))
        events += parser.push_text("Hello", num_tokens=1)
        events += parser.finish(hit_length_limit=False)
        assert all(map(bool, events)) is stream
        assert parser.response()["choices"][0]["message"]["content"] == "Hello"
        numbers.append(len(events))
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("chat_format", [V41, V4])
def test_a_prompt_encodes_with_a_vocabulary_that_has_the_markers(chat_format: ChatFormat) -> None:
    body = _body({"messages": CALL_TURNS, "tools": [WEATHER]}, thinking=True)
    token_ids = encode(body.render(chat_format), ScriptedVocabulary())
    assert b"".join(map(ScriptedVocabulary().token_bytes, token_ids)).decode() == _prompt(body, chat_format)


def test_responses_events_are_named_numbered_and_dated() -> None:
    body = _body({"input": "Hi", "stream": True}, protocol=WireProtocol.RESPONSES, thinking=True)
    parser = body.open_parser(IDENTITY, V41)
    chunks = parser.ready(PromptUsage(num_prompt_tokens=3))
    for text in ("Hm", "</think>", "Hello"):
        chunks += parser.push_text(text, num_tokens=1)
    chunks += parser.finish(hit_length_limit=False)
    events = chunks
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert {event["response"]["created_at"] for event in events if "response" in event} == {5}
    usage = parser.response()["usage"]
    assert usage["output_tokens_details"] == {"reasoning_tokens": 1}
    assert usage["total_tokens"] == 6


def _tool(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"about {name}",
        "input_schema": {"type": "object", "properties": {}},
        **fields,
    }


def _with_deferred(*, adds: bool, **fields: Any) -> RecipeBody:
    addition = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "second"}}
    added = [{"role": "system", "content": [addition]}] if adds else []
    body = {
        "max_tokens": 9,
        "tools": [_tool("first"), _tool("second", defer_loading=True)],
        "messages": [*HI, {"role": "assistant", "content": "Yes?"}, *HI, *added],
        **fields,
    }
    return _body(body, protocol=WireProtocol.MESSAGES)


def _callable_tools(body: RecipeBody) -> list[str]:
    assert body.output_limit is not None
    return [tool["function"]["name"] for tool in json.loads(body.output_limit.schema)]


@pytest.mark.parametrize("chat_format", [V4, V41, speaker_of(PromptFormat.V3)])
def test_a_deferred_tool_is_neither_shown_nor_callable_until_a_message_adds_it(chat_format: ChatFormat) -> None:
    deferred, added = _with_deferred(adds=False), _with_deferred(adds=True)
    assert "about second" not in _prompt(deferred, chat_format)
    assert _callable_tools(deferred) == ["first"]
    assert _prompt(added, chat_format).count("about second") == 1
    assert _callable_tools(added) == ["first", "second"]


def test_v41_shows_an_added_tool_behind_the_prompt_before_it() -> None:
    before, _, added = _prompt(_with_deferred(adds=True), V41).partition("### Updated Tool Schemas")
    assert _prompt(_with_deferred(adds=False), V41).startswith(before.rstrip().removesuffix("<｜System｜>"))
    assert "about second" in added


def test_a_deferred_tool_that_the_caller_forces_can_be_called() -> None:
    assert _callable_tools(_with_deferred(adds=False, tool_choice={"type": "tool", "name": "second"})) == ["second"]
