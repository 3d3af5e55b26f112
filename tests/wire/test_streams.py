"""Whatever a model writes and however it is cut, every protocol's stream keeps its rules and says the same."""

import itertools
from collections.abc import Callable, Sequence
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seekd.engine.scripted import ScriptedVocabulary
from seekd.errors import EngineError
from seekd.prompt.tokenizer_json import tokenizer_json
from seekd.prompt.types import PromptUsage, ResponseIdentity
from seekd.testing.messages_check import check_failed_messages_stream, check_messages_stream
from seekd.testing.responses_check import check_failed_responses_stream, check_responses_stream
from seekd.testing.stream_check import check_chat_stream, check_failed_chat_stream
from seekd.wire.calls import Call
from seekd.wire.dialect import CLASSIC, HOSTED, Dialect
from seekd.wire.messages import parse_messages
from seekd.wire.responses import parse_responses
from tests.formats import V41
from tests.wire.driving import HELLO, Json, as_bytes, chat, drive

BOTH = pytest.mark.parametrize("dialect", [CLASSIC, HOSTED], ids=lambda dialect: dialect.name)
SOME = settings(max_examples=40)
PARAMETERS: Json = {"type": "object", "properties": {"x": {"type": "string"}}}
TOOLS: Json = {"tools": [{"type": "function", "function": {"name": "f", "parameters": PARAMETERS}}]}
FUNCTIONS: Json = {"functions": [{"name": "f", "parameters": PARAMETERS}]}

_CALL = (
    '<｜DSML｜ invoke name="f">\n<｜DSML｜ parameter name="x" string="true">{}</｜DSML｜ parameter>\n'
    "</｜DSML｜ invoke>\n"
)
_words = st.text(alphabet='ab \n{}"<é😀', max_size=8)
_blocks = st.lists(_words, min_size=1, max_size=2).map(
    lambda values: "\n\n<｜DSML｜ calls>\n" + "".join(map(_CALL.format, values)) + "</｜DSML｜ calls>"
)
_reasonings = _words.map(lambda text: text + "</think>")
_stray = st.sampled_from(["", "<｜DSML｜", "<｜DSML｜ calls>\n<｜DSML｜ invoke name=", "</think>", "<｜User｜>"])
_answers = st.tuples(_words, st.one_of(st.just(""), _blocks, _stray)).map("".join)


@st.composite
def _generated(draw: st.DrawFn, *, thinking: bool = False) -> list[str]:
    """An answer in pieces, the way tokens come."""
    text = (draw(_reasonings) if thinking else "") + draw(_answers)
    places = sorted(draw(st.sets(st.integers(min_value=0, max_value=len(text)), max_size=6)) | {0, len(text)})
    return [text[start:end] for start, end in itertools.pairwise(places)]


def _messages(*, thinking: bool) -> Call:
    body: Json = {
        "model": "deepseek-flash",
        "max_tokens": 99,
        "messages": HELLO,
        "stream": True,
        "tools": [{"name": "f", "input_schema": PARAMETERS}],
        "thinking": {"type": "enabled" if thinking else "disabled"},
    }
    return parse_messages(as_bytes(body), dialect=HOSTED)


def _responses(*, thinking: bool) -> Call:
    body: Json = {
        "model": "deepseek-flash",
        "input": "Hi",
        "stream": True,
        "tools": [{"type": "function", "name": "f", "parameters": PARAMETERS}],
        "reasoning": {"effort": "high" if thinking else "none"},
    }
    return parse_responses(as_bytes(body), dialect=HOSTED)


class _Failed(Protocol):
    error: Json | None


def _is_cut_inside_a_call(pieces: Sequence[str]) -> bool:
    text = "".join(pieces)
    return "<｜DSML｜ calls>" in text and "</｜DSML｜ calls>" not in text


@BOTH
@SOME
@given(pieces=_generated(), is_cut=st.booleans())
def test_chat_streams(dialect: Dialect, pieces: list[str], is_cut: bool) -> None:
    is_cut = is_cut or _is_cut_inside_a_call(pieces)
    call = chat({**TOOLS, "stream": True}, dialect=dialect)
    driven = drive(call, pieces, hit_length_limit=is_cut)
    answer = check_chat_stream(driven.stream)
    message = driven.whole["choices"][0]["message"]
    assert answer.content == message["content"]
    whole_calls = [
        {"id": item["id"], "name": item["function"]["name"], "arguments": item["function"]["arguments"]}
        for item in message.get("tool_calls", [])
    ]
    assert answer.tool_calls == whole_calls
    assert answer.usage == driven.whole["usage"]
    assert answer.usage is not None
    assert answer.usage["completion_tokens"] == len(pieces)


