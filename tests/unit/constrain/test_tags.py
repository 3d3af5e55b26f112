from __future__ import annotations

import pytest

from seekd.constrain.schema_check import check_schema, resolve
from seekd.constrain.tags import are_told_apart


def tagged(**tags: object) -> dict[str, object]:
    return {"type": "object", "properties": dict(tags), "required": list(tags)}


CAT, DOG, BIRDS = {"const": "cat"}, {"const": "dog"}, {"enum": ["hen", "owl"]}


def told_apart(*branches: object, **definitions: object) -> bool:
    return are_told_apart(branches, {"$defs": definitions}, resolve)


def test_a_required_tag_with_values_of_its_own_in_each_tells_objects_apart() -> None:
    assert told_apart(tagged(kind=CAT), tagged(kind=DOG), tagged(kind=BIRDS))
    assert told_apart(tagged(kind=CAT, size={"const": 1}), tagged(kind=CAT, size={"const": 2}))
    assert told_apart(tagged(is_cat={"const": True}), tagged(is_cat={"const": 1}))


def test_references_are_followed_to_their_end() -> None:
    definitions = {"cat": tagged(kind=CAT), "pet": {"$ref": "#/$defs/cat"}, "dog": tagged(kind=DOG)}
    assert told_apart({"$ref": "#/$defs/pet"}, {"$ref": "#/$defs/dog"}, **definitions)
    assert not told_apart({"$ref": "#/$defs/pet"}, {"$ref": "#/$defs/cat"}, **definitions)
    assert not told_apart({"$ref": "#/$defs/self"}, tagged(kind=DOG), self={"$ref": "#/$defs/self"})


@pytest.mark.parametrize(
    "other",
    [
        tagged(kind=CAT), tagged(kind={"enum": ["cat", "dog"]}), tagged(kind={"type": "string"}), tagged(other=DOG),
        {**tagged(kind=DOG), "required": []}, {**tagged(kind=DOG), "type": ["object", "null"]},
        {"properties": {"kind": DOG}, "required": ["kind"]}, {"type": "object"}, tagged(kind=True), True,
    ],
)  # fmt: skip
def test_whatever_both_may_take_does_not(other: object) -> None:
    assert not told_apart(tagged(kind=CAT), other)


def test_one_and_one_point_nothing_are_one_value() -> None:
    assert not told_apart(tagged(kind={"const": 1}), tagged(kind={"const": 1.0}))


def test_one_of_is_any_of_where_a_tag_tells_its_branches_apart() -> None:
    branches = [tagged(kind=CAT), tagged(kind=DOG)]
    assert check_schema({"oneOf": branches}, name="S").schema == {"anyOf": branches}
    both = {"oneOf": branches, "anyOf": [{"minProperties": 1}]}
    assert check_schema(both, name="S").schema == both
