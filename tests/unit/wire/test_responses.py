import json

import pytest

from seekd.errors import EngineError, InvalidParameter, MalformedBody, UnknownModel
from seekd.testing.stream_check import read_events
from seekd.wire.calls import Call
from seekd.wire.dialect import CLASSIC, HOSTED, Dialect
from seekd.wire.responses import parse_responses
from tests.wire.driving import CALL_MARKUP, Json, as_bytes, drive

TOOL: Json = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
OFF: Json = {"reasoning": {"effort": "none"}}


def _parse(fields: Json, *, dialect: Dialect = CLASSIC) -> Call:
    return parse_responses(as_bytes({"model": "deepseek-flash", "input": "Hi", **fields}), dialect=dialect)


def test_a_whole_answer_has_items() -> None:
    whole = drive(_parse({}), ["Hm", "</think>", "Hello"]).whole
    assert [item["type"] for item in whole["output"]] == ["reasoning", "message"]
    assert whole["status"] == "completed"
    assert whole["usage"]["output_tokens_details"] == {"reasoning_tokens": 1}


def test_a_call_is_an_item() -> None:
    whole = drive(_parse({**OFF, "tools": [TOOL]}), [CALL_MARKUP]).whole
    (item,) = whole["output"]
    assert item["type"] == "function_call"
    assert json.loads(item["arguments"]) == {"location": "New York", "unit": "fahrenheit"}


def test_a_cut_answer_is_incomplete() -> None:
    whole = drive(_parse(OFF), ["Hello"], hit_length_limit=True).whole
    assert whole["status"] == "incomplete"
    assert whole["incomplete_details"] == {"reason": "max_output_tokens"}


def test_a_stream_is_numbered_and_ends_with_the_response() -> None:
    events = read_events(drive(_parse({**OFF, "stream": True}), ["Hi"]).stream)
    assert events[0].name == "response.created"
    assert events[-1].name == "response.completed"
    assert [json.loads(event.data)["sequence_number"] for event in events] == list(range(len(events)))


def test_a_failure_inside_a_stream_is_the_next_numbered_event() -> None:
    call = _parse({"stream": True})
    before = len(read_events(drive(call, ["Hi"]).stream))
    (event,) = read_events(call.encoder.encode_error(EngineError("gone")))
    assert event.name == "error"
    assert json.loads(event.data) == {
        "type": "error",
        "code": "internal_error",
        "message": "gone",
        "param": None,
        "sequence_number": before,
    }


def test_the_answer_echoes_the_request() -> None:
    whole = drive(_parse({"instructions": "Be brief.", "temperature": 0.5, "max_output_tokens": 9}), ["Hi"]).whole
    assert whole["instructions"] == "Be brief."
    assert whole["temperature"] == 0.5
    assert whole["max_output_tokens"] == 9


def test_the_answer_echoes_a_strict_format_as_it_was_sent() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "minLength": 2}}}
    sent = {"type": "json_schema", "name": "n", "schema": schema, "strict": True}
    for dialect in (CLASSIC, HOSTED):
        format_echo = drive(_parse({"text": {"format": sent}}, dialect=dialect), ["{}"]).whole["text"]["format"]
        assert {name: format_echo[name] for name in sent} == sent


def test_parameters_are_read() -> None:
    request = _parse({"temperature": 0.5, "top_p": 0.3, "user": "u", "max_output_tokens": 9, **OFF}).request
    assert (request.sampling.temperature, request.sampling.top_p) == (0.5, 0.3)
    assert (request.user_id, request.max_tokens) == ("u", 9)


def test_a_bad_tool_is_refused_in_the_packages_order() -> None:
    custom = {"type": "custom", "name": "zz"}
    with pytest.raises(InvalidParameter, match="Unsupported custom tool: 'zz'"):
        _parse({"tools": [custom, {**TOOL, "name": "a b"}]})


def test_json_and_schemas_are_rules() -> None:
    json_object = _parse({"input": "json", "text": {"format": {"type": "json_object"}}}).request.rule
    assert json_object is not None
    assert json_object.kind == "json_object"
    schema = {"type": "json_schema", "name": "a", "schema": {"type": "object"}}
    by_schema = _parse({"text": {"format": schema}}, dialect=HOSTED).request.rule
    assert by_schema is not None
    assert by_schema.kind == "json_schema"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("required", "required"), ({"type": "function", "name": "get_weather"}, "get_weather"), ("auto", "auto")],
)
def test_the_tool_choice_is_kept(choice: object, expected: str) -> None:
    rule = _parse({**OFF, "tools": [TOOL], "tool_choice": choice}).request.rule
    assert rule is not None
    assert rule.tool_choice == expected


def test_unknown_models_pictures_and_shapes_are_refused() -> None:
    with pytest.raises(UnknownModel):
        _parse({"model": "gpt-4"})
    image = {"type": "input_image", "image_url": "https://example.com/a.png"}
    with pytest.raises(InvalidParameter, match="does not support image"):
        _parse({"input": [{"role": "user", "content": [image]}]})
    with pytest.raises(MalformedBody, match="at line 1 column"):
        _parse({"temperature": "hot"})
    with pytest.raises(InvalidParameter, match="Input items array must not be empty"):
        _parse({"input": []})


def test_no_reminder_is_taken() -> None:
    with pytest.raises(MalformedBody, match="unknown variant `latest_reminder`, expected one of `user`"):
        parse_responses(
            as_bytes({"model": "deepseek-flash", "input": [{"role": "latest_reminder", "content": "Monday"}]}),
            dialect=HOSTED,
        )


def test_a_function_is_callable_once_a_search_has_found_it() -> None:
    function = {"type": "function", "name": "found", "parameters": {"type": "object", "properties": {}}}
    search = {"type": "tool_search", "execution": "client", "description": "d", "parameters": function["parameters"]}
    asked = {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": {}, "status": "completed"}
    output = {**asked, "type": "tool_search_output", "tools": [function]}
    del output["arguments"]

    def callable_tools(*items: object) -> list[str]:
        body = {
            "model": "deepseek-flash",
            "reasoning": {"effort": "none"},
            "tools": [search],
            "input": [{"role": "user", "content": "Hi"}, *items],
        }
        rule = parse_responses(as_bytes(body), dialect=HOSTED).request.rule
        assert rule is not None
        return [tool.name for tool in rule.tools]

    assert callable_tools() == ["tool_search"]
    assert callable_tools(asked, output) == ["tool_search", "found"]
