from __future__ import annotations

import pytest

from seekd.constrain.integers import LARGEST_INTEGER
from seekd.constrain.schema_check import (
    MAX_PROPERTIES,
    MAX_SCHEMA_DEPTH,
    Finding,
    check_schema,
    resolve,
)
from seekd.errors import InvalidParameter


def check(schema: object) -> tuple[object, list[str]]:
    checked = check_schema(schema, name="The schema")
    return checked.schema, [str(finding) for finding in checked.findings]


def test_what_is_dropped_is_named_by_its_place() -> None:
    schema = {"properties": {"a": {"anyOf": [{"type": "string"}, {"items": {"not": {}, "type": "boolean"}}]}}}
    kept, findings = check(schema)
    assert kept == {"properties": {"a": {"anyOf": [{"type": "string"}, {"items": {"type": "boolean"}}]}}}
    assert findings == ["properties.a.anyOf.1.items.not: negation cannot be enforced"]
    assert str(Finding(path="", reason="why")) == "why"


def test_nothing_of_the_callers_is_changed() -> None:
    schema = {"type": "object", "title": "t", "properties": {"a": {"format": "date", "pattern": "x"}}}
    before = repr(schema)
    kept, findings = check(schema)
    assert repr(schema) == before
    assert findings == []
    assert isinstance(kept, dict)
    assert kept["properties"]["a"]["pattern"] == "x"
    assert "[1-9][0-9]{3}" in kept["properties"]["a"]["allOf"][0]["pattern"]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("type", "text"), ("type", []), ("type", 3), ("enum", []), ("enum", "a"), ("enum", [2**60]), ("const", 1e300),
        ("anyOf", []), ("anyOf", {}), ("properties", []), ("properties", {"a": 3}), ("required", [1]),
        ("required", "a"),
        ("items", [{}]), ("items", 3), ("minLength", -1), ("minLength", "1"), ("minLength", True), ("minLength", 1.5),
        ("pattern", 3), ("pattern", "("), ("pattern", r"\bx"), ("pattern", "[a&&b]"), ("pattern", "[[a]"),
        ("minimum", "1"), ("minimum", True), ("minimum", 2**60), ("multipleOf", 0), ("multipleOf", -2),
        ("format", 3), ("$ref", "#/nowhere"), ("$ref", 3), ("$ref", "#anchor"), ("patternProperties", {"(": {}}),
        ("properties", {str(number): {} for number in range(MAX_PROPERTIES + 1)}),
        ("anyOf", [{}] * (MAX_PROPERTIES + 1)),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_shape_is_dropped_and_reported(keyword: str, value: object) -> None:
    kept, findings = check({keyword: value})
    assert kept == {}
    assert len(findings) == 1
    assert findings[0].startswith(keyword)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("properties", {str(number): {} for number in range(MAX_PROPERTIES)}),
        ("anyOf", [{"type": "null"}] * MAX_PROPERTIES),
    ],
)
def test_as_many_parts_as_are_allowed_are_kept(keyword: str, value: object) -> None:
    assert check({keyword: value}) == ({keyword: value}, [])


def test_an_integer_is_given_the_bounds_that_it_lacks() -> None:
    bounds = {"minimum": 0, "maximum": LARGEST_INTEGER}
    assert check({"type": "integer", "minimum": 0}) == ({"type": "integer", **bounds}, [])


def test_whole_numbers_with_a_point_are_counts() -> None:
    assert check({"minLength": 2.0}) == ({"minLength": 2}, [])


@pytest.mark.parametrize("schema", [None, [], "a", 3, False])
def test_what_is_no_schema_is_refused(schema: object) -> None:
    with pytest.raises(InvalidParameter, match="The schema must be"):
        check(schema)


def test_the_limits_of_size_depth_and_number_are_refusals() -> None:
    deep: dict[str, object] = {}
    for _ in range(MAX_SCHEMA_DEPTH):
        deep = {"items": deep}
    with pytest.raises(InvalidParameter, match="too deeply"):
        check(deep)
    with pytest.raises(InvalidParameter, match="too large"):
        check({"enum": ["x" * 300_000]})
    with pytest.raises(InvalidParameter, match="subschemas"):
        check({"properties": {str(n): {"properties": {str(m): {} for m in range(90)}} for n in range(50)}})


def test_values_that_json_cannot_carry_are_refused() -> None:
    for value in (float("nan"), "\ud800", {1, 2}):
        with pytest.raises(InvalidParameter, match="not valid JSON"):
            check({"const": value})


def test_many_patterns_on_one_value_are_refused_because_they_take_exponential_time() -> None:
    patterns = [{"pattern": f"(a|b)*a(a|b){{{number}}}"} for number in range(15)]
    with pytest.raises(InvalidParameter, match="too many conditions"):
        check({"allOf": patterns})
    _, findings = check({"anyOf": patterns})
    assert findings == []


def test_references_follow_pointers() -> None:
    root = {"a/b": [{"~": {"type": "null"}}]}
    assert resolve(root, "#/a~1b/0/~0") == {"type": "null"}
    assert resolve(root, "#/a~1b/%30/%7E0") == {"type": "null"}
    assert resolve(root, "#") is root
    for nowhere in ("#/a", "#/a~1b/1", "#/a~1b/x", "#/a~1b/0/~0/type/x"):
        assert resolve(root, nowhere) is None
