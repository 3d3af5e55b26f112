import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seekd.errors import MalformedBody
from seekd.prompt.recipe import ReadBody, WireProtocol
from seekd.wire import blame
from seekd.wire.blame import Culprit, find_culprit
from seekd.wire.json_locator import Path

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
GOOD: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    "thinking": {"type": "enabled"},
    "stream": True,
    "stream_options": {"include_usage": True},
    "tools": [TOOL, {"type": "function", "function": {"name": "g"}}],
    "stop": ["a"],
    "temperature": 1,
    "max_tokens": 5,
    "response_format": {"type": "text"},
}
BREAKAGES: list[tuple[Path, object]] = [
    (("model",), 5),
    (("messages",), {"a": 1}),
    (("messages", 1), 5),
    (("messages", 1, "role"), "developer"),
    (("thinking",), True),
    (("thinking", "type"), "auto"),
    (("stream",), "yes"),
    (("stream_options", "include_usage"), 5),
    (("tools",), 5),
    (("tools", 1, "type"), "web_search"),
    (("tools", 0, "function", "name"), 5),
    (("tools", 0, "function", "description"), 5),
    (("stop",), {"a": {"b": 1}}),
    (("temperature",), "hot"),
    (("max_tokens",), -1),
    (("response_format", "type"), "xml"),
]


def _reason(body: object) -> str:
    try:
        ReadBody(WireProtocol.CHAT, json.dumps(body).encode())
    except MalformedBody as error:
        return error.message
    raise AssertionError("the body is accepted")


def _broken(path: Path, value: object, order: int) -> dict[str, Any]:
    keys = list(GOOD)
    random.Random(order).shuffle(keys)
    body: dict[str, Any] = json.loads(json.dumps({key: GOOD[key] for key in keys}))
    target: Any = body
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    return body


def _culprit(body: object) -> Culprit | None:
    return find_culprit(WireProtocol.CHAT, json.dumps(body).encode(), _reason(body))


@given(breakage=st.sampled_from(BREAKAGES), order=st.integers(min_value=0, max_value=1000))
def test_a_single_wrong_value_is_found_in_any_order(breakage: tuple[Path, object], order: int) -> None:
    path, value = breakage
    assert _culprit(_broken(path, value, order)) == Culprit(path=path, is_missing_member=False)


@pytest.mark.parametrize(
    ("path", "member"),
    [
        ((), "model"),
        ((), "messages"),
        (("thinking",), "type"),
        (("tools", 1, "function"), "name"),
        (("tools", 0), "type"),
    ],
)
def test_an_object_that_lacks_a_member_is_found(path: Path, member: str) -> None:
    body: dict[str, Any] = json.loads(json.dumps(GOOD))
    target: Any = body
    for part in path:
        target = target[part]
    del target[member]
    assert _culprit(body) == Culprit(path=path, is_missing_member=True)


def test_a_body_that_is_no_object_is_itself_to_blame() -> None:
    assert _culprit("x") == Culprit(path=(), is_missing_member=False)


def test_too_many_parts_are_not_searched() -> None:
    many = {f"k{i}": 0 for i in range(blame.MAX_PARTS)}
    assert _culprit({**many, "model": 5}) is None
