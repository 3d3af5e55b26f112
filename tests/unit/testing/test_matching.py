"""A match says in which ways a request is not what was expected."""

from __future__ import annotations

from typing import Any

import pytest

from seekd.errors import ConfigError
from seekd.testing.matching import ANY, match_of
from tests.unit.testing.test_seen import CHAT, seen

BODY = {**CHAT, "model": "deepseek-chat", "stop": ["a", "b"]}


@pytest.mark.parametrize(
    "wishes",
    [
        {},
        {"text": "unny"},
        {"regex": "^S.+y$"},
        {"role": "tool"},
        {"tool": "get_weather"},
        {"tool_result": "get_weather"},
        {"path": "/chat/completions"},
        {"where": lambda request: len(request.messages) == 4},
        {"model": "deepseek-chat", "stop": ["a", "b"]},
        {"model": ANY},
    ],
)
def test_a_request_of_the_kind_has_no_differences(wishes: dict[str, Any]) -> None:
    assert match_of(wishes).differences(seen(BODY)) == []


def no_way(_request: object) -> bool:
    return False


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"text": "rain"}, ["'rain'", "'Sunny'"]),
        ({"regex": "^rain"}, ["/^rain/", "'Sunny'"]),
        ({"role": "user"}, ["'tool'", "'user'"]),
        ({"tool": "get_time"}, ["'get_time'", "get_weather"]),
        ({"tool_result": "get_time"}, ["no result", "'get_time'"]),
        ({"path": "/messages"}, ["/v1/chat/completions", "/messages"]),
        ({"where": no_way}, ["no_way says no"]),
        ({"temperature": 0}, ["no 'temperature'"]),
        ({"stop": ["a", "c"]}, ["'stop'", '-  "c"', '+  "b"', "expected", "sent by the program"]),
    ],
)
def test_each_difference_names_what_was_expected_and_what_came(wishes: dict[str, Any], words: list[str]) -> None:
    [difference] = match_of(wishes).differences(seen(BODY))
    assert all(word in difference for word in words), difference


def test_a_long_text_is_shortened_in_a_difference() -> None:
    [difference] = match_of({"text": "z"}).differences(seen({"messages": [{"role": "user", "content": "x" * 5000}]}))
    assert len(difference) < 400


def test_a_regular_expression_that_cannot_be_read_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"\[a.*cannot be read"):
        match_of({"regex": "[a"})
