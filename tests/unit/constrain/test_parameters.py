from __future__ import annotations

import pytest

from seekd.constrain.parameters import ParameterSet, is_writable_name, parameters_of, written_name

A, B = {"type": "string"}, {"type": "integer"}


def names(schema: dict[str, object]) -> list[tuple[list[str], list[str]]]:
    return [(list(one.schemas), sorted(one.required)) for one in parameters_of(schema).alternatives]


def test_properties_keep_their_order() -> None:
    assert names({"properties": {"b": B, "a": A}, "required": ["a"]}) == [(["b", "a"], ["a"])]


def test_references_and_merged_schemas_are_taken_together() -> None:
    schema = {
        "properties": {"a": A},
        "$ref": "#/$defs/x",
        "allOf": [{"properties": {"c": A, "a": B}, "required": ["a"]}],
        "$defs": {"x": {"properties": {"b": B}, "required": ["b"]}},
    }
    [one] = parameters_of(schema).alternatives
    assert dict(one.schemas) == {"a": {"allOf": [A, B]}, "b": B, "c": A}
    assert one.required == {"a", "b"}


def test_each_branch_is_an_alternative() -> None:
    schema: dict[str, object] = {
        "properties": {"k": A},
        "anyOf": [{"required": ["k"]}, {"properties": {"a": A}, "required": ["a"]}],
    }
    assert names(schema) == [(["k"], ["k"]), (["k", "a"], ["a"])]


def test_one_of_is_read_as_any_of_and_reported() -> None:
    found = parameters_of({"oneOf": [{"properties": {"a": A}}, {"properties": {"b": B}}]})
    assert len(found.alternatives) == 2
    assert [finding.path for finding in found.findings] == ["oneOf"]


def test_too_many_alternatives_fall_back_to_the_schemas_own_properties() -> None:
    branches = [{"anyOf": [{"required": [f"{side}{number}"]} for side in "ab"]} for number in range(6)]
    found = parameters_of({"properties": {"a0": A}, "allOf": branches})
    assert [list(one.schemas) for one in found.alternatives] == [["a0"]]
    assert "too many" in found.findings[0].reason


def test_references_that_unfold_without_end_stop() -> None:
    definitions: dict[str, object] = {
        f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]} for n in range(40)
    }
    definitions["d40"] = {"properties": {"a": A}}
    found = parameters_of({"$ref": "#/$defs/d0", "$defs": definitions})
    assert "too many" in found.findings[0].reason


def test_a_name_that_only_required_has_is_a_parameter() -> None:
    [one] = parameters_of({"required": ["a"], "additionalProperties": B}).alternatives
    assert dict(one.schemas) == {"a": B}


@pytest.mark.parametrize(
    ("schema", "others", "needs_one"),
    [
        ({}, None, False),
        ({"additionalProperties": False}, None, False),
        ({"additionalProperties": B}, B, False),
        ({"minProperties": 1}, True, True),
        ({"properties": {"a": A}, "additionalProperties": B}, None, False),
    ],
)
def test_further_names_come_only_where_none_is_given(
    schema: dict[str, object], others: object, needs_one: bool
) -> None:
    [one] = parameters_of(schema).alternatives
    assert (one.others, one.needs_one) == (others, needs_one)


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": [{}]},
        {"const": {}},
        {"patternProperties": {"a": A}},
        {"properties": {"a": A, "b": B}, "maxProperties": 1},
        {"minProperties": 1, "additionalProperties": False},
        {"properties": {"a b": A}},
    ],
)
def test_what_the_elements_cannot_carry_is_reported(schema: dict[str, object]) -> None:
    assert len(parameters_of(schema).findings) == 1


def test_a_parameter_that_nothing_fits_is_left_out() -> None:
    assert parameters_of({"properties": {"a": False}}).alternatives == (ParameterSet(),)


def test_names_are_written_as_json_writes_them() -> None:
    assert written_name('a"\\\n天') == 'a\\"\\\\\\n天'
    assert [name for name in ("", "a b", "x｜DSML｜", "a", "天\u3000") if is_writable_name(name)] == ["a", "天\u3000"]


def test_a_part_that_allows_no_others_forbids_the_parameters_of_the_other_parts() -> None:
    closed: dict[str, object] = {"properties": {"a": A}, "additionalProperties": False}
    assert names({"allOf": [closed, {"properties": {"b": B}}]}) == [(["a"], [])]
    found = parameters_of({"allOf": [closed, {"properties": {"b": B}, "required": ["b"]}]})
    assert dict(found.alternatives[0].schemas) == {"a": A, "b": B}
    assert [str(finding) for finding in found.findings] == [
        "properties.b: it is required, and forbidden by additionalProperties elsewhere"
    ]


def test_a_part_holds_the_parameters_that_it_does_not_list_to_its_schema_of_others() -> None:
    part: dict[str, object] = {"properties": {"a": A}, "additionalProperties": B}
    [one] = parameters_of({"allOf": [part, {"properties": {"b": {}, "c": A}}]}).alternatives
    assert dict(one.schemas) == {"a": A, "b": {"allOf": [{}, B]}, "c": {"allOf": [A, B]}}


@pytest.mark.parametrize("schema", [{"type": "array"}, {"allOf": [False]}, {"anyOf": [{"type": "string"}, False]}])
def test_a_schema_that_no_object_fits_is_reported(schema: dict[str, object]) -> None:
    found = parameters_of(schema)
    assert found.alternatives == (ParameterSet(),)
    assert [finding.reason for finding in found.findings] == ["no parameters fit it"]


def test_branches_that_allow_no_objects_are_no_alternatives() -> None:
    schema: dict[str, object] = {"anyOf": [{"type": ["object", "null"], "properties": {"a": A}}, {"type": "array"}]}
    assert names(schema) == [(["a"], [])]
