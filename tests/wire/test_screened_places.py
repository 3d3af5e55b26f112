"""Whatever text of a body reaches the prompt or the constraint of its answer is one of those that are screened."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from seekd.errors import RequestError
from seekd.prompt.types import PackageFormat, PromptFormat
from seekd.wire.calls import Call
from seekd.wire.chat import parse_chat
from seekd.wire.dialect import CLASSIC
from seekd.wire.messages import parse_messages
from seekd.wire.responses import parse_responses
from seekd.wire.texts import texts_of

CANARY = "ann@example.com"

SCHEMA: Any = {
    "type": "object",
    "title": "T",
    "description": "D",
    "$comment": "C",
    "$id": "I",
    "$anchor": "A",
    "x-own": {"deep": ["E"]},
    "properties": {
        "one": {"type": "string", "enum": ["e"], "description": "d", "default": "f", "examples": ["g", {"k": "v"}]},
        "two": {"const": "k", "pattern": "p", "format": "q"},
        "three": {"$ref": "#/$defs/name", "anyOf": [{"items": {"title": "t"}}]},
    },
    "required": ["one"],
    "patternProperties": {"^p": {"type": "string"}},
    "dependentRequired": {"one": ["two"]},
    "$defs": {"name": {"type": "string", "title": "N"}},
}
FUNCTION: Any = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": False}
USER: Any = {"role": "user", "content": "u"}
CALL: Any = {"name": "f", "arguments": '{"k": "v"}'}
CHAT: Any = {"model": "deepseek-chat", "messages": [USER]}
BODIES: dict[str, tuple[Callable[..., Call], Any]] = {
    "chat": (
        partial(parse_chat, beta=False),
        {
            **CHAT,
            "messages": [
                {"role": "system", "content": "s", "name": "n"},
                {"role": "user", "content": [{"type": "text", "text": "u"}], "name": "n"},
                {
                    "role": "assistant",
                    "content": "a",
                    "reasoning_content": "r",
                    "tool_calls": [{"id": "i", "type": "function", "function": CALL}],
                },
                {"role": "tool", "tool_call_id": "i", "content": "t"},
                {"role": "latest_reminder", "content": "l"},
                USER,
            ],
            "tools": [{"type": "function", "function": FUNCTION}],
            "stop": ["st"],
            "user_id": "u",
        },
    ),
    "chat with functions": (
        partial(parse_chat, beta=False),
        {
            **CHAT,
            "messages": [
                USER,
                {"role": "assistant", "content": None, "function_call": CALL},
                {"role": "function", "name": "f", "content": "r"},
                USER,
            ],
            "functions": [FUNCTION],
        },
    ),
    "chat with a schema": (
        partial(parse_chat, beta=False),
        {
            **CHAT,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "description": "d", "schema": SCHEMA},
            },
        },
    ),
    "chat with an expression": (
        partial(parse_chat, beta=False),
        {**CHAT, "response_format": {"type": "regex", "regex": "e"}},
    ),
    "chat with a prefix": (
        partial(parse_chat, beta=True),
        {**CHAT, "messages": [USER, {"role": "assistant", "content": "p", "prefix": True, "reasoning_content": "r"}]},
    ),
    "messages": (
        parse_messages,
        {
            "model": "deepseek-chat",
            "max_tokens": 9,
            "system": [{"type": "text", "text": "s"}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "u"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "t", "signature": "s"},
                        {"type": "text", "text": "a"},
                        {"type": "tool_use", "id": "i", "name": "f", "input": {"k": ["v", {"m": "w"}]}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "i", "content": [{"type": "text", "text": "r"}]}
                    ],
                },
            ],
            "tools": [{"name": "f", "description": "d", "input_schema": SCHEMA, "input_examples": [{"k": "v"}]}],
            "stop_sequences": ["st"],
            "metadata": {"user_id": "u"},
        },
    ),
    "messages with a schema": (
        parse_messages,
        {
            "model": "deepseek-chat",
            "max_tokens": 9,
            "messages": [USER],
            "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
        },
    ),
    "responses": (
        parse_responses,
        {
            "model": "deepseek-chat",
            "instructions": "i",
            "input": [
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "t"}]},
                {"role": "assistant", "content": [{"type": "output_text", "text": "o"}]},
                {
                    "type": "reasoning",
                    "id": "r",
                    "summary": [{"type": "summary_text", "text": "s"}],
                    "content": [{"type": "reasoning_text", "text": "t"}],
                    "encrypted_content": "e",
                },
                {"type": "function_call", "call_id": "c", **CALL},
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "o"}]},
                {"type": "custom_tool_call", "call_id": "d", "name": "apply_patch", "input": "i"},
                {"type": "custom_tool_call_output", "call_id": "d", "output": "o"},
                USER,
            ],
            "tools": [
                {"type": "function", **FUNCTION},
                {"type": "custom", "name": "apply_patch", "description": "d"},
                {"type": "namespace", "name": "n", "description": "d", "tools": [{"type": "function", **FUNCTION}]},
            ],
        },
    ),
    "responses with a schema": (
        parse_responses,
        {
            "model": "deepseek-chat",
            "input": "i",
            "text": {"format": {"type": "json_schema", "name": "n", "description": "d", "schema": SCHEMA}},
        },
    ),
}


def _with_canaries(value: Any) -> Iterator[tuple[str, Any]]:
    """The value with a canary for each of its texts and names in turn, and the name of the place."""
    members = list(value.items() if isinstance(value, dict) else enumerate(value))
    for place, member in members:
        others = dict(members)
        if isinstance(value, dict):
            yield "a name", {(CANARY if key == place else key): other for key, other in members}
        if isinstance(member, dict | list):
            changed = list(_with_canaries(member))
        elif isinstance(member, str):
            in_json = member.startswith("{")
            changed = [(str(place), member.replace('"v"', f'"{CANARY}"') if in_json else CANARY)]
        else:
            continue
        for name, new in changed:
            yield name, {**others, place: new} if isinstance(value, dict) else list({**others, place: new}.values())


def _reaches_the_model(parse: Callable[..., Call], body: Any) -> bool:
    try:
        call = parse(json.dumps(body).encode(), dialect=CLASSIC, models=())
    except RequestError:
        return False
    prompt_format = PackageFormat(prompt_format=next(iter(PromptFormat)))
    prompt = "".join(segment.text for segment in call.request.body.render(prompt_format))
    return CANARY in prompt or CANARY in repr(call.request.rule)


@pytest.mark.fault("sensitive-texts-in-schemas")
@pytest.mark.parametrize("kind", BODIES)
def test_what_reaches_the_model_is_screened(kind: str) -> None:
    parse, body = BODIES[kind]
    parse(json.dumps(body).encode(), dialect=CLASSIC, models=())  # it is a body that is taken
    reaching = [(place, changed) for place, changed in _with_canaries(body) if _reaches_the_model(parse, changed)]
    missed = {place for place, changed in reaching if not any(CANARY in text for text in texts_of(changed))}
    assert reaching
    assert missed <= {"name"}  # of tools, in calls of earlier turns
