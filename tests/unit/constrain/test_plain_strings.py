from __future__ import annotations

import pytest

from seekd.constrain.plain_strings import PLAIN_STRINGS, header

SHORT = {"type": "string", "maxLength": 5}
TEXTS = {"enum": ["a", "b"]}


@pytest.mark.parametrize(
    "schemas",
    [
        [SHORT],
        [{"type": "object", "properties": {"a": SHORT, "b": TEXTS}}],
        [{"anyOf": [SHORT, {"type": "string", "maxLength": 9}]}],
        [{"properties": {"a": {"anyOf": [SHORT, {"type": "null"}]}, "b": TEXTS}}],
        [None, {"items": [SHORT, True, 3]}],
    ],
)
def test_strings_that_only_their_length_limits_are_plain(schemas: list[object]) -> None:
    assert header(schemas) == PLAIN_STRINGS


@pytest.mark.parametrize(
    "schemas",
    [
        [],
        [{"type": "string"}],
        [SHORT, {"pattern": "a"}],
        [{"properties": {"a": SHORT, "b": {"format": "date"}}}],
        [{"patternProperties": {"a": SHORT}}],
        [{"anyOf": [SHORT, TEXTS]}],
        [{"oneOf": [SHORT, {"const": "a"}]}],
        [{"anyOf": [{"properties": {"a": SHORT}}, {"properties": {"a": TEXTS}}]}],
        [SHORT, {"properties": {"pattern": {}}}],
    ],
)
def test_strings_that_something_else_may_limit_are_not(schemas: list[object]) -> None:
    assert header(schemas) == ""


def test_what_is_no_schema_is_passed_over() -> None:
    assert header([{"anyOf": 3, "oneOf": {"maxLength": 1}}, SHORT]) == PLAIN_STRINGS
