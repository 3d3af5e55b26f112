"""Texts and places of malformed bodies; the vectors that are exactly known stand in tests/wire/golden."""

import json

import pytest

from seekd.errors import MalformedBody
from seekd.prompt.recipe import WireProtocol
from seekd.wire import blame
from seekd.wire.chat import parse_chat
from seekd.wire.dialect import HOSTED
from seekd.wire.malformed import MAX_LOCATED_BYTES, located, wrong_member
from seekd.wire.messages import parse_messages
from tests.wire.driving import HELLO, Json, as_bytes

SHAPE = "Failed to deserialize the JSON body into the target type: "
SYNTAX = "Failed to parse the request body as JSON: "


def _message(body: bytes) -> str:
    with pytest.raises(MalformedBody) as caught:
        parse_chat(body, dialect=HOSTED, beta=False)
    return caught.value.message


def _with(fields: Json) -> bytes:
    return as_bytes({"model": "deepseek-chat", "messages": HELLO, **fields})


def test_a_wrong_scalar_is_placed_behind_it() -> None:
    body = _with({"stream": "yes", "n": 1})
    column = body.index(b'"yes"') + len(b'"yes"')
    assert _message(body) == (
        f'{SHAPE}stream: invalid type: string "yes", expected a boolean at line 1 column {column}'
    )


def test_a_wrong_object_is_placed_before_its_bracket() -> None:
    body = _with({"max_tokens": {"a": 1}})
    column = body.index(b'{"a":1}')
    assert _message(body).endswith(f"max_tokens: invalid type: map, expected u32 at line 1 column {column}")


def test_a_missing_member_is_placed_behind_its_object() -> None:
    body = _with({"stream_options": {}, "thinking": {"budget": 5}, "stream": True})
    column = body.index(b'{"budget":5}') + len(b'{"budget":5}')
    assert _message(body) == f"{SHAPE}thinking: missing field `type` at line 1 column {column}"


@pytest.mark.parametrize("position", [0, 1], ids=["first", "last"])
def test_what_is_wrong_inside_a_message_is_placed_behind_the_message(position: int) -> None:
    messages: list[Json] = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    messages[position]["content"] = 5
    body = as_bytes({"model": "m", "messages": messages})
    behind = body.index(b'"content":5}') + len(b'"content":5}') + 1
    assert _message(body) == (
        f"{SHAPE}messages[{position}]: content should be a string or a list at line 1 column {behind}"
    )


def test_a_wrong_role_is_placed_behind_the_role() -> None:
    body = as_bytes({"model": "m", "messages": [{"content": "a", "role": "robot"}]})
    assert _message(body).startswith(f"{SHAPE}messages[0].role: unknown variant `robot`")
    assert _message(body).endswith(f"column {body.index(b'robot') + 6}")


@pytest.mark.parametrize("fields", [{"reasoning_effort": 5}, {"thinking": {"type": [1]}}])
def test_a_name_that_is_no_string_is_broken_syntax_at_its_first_byte(fields: Json) -> None:
    body = _with(fields)
    (name,) = fields
    column = len(body) - (2 if name == "thinking" else 1) - len(b"5" if name == "reasoning_effort" else b"[1]") + 1
    path = name if name == "reasoning_effort" else "thinking.type"
    assert _message(body) == f"{SYNTAX}{path}: expected value at line 1 column {column}"


def test_lines_are_counted() -> None:
    body = json.dumps({"model": "m", "messages": HELLO, "n": "x"}, indent=2).encode()
    line = body[: body.index(b'"x"')].count(b"\n") + 1
    column = len('  "n": "x"')
    assert _message(body).endswith(f" at line {line} column {column}")


def test_broken_syntax_names_the_path_it_broke_at() -> None:
    assert _message(b'{"messages":[{"role":"user","content":nope}]}').startswith(
        f"{SYNTAX}messages[0].content: expected ident at line 1 column "
    )
    assert _message(b'{"model":"a"') == f"{SYNTAX}EOF while parsing an object at line 1 column 12"


def test_a_body_with_very_many_parts_gets_the_reason_without_a_place() -> None:
    fields = {f"k{i}": 0 for i in range(blame.MAX_PARTS)}
    assert _message(_with({**fields, "n": "x"})) == f'{SHAPE}invalid type: string "x", expected u8'


def test_a_very_large_body_gets_the_reason_without_a_place() -> None:
    body = _with({"n": "x", "unknown": "y" * MAX_LOCATED_BYTES})
    assert _message(body) == f'{SHAPE}invalid type: string "x", expected u8'
    assert _message(body[:-1]) == f"{SYNTAX}EOF while parsing an object at line 1 column {len(body) - 1}"
    assert _message(b'{"messages":' + b"[" * MAX_LOCATED_BYTES).startswith(f"{SYNTAX}recursion limit exceeded")


def test_other_protocols_are_placed_too() -> None:
    body = as_bytes({"model": "m", "messages": [{"role": "user", "content": "a"}], "tools": [{"name": 5}]})
    with pytest.raises(MalformedBody) as caught:
        parse_messages(body, dialect=HOSTED)
    assert caught.value.message.startswith(SHAPE)
    assert " at line 1 column " in caught.value.message


def test_a_reason_without_a_place_is_kept() -> None:
    error = located(MalformedBody("odd"), WireProtocol.CHAT, body=b"", rewritten=b"")
    assert error.message == f"{SYNTAX}odd"


def test_members_of_seekds_own_are_refused_in_the_same_words() -> None:
    error = wrong_member(b'{"a":5}', ("a",), "invalid type: integer `5`, expected a string")
    assert error.message == f"{SHAPE}a: invalid type: integer `5`, expected a string at line 1 column 6"
    assert wrong_member(b"{}", (), "missing field `b`").message == f"{SHAPE}missing field `b` at line 1 column 2"
