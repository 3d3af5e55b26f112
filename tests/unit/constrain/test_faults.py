from __future__ import annotations

from seekd.constrain.faults import MAX_LOOKS, error_of, fault_of

NEVER = {"type": "integer", "minimum": 3, "maximum": 2}
EITHER = {"oneOf": [{"minimum": 2}, {"minimum": 3}]}


def place_of(schema: object) -> str | None:
    fault = fault_of(schema)
    return fault and fault.partition(": ")[0]


def test_a_schema_that_can_be_enforced_has_no_fault() -> None:
    assert fault_of({"type": "object"}) is None
    assert error_of(True) is None


def test_a_fault_of_the_whole_has_no_place() -> None:
    assert fault_of(NEVER) == error_of(NEVER) == "no value fits: minimum (3) is greater than maximum (2)"
    assert fault_of(False) == error_of(False) == "no value fits, since its conditions exclude each other"


def test_the_innermost_part_that_is_refused_alone_is_named() -> None:
    inner = {"type": "object", "properties": {"b": {"type": "string"}, "c": EITHER}}
    schema = {"type": "object", "properties": {"a": {"anyOf": [{"type": "array", "items": inner}, {"type": "null"}]}}}
    assert place_of(schema) == "properties.a.anyOf.0.items.properties.c"


def test_what_no_value_fits_is_a_fault_only_where_it_is_needed() -> None:
    properties = {"may": NEVER, "must": NEVER}
    assert fault_of({"type": "object", "properties": properties}) is None
    assert place_of({"type": "object", "properties": properties, "required": ["must"]}) == "properties.must"
    assert place_of({"type": "object", "properties": {"may": NEVER, "other": EITHER}}) == "properties.other"


def test_references_are_followed_from_where_they_stand() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"$ref": "#/$defs/x"}},
        "$defs": {"x": EITHER, "unused": NEVER},
    }
    assert place_of(schema) == "properties.b"


def test_the_search_ends_with_the_place_that_it_has() -> None:
    many = {f"p{index}": {"type": "null"} for index in range(MAX_LOOKS)}
    schema = {"type": "object", "properties": {"a": {"type": "object", "properties": {**many, "b": EITHER}}}}
    assert place_of(schema) == "properties.a"
