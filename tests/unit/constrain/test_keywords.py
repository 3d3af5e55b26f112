"""Walks the tables of docs/reference/json-schema.md: each enforced keyword is enforced, each refused one is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import jsonschema
import pytest

from seekd.constrain.formats import FORMAT_PATTERNS
from seekd.constrain.grammars import constraint_for
from seekd.constrain.keywords import ENFORCED, IGNORED, REFUSED, forbids_nothing
from seekd.errors import InvalidParameter
from seekd.output_rule import OutputRule
from tests.unit.constrain.random_model import RandomModel

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "json-schema.md"

# Keyword to a schema of the property "v", a value that fits and one that just the keyword forbids.
ENFORCED_CASES: Mapping[str, tuple[object, str, str]] = {
    "type": ({"type": ["integer", "null"]}, "null", '"a"'),
    "enum": ({"enum": ["a b", 1, [2]]}, "[2]", '"a"'),
    "const": ({"const": {"a": None}}, '{"a": null}', "{}"),
    "anyOf": ({"anyOf": [{"type": "integer"}, {"type": "boolean"}]}, "true", '"a"'),
    "allOf": ({"allOf": [{"type": "integer"}, {"minimum": 5}, {"maximum": 7}]}, "6", "8"),
    "oneOf": ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, "6", "null"),
    "$ref": ({"type": "object", "properties": {"n": {"$ref": "#/properties/v"}}, "additionalProperties": False},
             '{"n": {"n": {}}}', '{"n": {"n": 1}}'),
    "$defs": ({"$defs": {"x": {"type": "null"}}, "$ref": "#/properties/v/$defs/x"}, "null", "1"),
    "$def": ({"$def": {"x": {"type": "null"}}, "$ref": "#/properties/v/$def/x"}, "null", "1"),
    "definitions": ({"definitions": {"x": {"type": "null"}}, "$ref": "#/properties/v/definitions/x"}, "null", "1"),
    "properties": ({"type": "object", "properties": {"a": {"type": "null"}}}, '{"a": null}', '{"a": 1}'),
    "required": ({"type": "object", "required": ["a"]}, '{"a": 1}', '{"b": 1}'),
    "additionalProperties": (
        {"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "integer"}},
        '{"a": "x", "b": 1}', '{"b": "x"}',
    ),
    "patternProperties": (
        {"type": "object", "patternProperties": {"^k": {"type": "null"}}, "additionalProperties": False},
        '{"k1": null}', '{"k1": 1}',
    ),
    "minProperties": ({"type": "object", "minProperties": 1}, '{"a": 1}', "{}"),
    "maxProperties": ({"type": "object", "maxProperties": 1}, '{"a": 1}', '{"a": 1, "b": 2}'),
    "items": ({"type": "array", "items": {"type": "boolean"}}, "[true, false]", "[1]"),
    "prefixItems": ({"type": "array", "prefixItems": [{"type": "null"}]}, "[null, 1]", "[1]"),
    "minItems": ({"type": "array", "minItems": 2}, "[1, 2]", "[1]"),
    "maxItems": ({"type": "array", "maxItems": 1}, "[1]", "[1, 2]"),
    "pattern": ({"type": "string", "pattern": "^(a|b+)$"}, '"bb"', '"ab"'),
    "format": ({"type": "string", "format": "date"}, '"2024-02-28"', '"2024-02-30"'),
    "minLength": ({"type": "string", "minLength": 2}, '"é天"', '"天"'),
    "maxLength": ({"type": "string", "maxLength": 2}, '"\\n天"', '"abc"'),
    "minimum": ({"type": "number", "minimum": -1.5}, "-1.5", "-1.6"),
    "maximum": ({"type": "integer", "maximum": 7}, "7", "8"),
    "exclusiveMinimum": ({"type": "integer", "exclusiveMinimum": 3}, "4", "3"),
    "exclusiveMaximum": ({"type": "number", "exclusiveMaximum": 0.5}, "0.25", "0.5"),
    "multipleOf": ({"type": "integer", "multipleOf": 7}, "21", "22"),
}  # fmt: skip

OUTSIDE_OF_ITS_LIMIT: Mapping[str, object] = {
    "oneOf": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
    "$ref": {"$ref": "https://example.com/schema"},
    "patternProperties": {"type": "object", "patternProperties": {"a": {"type": "null"}, "b": {"type": "integer"}}},
    "minProperties": {"type": "object", "minProperties": 2},
    "maxProperties": {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "maxProperties": 2},
    "pattern": {"type": "string", "pattern": "a(?!b)"},
    "format": {"type": "string", "format": "regex"},
    "exclusiveMinimum": {"minimum": 3, "exclusiveMinimum": True},
    "exclusiveMaximum": {"maximum": 3, "exclusiveMaximum": True},
}

REFUSED_VALUES: Mapping[str, object] = {
    "uniqueItems": True,
    "unevaluatedProperties": False,
    "unevaluatedItems": False,
    "additionalItems": False,
    "minContains": 1,
    "maxContains": 1,
    "dependentRequired": {"a": ["b"]},
    "dependentSchemas": {"a": {"required": ["b"]}},
    "dependencies": {"a": ["b"]},
    "propertyNames": {"pattern": "^a"},
    "$id": "https://example.com/a",
    "id": "https://example.com/a",
    "$anchor": "a",
    "$dynamicRef": "#a",
    "$dynamicAnchor": "a",
    "$recursiveRef": "#",
    "$recursiveAnchor": True,
    "$vocabulary": {"https://example.com/v": True},
}


def table(after: str) -> dict[str, str]:
    """First to second column of the first table behind a sentence of the page."""
    text = PAGE.read_text(encoding="utf-8")
    rows = text[text.index(after) :].split("\n\n")[1].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {first.strip("`"): second for first, second in cells}


def grammar_of(schema: object) -> str:
    document = {"type": "object", "properties": {"v": schema}, "required": ["v"], "additionalProperties": False}
    rule = OutputRule(kind="json_schema", schema=json.dumps(document))
    return constraint_for(rule, call_syntax="deepseek-v4.1", starts_in_reasoning=False).grammar


def is_written(model: RandomModel, grammar: str, text: str) -> bool:
    matcher = model.matcher(grammar)._matcher
    return matcher.try_consume_tokens(list(text.encode())) == len(text.encode()) and matcher.is_accepting()


def test_the_page_says_what_the_tables_of_the_code_say() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert table("Enforced, within the limit") == dict(ENFORCED)
    assert table("Refused, as is every keyword") == dict(REFUSED)
    ignored = re.search(r"Ignored, because they forbid nothing: (.*?), every keyword", text, re.DOTALL)
    formats = re.search(r"Formats: (.*?)\. What", text, re.DOTALL)
    assert ignored is not None
    assert formats is not None
    assert set(re.findall(r"`([^`]+)`", ignored[1])) == IGNORED
    assert re.findall(r"`([^`]+)`", formats[1]) == list(FORMAT_PATTERNS)


def test_every_enforced_keyword_has_a_case() -> None:
    assert set(ENFORCED_CASES) == set(table("Enforced, within the limit"))
    assert set(OUTSIDE_OF_ITS_LIMIT) <= set(ENFORCED)


@pytest.mark.parametrize("keyword", ENFORCED_CASES)
def test_an_enforced_keyword_allows_what_fits_and_nothing_else(random_model: RandomModel, keyword: str) -> None:
    schema, fitting, forbidden = ENFORCED_CASES[keyword]
    grammar = grammar_of(schema)
    assert is_written(random_model, grammar, f'{{"v": {fitting}}}')
    assert not is_written(random_model, grammar, f'{{"v": {forbidden}}}')


@pytest.mark.parametrize("keyword", ENFORCED_CASES)
def test_a_random_model_cannot_break_an_enforced_keyword(random_model: RandomModel, keyword: str) -> None:
    schema, fitting, forbidden = ENFORCED_CASES[keyword]
    document = {"properties": {"v": schema}}
    checker = jsonschema.FormatChecker(["date"])
    validator = jsonschema.Draft202012Validator(document, format_checker=checker)
    assert validator.is_valid({"v": json.loads(fitting)})
    assert not validator.is_valid({"v": json.loads(forbidden)}), "the case itself must be right"
    texts = [random_model.write(grammar_of(schema), seed=seed, closing=0.5, max_steps=80) for seed in range(12)]
    finished = [text for text in texts if text is not None]
    assert finished
    for text in finished:
        validator.validate(json.loads(text))


@pytest.mark.parametrize("keyword", OUTSIDE_OF_ITS_LIMIT)
def test_an_enforced_keyword_outside_of_its_limit_is_refused(keyword: str) -> None:
    with pytest.raises(InvalidParameter, match="cannot be enforced"):
        grammar_of(OUTSIDE_OF_ITS_LIMIT[keyword])


@pytest.mark.parametrize("keyword", REFUSED)
def test_a_refused_keyword_is_refused_with_its_place_and_reason(keyword: str) -> None:
    value = REFUSED_VALUES.get(keyword, {})
    with pytest.raises(InvalidParameter, match=re.escape(f"properties.v.{keyword}: {REFUSED[keyword]}")):
        grammar_of({keyword: value})


def test_an_unknown_keyword_is_refused() -> None:
    with pytest.raises(InvalidParameter, match=r"properties\.v\.minLenght: unknown keyword"):
        grammar_of({"minLenght": 3})


@pytest.mark.parametrize("keyword", [*sorted(IGNORED), "x-anything", "x-guidance"])
def test_an_ignored_keyword_changes_nothing(keyword: str) -> None:
    assert grammar_of({"type": "string", keyword: {"whitespace_flexible": True}}) == grammar_of({"type": "string"})


def void_values() -> Iterator[tuple[str, object]]:
    for keyword in REFUSED:
        values: list[object] = [True, False, {}]
        for value in values:
            if forbids_nothing(keyword, value):
                yield keyword, value


@pytest.mark.parametrize(("keyword", "value"), list(void_values()))
def test_a_refused_keyword_that_forbids_nothing_is_fine(keyword: str, value: object) -> None:
    instances: list[object] = [1, "a", [1, 1], {"a": 1}, []]
    assert all(jsonschema.Draft202012Validator({keyword: value}).is_valid(instance) for instance in instances)
    assert grammar_of({"type": "string", keyword: value}) == grammar_of({"type": "string"})
