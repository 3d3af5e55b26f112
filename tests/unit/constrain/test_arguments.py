from __future__ import annotations

import pytest

from seekd.constrain.arguments import RawText, Spellings, spellings_of

STRING, INTEGER = {"type": "string"}, {"type": "integer"}
FREE = (RawText(),)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (STRING, Spellings(raw=FREE)),
        (INTEGER, Spellings(json=INTEGER)),
        ({"type": ["string", "null"]}, Spellings(raw=FREE, json={"type": ["null"]})),
        (
            {"type": "string", "minLength": 1, "maxLength": 2, "pattern": "a"},
            Spellings(raw=(RawText(min_length=1, max_length=2, pattern="a"),)),
        ),
        ({"minLength": 1, "type": ["integer", "string"], "minimum": 2},
         Spellings(raw=(RawText(min_length=1),), json={"type": ["integer"], "minimum": 2})),
        ({"enum": ["a", "b"]}, Spellings(raw=(RawText(literals=("a", "b")),))),
        ({"enum": ["a", 1]}, Spellings(raw=(RawText(literals=("a",)),), json={"enum": [1]})),
        ({"const": None}, Spellings(json={"enum": [None]})),
        ({"type": "integer", "enum": ["a", 1]}, Spellings(json={"type": "integer", "enum": [1]})),
        ({"type": "integer", "const": "a"}, Spellings(json={"type": "integer", "const": "a"})),
        ({"enum": ["a", 1], "const": 1}, Spellings(json={"enum": ["a", 1], "const": 1})),
        ({"enum": ["ab"], "minLength": 1}, Spellings(json={"enum": ["ab"], "minLength": 1})),
        ({"anyOf": [STRING, INTEGER]}, Spellings(raw=FREE, json=INTEGER)),
        ({"anyOf": [INTEGER, {"type": "null"}]}, Spellings(json={"anyOf": [INTEGER, {"type": "null"}]})),
        ({"oneOf": [STRING, INTEGER]}, Spellings(raw=FREE, json=INTEGER)),
        ({"oneOf": [STRING, {"const": "a"}]}, Spellings(json={"oneOf": [STRING, {"const": "a"}]})),
        ({"allOf": [STRING]}, Spellings(json={"allOf": [STRING]})),
        ({"$ref": "#/$defs/s"}, Spellings(raw=FREE)),
        ({"$ref": "#/$defs/i"}, Spellings(json={"$ref": "#/$defs/i"})),
        ({"$ref": "#/$defs/loop"}, Spellings(json={"$ref": "#/$defs/loop"})),
        ({"type": "string", "pattern": "a(^b)"}, Spellings(json={"type": "string", "pattern": "a(^b)"})),
        (False, Spellings(json=False)),
    ],
)  # fmt: skip
def test_a_schema_is_divided_into_raw_text_and_json(schema: object, expected: Spellings) -> None:
    root = {"$defs": {"s": STRING, "i": INTEGER, "loop": {"$ref": "#/$defs/loop"}}}
    assert spellings_of(schema, root) == expected


def test_a_schema_without_a_type_is_both() -> None:
    schemas: list[object] = [True, {}]
    for schema in schemas:
        found = spellings_of(schema, {})
        assert found.raw == FREE
        assert found.json == {"type": ["object", "array", "integer", "number", "boolean", "null"]}


def test_references_that_unfold_without_end_stop() -> None:
    root = {f"d{n}": {"anyOf": [{"$ref": f"#/d{n + 1}"}, {"$ref": f"#/d{n + 1}"}]} for n in range(40)}
    root["d40"] = {"anyOf": [STRING, INTEGER]}
    assert len(spellings_of({"$ref": "#/d0"}, root).raw) <= 200
