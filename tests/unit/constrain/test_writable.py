from __future__ import annotations

import json
import re

import pytest

from seekd.constrain.writable import is_writable, writable_pattern
from tests.unit.constrain.random_model import RandomModel
from tests.unit.constrain.test_json_rule import grammar_of

CHARACTERS = [chr(code) for code in (*range(0x80), 0xE9)]


@pytest.mark.parametrize(
    "pattern",
    [
        '^[^"]$', "^[^\\\\]$", '^[^"\\\\\\n]$', '^(?:[^"]|[a-z])$', "^[^a]$", "^[\\t-\\r]$", "^\\s$", "^\\S$", "^\\W$",
        "^\\D$", "^[\\s\\S]$", "^.$", "^[!-~]$", "^[^\\x00-\\x1f]$", "^\\n|\\f$", '^\\"$', "^[^\\]]$",
    ],
)  # fmt: skip
def test_only_characters_that_the_pattern_matches_come_out(random_model: RandomModel, pattern: str) -> None:
    start = random_model.matcher(grammar_of({"properties": {"v": {"pattern": pattern}}, "required": ["v"]}))._matcher
    for character in CHARACTERS:
        text = json.dumps({"v": character}, ensure_ascii=False).encode()
        fits = start.deep_copy().try_consume_tokens(list(text)) == len(text)
        assert fits == (re.search(pattern, character, re.ASCII) is not None and is_writable(character)), repr(character)


@pytest.mark.parametrize(
    "pattern",
    ["a\\x01b", "\\u001f", "\\u{7}", "\\x7F", "\\0", "\\cA", "\\v", "a\x02", "[\\x00-\\x20]", "[\\u0000a]", "x[\x00]"],
)
def test_a_pattern_that_asks_for_what_cannot_be_written_is_none(pattern: str) -> None:
    assert writable_pattern(pattern) is None


@pytest.mark.parametrize(
    "pattern", ["", "a|b", "\\[^a\\]", "\\x41\\u0042\\\\x01", "[\\x01-\\x7f]", "\\n\\r\\t\\f", "[ab"]
)
def test_other_patterns_stay_as_they_are(pattern: str) -> None:
    assert writable_pattern(pattern) == pattern


def test_control_characters_without_a_letter_are_not_writable() -> None:
    assert is_writable('"\\\n\r\t\b\fé𝄞')
    assert not any(map(is_writable, ("\x00", "a\x0b", "\x1f", "\x7f")))
