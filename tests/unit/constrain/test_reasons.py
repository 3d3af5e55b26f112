"""No refusal speaks llguidance's language: of its options, its regular expressions, its fuel."""

from __future__ import annotations

import json
import re

import pytest

from seekd.constrain.grammars import constraint_for
from seekd.constrain.reasons import in_plain_words
from seekd.errors import InvalidParameter
from seekd.output_rule import OfferedTool, OutputRule

FOREIGN = re.compile(r"coerce|option|unsatisf|unable|not supported|regex|SearchRegex|fuel|lexeme|json-schema:|: error:")

# A schema of the property "v" to what its refusal says of it, wherever it stands.
REFUSALS: list[tuple[object, str]] = [
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "a value may fit two branches of oneOf; give each a type"),
    ({"type": "object", "properties": {"a": {}, "b": {}}, "maxProperties": 1}, "use anyOf with one branch a case"),
    ({"type": "object", "patternProperties": {"a": {"type": "null"}, "b": {}}}, "a name may fit both /a/ and /b/"),
    ({"type": "number", "multipleOf": 1e-13}, "multipleOf has too many digits"),
    ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "properties.a: no value fits"),
    ({"type": "array", "prefixItems": [{}], "items": False, "minItems": 2}, "items: no value fits"),
    ({"type": "object", "required": ["a", "b"], "maxProperties": 1}, "more properties are required than maxProperties"),
    (
        {"type": "string", "pattern": "^a$", "minLength": 5},
        "no text fits all of its patterns, lengths and fixed values",
    ),
    ({"type": "integer", "minimum": 3, "maximum": 2}, "no value fits: minimum (3) is greater than maximum (2)"),
    ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "no value fits, since its conditions exclude each other"),
    ({"type": "string", "pattern": ".{5000}", "minLength": 3}, "it is too complex; simplify"),
    ({"type": "object", "properties": {"n": {"$ref": "#/properties/v", "minProperties": 1}}}, "a $ref that leads back"),
    ({"pattern": "a(?=b)"}, "v.pattern: the expression cannot be enforced (look-around, word borders and anchors"),
    ({"pattern": r"\bx"}, "v.pattern: the expression cannot be enforced (look-around, word borders and anchors"),
    ({"pattern": r"(a)\1"}, "v.pattern: the expression cannot be enforced (back references cannot be enforced)"),
    ({"pattern": "("}, "v.pattern: the expression cannot be enforced (unclosed group)"),
]


def refusal(rule: OutputRule, call_syntax: str) -> str:
    with pytest.raises(InvalidParameter) as caught:
        constraint_for(rule, call_syntax=call_syntax, starts_in_reasoning=False)
    return caught.value.message


@pytest.mark.fault("foreign-refusals")
@pytest.mark.parametrize(("value", "reason"), REFUSALS)
def test_a_refusal_names_the_place_and_says_what_to_do(value: object, reason: str) -> None:
    document = {"type": "object", "properties": {"v": value}, "required": ["v"], "additionalProperties": False}
    tool = OfferedTool(name="f", parameters=document, strict=True)
    answer = refusal(OutputRule(kind="json_schema", schema=json.dumps(document)), "hermes")
    beside = OutputRule(kind="tools", tools=(OfferedTool(name="g"),), json_or_tools=True, schema=json.dumps(document))
    assert answer == refusal(beside, "hermes")
    for text in (
        answer,
        *(refusal(OutputRule(kind="tools", tools=(tool,)), form) for form in ("deepseek-v4.1", "bare")),
    ):
        assert "properties.v" in text
        assert reason in text
        assert not FOREIGN.search(text)


@pytest.mark.fault("foreign-refusals")
def test_what_is_too_much_for_the_engine_is_called_too_complex() -> None:
    tool = OfferedTool(
        name="f", parameters={"type": "object", "properties": {"v": {"type": "string", "pattern": "([^x]{3}){3000}"}}}
    )
    text = refusal(OutputRule(kind="tools", tools=(tool,)), "deepseek-v4.1")
    assert text == (
        "The requested output format cannot be enforced: it is too complex; simplify its patterns, lengths and choices."
    )


def test_a_message_that_is_not_known_is_not_passed_on() -> None:
    assert in_plain_words("Some new option is off.") == "it is too complex; simplify its patterns, lengths and choices"
