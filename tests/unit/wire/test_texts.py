"""Where bodies have texts."""

import json

from seekd.wire.texts import num_messages, offered_tools, replacing, texts_of, with_texts

CHAT = {
    "model": "m",
    "user": "u",
    "messages": [
        {"role": "system", "content": "one", "name": "n"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "two"}, {"type": "image_url", "image_url": {"url": "x"}}],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "three",
            "tool_calls": [{"id": "i", "type": "function", "function": {"name": "f", "arguments": '{"a": "four"}'}}],
        },
        {"role": "tool", "tool_call_id": "i", "content": "five"},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "six"}},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "zero",
                "parameters": {
                    "properties": {
                        "description": {"type": "string", "description": "half", "default": {"description": "x"}}
                    },
                    "required": ["x"],
                },
            },
        }
    ],
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "n", "description": "then", "schema": {"type": "object", "required": ["more"]}},
    },
}
MESSAGES = {
    "system": [{"type": "text", "text": "one"}],
    "messages": [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "two", "signature": "s"},
                {"type": "tool_use", "id": "i", "name": "f", "input": {"key": "three", "more": [{"b": "four"}, 1]}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "i", "content": "five"}]},
    ],
}
RESPONSES = {
    "instructions": "one",
    "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "two"}]},
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "three"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "four"},
        {"type": "function_call_output", "call_id": "c", "output": "five"},
    ],
}


def test_the_texts_of_every_protocol_are_found_and_nothing_else() -> None:
    tool = ["zero", "description", "half", "description", "x", "x"]
    answer = ["then", "more"]
    assert texts_of(CHAT) == [*tool, *answer, "one", "two", "three", '{"a": "four"}', "five", "six"]
    assert texts_of(MESSAGES) == ["one", "two", "key", "three", "more", "b", "four", "five"]
    assert texts_of(RESPONSES) == ["one", "two", "three", "four", "five"]
    assert texts_of({"prompt": "one", "suffix": "two", "stop": "x"}) == ["one", "two"]
    assert texts_of({"input": "one"}) == ["one"]
    schema = {"title": "one"}
    for body in (
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": schema}, "verbosity": "low"}},
        {"response_format": {"type": "regex", "regex": "one"}},
        {"tools": [{"type": "namespace", "name": "n", "tools": [{"name": "f", "parameters": schema}]}]},
        {"tools": [{"name": "f", "input_schema": schema, "cache_control": {"type": "ephemeral"}}]},
        {"functions": [{"name": "f", "parameters": schema}]},
    ):
        assert texts_of(body) == ["one"], body


def test_texts_are_replaced_in_their_places_and_the_body_is_left_as_it_was() -> None:
    before = json.dumps(CHAT)
    changed = with_texts(CHAT, replacing([text.upper() for text in texts_of(CHAT)]))
    assert texts_of(changed) == [text.upper() for text in texts_of(CHAT)]
    assert json.dumps(CHAT) == before
    assert changed["messages"][3]["tool_call_id"] == "i"


def test_json_in_a_text_is_read_where_it_escapes_something() -> None:
    call = {
        "messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": r'{"a": "x\u0040y", "b": 1}'}}]}]
    }
    assert texts_of(call) == ["a", "x@y", "b"]
    changed = with_texts(call, replacing(["a", '"', "c"]))
    assert changed["messages"][0]["tool_calls"][0]["function"]["arguments"] == r'{"a":"\"","c":1}'
    assert with_texts(call, lambda text: text) == call
    broken = {"messages": [{"function_call": {"arguments": "\\ no json"}}]}
    assert texts_of(broken) == ["\\ no json"]


def test_wrong_shapes_are_left_for_the_protocol_to_refuse() -> None:
    for fields in ({"messages": 3, "tools": "x"}, {"messages": [None, 1, ["a"]]}, {"messages": [{"function": "x"}]}):
        with_texts(fields, str.upper)


def test_messages_and_tools_are_counted() -> None:
    assert num_messages(CHAT) == 5
    assert num_messages(RESPONSES) == 4
    assert num_messages({"input": "x"}) == num_messages({"prompt": "x"}) == 1
    assert num_messages({**CHAT, "input": [1] * 6}) == 6  # whichever of them the protocol reads
    assert len(offered_tools(CHAT)) == 1
    assert len(offered_tools({"functions": [1, 2]})) == 2
    assert offered_tools({"tools": "x"}) == ()
