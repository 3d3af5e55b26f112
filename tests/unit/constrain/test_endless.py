from __future__ import annotations

import itertools

import pytest

from seekd.constrain.endless import without_endless
from seekd.constrain.schema_check import check_schema, resolve
from seekd.errors import InvalidParameter

LOOP = {"$ref": "#/$defs/loop"}
DEFINITIONS = {"loop": {"type": "object", "properties": {"n": LOOP}, "required": ["n"]}}
LIST = {"type": "object", "properties": {"n": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}, "required": ["n"]}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {**LOOP, "$defs": DEFINITIONS},
        {"allOf": [{"type": "object"}, {"$ref": "#"}]},
        {"anyOf": [{"$ref": "#"}, {"type": "object", "required": ["a"], "additionalProperties": {"$ref": "#"}}]},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
        {"type": "array", "prefixItems": [{}, {"$ref": "#"}], "minItems": 2},
        {"type": ["array", "object"], "items": {"$ref": "#"}, "minItems": 1, "required": ["a"],
         "properties": {"a": {"$ref": "#"}}},
    ],
)  # fmt: skip
def test_a_schema_without_an_end_is_none_and_refused(schema: dict[str, object]) -> None:
    assert without_endless(schema, resolve) is None
    with pytest.raises(InvalidParameter, match="without an end"):
        check_schema(schema, name="The schema")


@pytest.mark.parametrize(
    "schema",
    [
        LIST,
        {"type": "object", "properties": {"n": {"$ref": "#"}}},
        {"type": "object", "properties": {"n": {"$ref": "#"}, "v": {"enum": [{"$ref": "#"}]}}, "required": ["v"]},
        {"type": "array", "items": {"$ref": "#"}},
        {"type": "array", "prefixItems": [{}, {"$ref": "#"}], "minItems": 1},
        {"type": ["array", "null"], "items": {"$ref": "#"}, "minItems": 1},
        {"type": ["array", "object"], "items": {"$ref": "#"}, "minItems": 1},
        {"anyOf": [{"$ref": "#"}, {"type": "integer"}]},
        {"enum": ["a"], "type": "array", "minItems": 1, "items": {"$ref": "#"}},
    ],
)
def test_a_schema_that_may_end_stays_as_it_is(schema: dict[str, object]) -> None:
    assert without_endless(schema, resolve) == schema


def test_parts_without_an_end_become_false() -> None:
    schema = {"properties": {"a": LOOP, "b": {"anyOf": [LOOP, {}]}}, "additionalProperties": LOOP, "$defs": DEFINITIONS}
    assert without_endless(schema, resolve) == {
        "properties": {"a": False, "b": {"anyOf": [False, {}]}},
        "additionalProperties": False,
        "$defs": {"loop": False},
    }


def test_what_unfolds_too_far_counts_as_one_with_an_end() -> None:
    names = [f"d{number}" for number in range(16)]
    definitions: dict[str, object] = {
        name: {"anyOf": [{"$ref": f"#/$defs/{after}"}, {"$ref": f"#/$defs/{after}"}]}
        for name, after in itertools.pairwise(names)
    }
    definitions[names[-1]] = {"$ref": "#/$defs/d0"}
    schema: dict[str, object] = {"$ref": "#/$defs/d0", "$defs": definitions}
    assert without_endless(schema, resolve) is not None