@BOTH
@SOME
@given(pieces=_generated(thinking=True))
def test_thinking_streams(dialect: Dialect, pieces: list[str]) -> None:
    call = chat({**TOOLS, "model": "deepseek-reasoner", "stream": True}, dialect=dialect)
    driven = drive(call, pieces, hit_length_limit=_is_cut_inside_a_call(pieces))
    answer = check_chat_stream(driven.stream)
    message = driven.whole["choices"][0]["message"]
    assert (answer.reasoning, answer.content) == (message["reasoning_content"], message["content"])
    assert "</think>" not in answer.reasoning


@SOME
@given(pieces=_generated(thinking=True))
def test_a_cut_changes_nothing(pieces: list[str]) -> None:
    call = chat({**TOOLS, "model": "deepseek-reasoner", "stream": True})
    is_cut = _is_cut_inside_a_call(pieces)
    split, whole = (
        check_chat_stream(drive(call, parts, hit_length_limit=is_cut).stream) for parts in (pieces, ["".join(pieces)])
    )
    assert (split.reasoning, split.content, split.finish_reason) == (
        whole.reasoning,
        whole.content,
        whole.finish_reason,
    )
    assert [item["arguments"] for item in split.tool_calls] == [item["arguments"] for item in whole.tool_calls]


@SOME
@given(pieces=_generated(), is_cut=st.booleans())
def test_legacy_streams(pieces: list[str], is_cut: bool) -> None:
    is_cut = is_cut or _is_cut_inside_a_call(pieces)
    driven = drive(chat({**FUNCTIONS, "stream": True}), pieces, hit_length_limit=is_cut)
    answer = check_chat_stream(driven.stream)
    message = driven.whole["choices"][0]["message"]
    assert answer.function_call == message.get("function_call")
    assert answer.content == (message["content"] or "")
    assert not answer.tool_calls


@pytest.mark.parametrize("thinking", [True, False])
@SOME
@given(data=st.data())
def test_messages_streams(thinking: bool, data: st.DataObject) -> None:
    pieces = data.draw(_generated(thinking=thinking))
    driven = drive(_messages(thinking=thinking), pieces, hit_length_limit=_is_cut_inside_a_call(pieces))
    answer = check_messages_stream(driven.stream)
    assert answer.text == "".join(block["text"] for block in driven.whole["content"] if block["type"] == "text")


@pytest.mark.parametrize("thinking", [True, False])
@SOME
@given(data=st.data())
def test_responses_streams(thinking: bool, data: st.DataObject) -> None:
    pieces = data.draw(_generated(thinking=thinking))
    driven = drive(_responses(thinking=thinking), pieces, hit_length_limit=_is_cut_inside_a_call(pieces))
    check_responses_stream(driven.stream)


@pytest.mark.parametrize(
    ("parse", "judge"),
    [
        (lambda: chat({"stream": True}), check_failed_chat_stream),
        (lambda: _messages(thinking=False), check_failed_messages_stream),
        (lambda: _responses(thinking=False), check_failed_responses_stream),
    ],
    ids=["chat", "messages", "responses"],
)
@pytest.mark.parametrize("num_pieces", range(4))
def test_a_stream_may_fail_at_any_place(
    parse: Callable[[], Call], judge: Callable[[bytes], _Failed], num_pieces: int
) -> None:
    call = parse()
    identity = ResponseIdentity(response_id="ID", model="m", created_s=5)
    parser = call.request.body.open_parser(identity, V41)
    chunks = parser.ready(PromptUsage(num_prompt_tokens=5))
    for text in ("Hello", " world", "!")[:num_pieces]:
        chunks += parser.push_text(text, num_tokens=1)
    parser.close()
    stream = call.encoder.encode_chunks(chunks) + call.encoder.encode_error(EngineError("gone"))
    assert judge(stream).error is not None


def test_log_probabilities_of_odd_bytes_are_json() -> None:
    call = chat({"logprobs": True, "top_logprobs": 1, "stream": True})
    parser = call.request.body.open_parser(
        ResponseIdentity(response_id="ID", model="m", created_s=5),
        V41,
        tokenizer_json=tokenizer_json(ScriptedVocabulary()),
    )
    chunks = parser.ready(PromptUsage(num_prompt_tokens=5))
    for token_id in "é".encode() + b"\xff" + b"a":
        chunks += parser.push_tokens([token_id], [(-9999.0, [(token_id, -0.00002467602)])])
    chunks += parser.finish(hit_length_limit=False)
    answer = check_chat_stream(call.encoder.encode_chunks(chunks) + call.encoder.encode_end())
    assert answer.content == "é\ufffda"
    entries = [
        entry for chunk in answer.chunks for entry in (chunk["choices"][0]["logprobs"] or {"content": []})["content"]
    ]
    assert [entry["bytes"] for entry in entries] == [[0xC3], [0xA9], [0xFF], [0x61]]
    assert parser.response()["usage"]["completion_tokens"] == 4
