"""Generated request bodies of the three protocols, valid and broken in one or two places."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

Body = dict[str, Any]
"""A JSON body of any shape."""

_words = st.sampled_from(["", "a", "Hello", "as json", "</think>", "<｜User｜>", "é€😀", "x" * 40])
_junk = st.sampled_from([None, True, 0, -1, 1.5, "", "x", [], {}, [5], {"a": 1}, [None], {"type": "zz"}])
_models = st.sampled_from(
    [*("deepseek-chat", "deepseek-reasoner", "deepseek-flash", "deepseek-v4-pro") * 5, "DeepSeek-V4-Pro", "gpt-4", ""]
)
_schemas: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        {},
        [],
        {"type": "object"},
        {"type": "string"},
        {"type": "object", "properties": {"a": {"type": "string", "minLength": 2}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "foo"}}},
        {"type": "object", "properties": {"a": {"type": "array"}}, "required": ["zz"]},
    ]
)
_tool_names = st.sampled_from(["f", "g", "a b", "", "n" * 129, "get_weather"])


@st.composite
def _object(
    draw: st.DrawFn,
    required: Mapping[str, st.SearchStrategy[Any]],
    optional: Mapping[str, st.SearchStrategy[Any]],
    max_optional: int = 3,
) -> Body:
    """An object with few of its optional members: with many, nearly every body would be broken somewhere."""
    body = {name: draw(values) for name, values in required.items()}
    if optional:
        names = draw(st.lists(st.sampled_from(sorted(optional)), unique=True, max_size=max_optional))
        body.update({name: draw(optional[name]) for name in names})
    return body


_functions = _object(
    {"name": _tool_names},
    {"description": _words, "parameters": _schemas, "strict": st.sampled_from([True, False, None])},
)
_text_parts = _object({"type": st.just("text"), "text": _words}, {})
_image_parts = st.sampled_from(
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "ftp://x"}},
        {"type": "image_url", "image_url": "x"},
        {"type": "file", "file_id": "file-api-0"},
        {"type": "file"},
    ]
)
_contents = st.one_of(
    _words, _words, _words, st.lists(_text_parts, max_size=2), st.lists(_image_parts, min_size=1, max_size=1), _junk
)
_call_ids = st.sampled_from(["c1", "c2", ""])
_chat_calls = _object(
    {"id": _call_ids, "type": st.just("function")},
    {"function": st.sampled_from([{"name": "f", "arguments": "{}"}, {"name": "f"}, {"name": "f", "arguments": "x"}])},
)
_chat_messages = st.one_of(
    _object({"role": st.just("user"), "content": _contents}, {"name": _words, "prefix": st.booleans()}),
    _object({"role": st.just("user"), "content": _words}, {}),
    _object({"role": st.just("system"), "content": _contents}, {}),
    _object(
        {"role": st.just("assistant")},
        {
            "content": st.one_of(_words, st.none()),
            "reasoning_content": st.one_of(_words, st.none()),
            "tool_calls": st.lists(_chat_calls, max_size=2),
            "prefix": st.booleans(),
        },
    ),
    _object({"role": st.just("tool"), "content": _words}, {"tool_call_id": _call_ids}),
    _object({"role": st.sampled_from(["latest_reminder", "developer", "function", "x"]), "content": _words}, {}),
)
_numbers = st.sampled_from([0, 0.5, 1, 1.0, 2, 2.1, -1, -2, -2.5, "1", None, True, 1e300])
_efforts = st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra", "x", None, 5])
_thinking = st.sampled_from(
    [{"type": "enabled"}, {"type": "disabled"}, {"type": "adaptive"}, {"type": "auto"}, {"type": 5}, {}, None, True]
)
_stops = st.sampled_from(["a", "", ["a", "b"], [], ["a"] * 17, [""], [5], None, {"a": 1}])
_limits = st.sampled_from([1, 60, 0, 393_216, 393_217, -1, 1.5, "5", None, 2**40])
_chat_tools = st.lists(
    _object({"type": st.sampled_from(["function", "function", "function", "web_search"])}, {"function": _functions}),
    max_size=2,
)

_CHAT_OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "temperature": _numbers,
    "top_p": _numbers,
    "presence_penalty": _numbers,
    "frequency_penalty": _numbers,
    "max_tokens": _limits,
    "max_completion_tokens": _limits,
    "stop": _stops,
    "stream": st.sampled_from([True, False, None, "x"]),
    "stream_options": st.sampled_from([{"include_usage": True}, {}, None, {"include_usage": 5}, 5]),
    "thinking": _thinking,
    "reasoning_effort": _efforts,
    "tools": _chat_tools,
    "tool_choice": st.sampled_from(
        ["auto", "none", "required", "x", {"type": "function", "function": {"name": "f"}}, 5, None]
    ),
    "response_format": st.sampled_from(
        [
            {"type": "text"},
            {"type": "json_object"},
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
            {"type": "json_schema"},
            {"type": "xml"},
            None,
            5,
        ]
    ),
    "logprobs": st.sampled_from([True, False, None, 5]),
    "top_logprobs": st.sampled_from([0, 5, 20, 21, -1, None, 300]),
    "n": st.sampled_from([1, 2, None, "1"]),
    "seed": st.sampled_from([0, 1, 2**63 - 1, 2**63, -1, None, "x"]),
    "user_id": st.sampled_from(["u", "a b", "x" * 512, "x" * 513, None, 5]),
    "functions": _junk,
    "unknown": _junk,
}
_good_messages = st.lists(_object({"role": st.sampled_from(["user", "system"]), "content": _words}, {}), min_size=1)
chat_bodies = _object(
    {"model": _models, "messages": st.one_of(_good_messages, st.lists(_chat_messages, max_size=4))},
    _CHAT_OPTIONS,
)

_blocks = st.one_of(
    _text_parts,
    st.sampled_from(
        [
            {"type": "thinking", "thinking": "Hm", "signature": "s"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
            {"type": "tool_result", "tool_use_id": "t1", "content": "ok"},
            {"type": "tool_result", "tool_use_id": "zz"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            {"type": "zz"},
            {"type": "text"},
        ]
    ),
)
message_bodies = _object(
    {
        "model": st.sampled_from(["deepseek-chat", "deepseek-flash", "claude-opus-4", "claude-haiku", "x"]),
        "messages": st.lists(
            _object(
                {
                    "role": st.sampled_from(["user", "user", "assistant", "system", "tool"]),
                    "content": st.one_of(_words, st.lists(_blocks, max_size=3), _junk),
                },
                {},
            ),
            max_size=3,
        ),
    },
    {
        "max_tokens": _limits,
        "system": st.one_of(_words, st.lists(_text_parts, max_size=2), _junk),
        "temperature": _numbers,
        "top_p": _numbers,
        "top_k": _junk,
        "stop_sequences": _stops,
        "stream": st.sampled_from([True, False, None, "x"]),
        "thinking": _thinking,
        "output_config": st.sampled_from([{"effort": "max"}, {"effort": "x"}, {}, None, 5]),
        "metadata": st.sampled_from([{"user_id": "u"}, {}, None, {"user_id": 5}]),
        "tools": st.lists(
            _object({"name": _tool_names}, {"description": _words, "input_schema": _schemas, "type": _words}),
            max_size=2,
        ),
        "tool_choice": st.sampled_from([{"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "f"}, {}, 5, None]),
        "unknown": _junk,
    },
)

_items = st.one_of(
    _object(
        {"role": st.sampled_from(["user", "assistant", "system", "developer", "x"]), "content": _words},
        {"type": st.just("message")},
    ),
    st.sampled_from(
        [
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "ok"},
            {"type": "function_call", "call_id": "", "name": "f", "arguments": "{}"},
            {"type": "function_call"},
            {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]},
            {"type": "zz"},
            {"role": "user", "content": [{"type": "input_text", "text": "json"}]},
            {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]},
            {"role": "user", "content": [{"type": "input_image"}]},
        ]
    ),
)
response_bodies = _object(
    {"model": _models, "input": st.one_of(_words, _words, _words, st.lists(_items, max_size=4), _junk)},
    {
        "instructions": st.one_of(_words, _junk),
        "max_output_tokens": _limits,
        "temperature": _numbers,
        "top_p": _numbers,
        "top_logprobs": st.sampled_from([0, 5, 21, -1, None]),
        "include": st.sampled_from([["message.output_text.logprobs"], [], None, 5]),
        "stream": st.sampled_from([True, False, None, "x"]),
        "reasoning": st.sampled_from([{"effort": "none"}, {"effort": "max"}, {"effort": "x"}, {}, None, 5]),
        "text": st.sampled_from(
            [
                {"format": {"type": "text"}},
                {"format": {"type": "json_object"}},
                {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}},
                {"format": {"type": "xml"}},
                {},
                None,
                5,
            ]
        ),
        "tools": st.lists(
            st.one_of(
                _object(
                    {"type": st.just("function"), "name": _tool_names},
                    {"parameters": _schemas, "strict": st.booleans(), "description": _words},
                ),
                st.sampled_from(
                    [
                        {"type": "web_search"},
                        {"type": "custom", "name": "zz"},
                        {"type": "custom", "name": "apply_patch"},
                    ]
                ),
            ),
            max_size=2,
        ),
        "tool_choice": st.sampled_from(["auto", "none", "required", {"type": "function", "name": "f"}, "x", 5, None]),
        "user": _junk,
        "unknown": _junk,
    },
)


@st.composite
def as_sent(draw: st.DrawFn, bodies: st.SearchStrategy[Body]) -> bytes:
    """The bytes of a body: mostly whole, sometimes with a member replaced by junk, cut short or with a stray byte."""
    body = draw(bodies)
    damage = draw(st.sampled_from([*["none"] * 9, "member", "cut", "byte"]))
    if damage == "member":
        body[draw(st.sampled_from(sorted(body)))] = draw(_junk)
    sent = json.dumps(body, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, None, 1]))).encode()
    if damage == "cut":
        return sent[: draw(st.integers(min_value=0, max_value=len(sent)))]
    if damage == "byte":
        position = draw(st.integers(min_value=0, max_value=len(sent)))
        return (
            sent[:position] + draw(st.sampled_from([b"}", b'"', b",", b"\x01", b"\xff", b"x", b" "])) + sent[position:]
        )
    return sent
