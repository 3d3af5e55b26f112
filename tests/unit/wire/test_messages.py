import json

import pytest

from seekd.errors import EngineError, InvalidParameter, MalformedBody
from seekd.testing.stream_check import read_events
from seekd.wire.calls import Call
from seekd.wire.dialect import CLASSIC, HOSTED, Dialect
from seekd.wire.messages import count_tokens_body, parse_messages
from tests.formats import V41
from tests.wire.driving import CALL_MARKUP, HELLO, Json, as_bytes, drive

TOOL: Json = {"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}
OFF: Json = {"thinking": {"type": "disabled"}}


def _parse(fields: Json, *, dialect: Dialect = CLASSIC) -> Call:
    return parse_messages(
        as_bytes({"model": "claude-sonnet-4", "max_tokens": 50, "messages": HELLO, **fields}), dialect=dialect
    )


def test_a_name_of_any_kind_says_which_model_it_stands_for() -> None:
    request = _parse({}).request
    assert (request.requested_model, request.served_model) == ("claude-sonnet-4", "deepseek-flash")


def test_the_answer_carries_the_requested_name_in_classic_and_the_serving_one_in_hosted() -> None:
    assert _parse({}).request.model == "claude-sonnet-4"
    assert _parse({}, dialect=HOSTED).request.model == "deepseek-flash"


def test_a_whole_answer_has_blocks() -> None:
    whole = drive(_parse({}), ["Hm", "</think>", "Hello"]).whole
    assert [block["type"] for block in whole["content"]] == ["thinking", "text"]
    assert whole["stop_reason"] == "end_turn"
    assert whole["usage"]["output_tokens"] == 3


def test_a_tool_call_is_a_block_with_an_object() -> None:
    whole = drive(_parse({**OFF, "tools": [TOOL]}), [CALL_MARKUP]).whole
    (block,) = whole["content"]
    assert block["type"] == "tool_use"
    assert block["input"] == {"location": "New York", "unit": "fahrenheit"}
    assert whole["stop_reason"] == "tool_use"


def test_a_stream_has_named_events_in_order_and_no_done() -> None:
    events = read_events(drive(_parse({**OFF, "stream": True}), ["Hi"]).stream)
    assert [event.name for event in events] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert all(json.loads(event.data)["type"] == event.name for event in events)


def test_a_failure_inside_a_stream_is_an_error_event() -> None:
    (event,) = read_events(_parse({}).encoder.encode_error(EngineError("gone")))
    assert event.name == "error"
    assert json.loads(event.data) == {"type": "error", "error": {"type": "internal_error", "message": "gone"}}


def test_parameters_are_read() -> None:
    request = _parse(
        {"temperature": 0.5, "top_p": 0.3, "metadata": {"user_id": "u"}, "stop_sequences": ["x"], **OFF}
    ).request
    assert request.max_tokens == 50
    assert request.lower_max_tokens
    assert (request.sampling.temperature, request.sampling.top_p) == (0.5, 0.3)
    assert request.user_id == "u"
    assert request.body.stops


def test_metadata_of_any_shape_is_no_error() -> None:
    assert _parse({"metadata": {"user_id": None}}).request.user_id is None


@pytest.mark.parametrize(
    ("choice", "expected"), [({"type": "tool", "name": "get_weather"}, "get_weather"), ({"type": "auto"}, "auto")]
)
def test_the_tool_choice_is_kept(choice: Json, expected: str) -> None:
    rule = _parse({**OFF, "tools": [TOOL], "tool_choice": choice}).request.rule
    assert rule is not None
    assert rule.tool_choice == expected


def test_pictures_are_refused() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    with pytest.raises(InvalidParameter, match="does not support image"):
        _parse({"messages": [{"role": "user", "content": [image]}]})


def test_system_text_reaches_the_prompt() -> None:
    segments = _parse({**OFF, "system": "Be brief."}).request.body.render(V41)
    assert "Be brief." in [segment.text for segment in segments]


def _prompt(fields: Json) -> str:
    return "".join(segment.text for segment in _parse({**OFF, **fields}, dialect=HOSTED).request.body.render(V41))


@pytest.mark.parametrize("system", [{}, {"system": "Be brief."}])
@pytest.mark.parametrize("content", ["Monday", [{"type": "text", "text": "Monday"}]])
def test_a_reminder_stands_before_its_turn_and_system_turns_stay(system: Json, content: object) -> None:
    turns = [
        {"role": "latest_reminder", "content": "Sunday"},
        *HELLO,
        {"role": "assistant", "content": "Yes?"},
        {"role": "system", "content": "Be kind."},
        {"role": "latest_reminder", "content": content},
        *HELLO,
        {"role": "system", "content": "Be quick."},
    ]
    prompt = _prompt({**system, "messages": turns})
    assert prompt.count("<｜latest_reminder｜>") == 2
    assert "<｜latest_reminder｜>Sunday<｜User｜>" in prompt
    assert "<｜System｜>Be kind.<｜latest_reminder｜>Monday<｜User｜>" in prompt
    assert "<｜System｜>Be quick." in prompt
    assert ("Be brief." in prompt) == bool(system)


def test_a_reminder_adds_no_tools() -> None:
    addition = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "get_weather"}}
    reminder = {"role": "latest_reminder", "content": [addition]}
    with pytest.raises(InvalidParameter, match=r"messages\.1: `tool_addition` blocks can only be in `system`"):
        _parse({"tools": [TOOL], "messages": [*HELLO, reminder]})


def test_a_wrong_reminder_is_refused_where_it_stands() -> None:
    with pytest.raises(MalformedBody, match=r"messages\[1\]"):
        _parse({"messages": [*HELLO, {"role": "latest_reminder", "content": 5}]})


def test_a_count_is_one_number() -> None:
    assert count_tokens_body(7) == b'{"input_tokens":7}'
