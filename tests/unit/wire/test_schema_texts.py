"""Schemas with other texts are still schemas, and what fits them fits the caller's once the originals are back."""

import json
from typing import Any

import pytest

from seekd.constrain.grammars import constraint_for
from seekd.guard.finding import RuleBook
from seekd.guard.placeholders import Placeholders
from seekd.guard.settings import RULES, GuardSettings
from seekd.output_rule import OutputRule
from seekd.wire.schema_texts import with_schema_texts
from tests.unit.constrain.random_model import RandomModel
from tests.unit.constrain.random_schemas import validator_of

ANN, BOB, PHONE = "ann@example.com", "bob@example.com", "+49 30 901820"

PERSONAL: dict[str, Any] = {
    "title": f"For {ANN}",
    "$comment": BOB,
    "type": "object",
    "properties": {
        ANN: {"type": "string", "enum": [ANN, BOB, "nobody"], "format": "email", "minLength": 10},
        "call": {"type": "string", "pattern": f"^(to: )?{ANN}$"},
        "mail": {"$ref": f"#/$defs/{BOB}"},
        "who": {"const": {ANN: [BOB]}},
        "own": {"$ref": f"#/properties/{ANN}"},
    },
    "required": [ANN, "mail", "who", "own"],
    "patternProperties": {f"^{BOB}$": {"enum": [1]}},
    "additionalProperties": False,
    "$defs": {BOB: {"type": ["string", "null"], "enum": [BOB, None], "default": ANN, "description": PHONE}},
    "x-owner": {BOB: ANN},
    "examples": [{ANN: BOB}],
}


@pytest.fixture
def placeholders() -> Placeholders:
    return Placeholders()


def _redacted(schema: Any, placeholders: Placeholders) -> Any:
    rules = RuleBook(GuardSettings())
    return with_schema_texts(schema, lambda text: placeholders.hide(text, rules.find(text, RULES)))


@pytest.mark.parametrize("seed", range(10))
def test_what_fits_the_redacted_schema_fits_the_callers_when_it_is_restored(
    placeholders: Placeholders, seed: int
) -> None:
    redacted = _redacted(PERSONAL, placeholders)
    assert ANN not in json.dumps(redacted)
    assert BOB not in json.dumps(redacted)
    rule = OutputRule(kind="json_schema", schema=json.dumps(redacted))
    grammar = constraint_for(rule, call_syntax="deepseek-v4.1", starts_in_reasoning=False).grammar
    written = RandomModel().write(grammar, seed=seed, closing=0.5, max_steps=400)
    assert written is not None
    answer = json.loads(placeholders.restore(written, json_string=True))
    own = dict(PERSONAL["properties"])
    own[ANN] = {"enum": PERSONAL["properties"][ANN]["enum"]}  # it decides alone
    validator_of({**PERSONAL, "properties": own}).validate(answer)
    assert ANN in answer


def test_a_schema_without_findings_stays_as_it_is(placeholders: Placeholders) -> None:
    schema = {"type": "object", "properties": {"a~b/c": {"enum": ["x"], "minLength": 1}, "b": {"$ref": "#/%41/a~1"}}}
    assert _redacted(schema, placeholders) == schema


def test_keywords_and_types_are_no_texts_and_all_else_is() -> None:
    seen: list[str] = []

    def visit(text: str) -> str:
        seen.append(text)
        return text

    schema = {
        "type": ["object", "made up"],
        "properties": {"type": {"type": "string", "format": "date", "$ref": "#/$defs/a~1b"}, "more": True},
        "dependentRequired": {"type": ["more"]},
        "x-own": {"deep": ["down", 3]},
        "anyOf": [{"const": {"k": "v"}}],
    }
    assert with_schema_texts(schema, visit) == schema
    assert seen == ["made up", "type", "date", "a/b", "more", "type", "more", "x-own", "deep", "down", "k", "v"]


def test_names_in_references_are_escaped_as_pointers_are() -> None:
    schema = {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {}}}
    changed = with_schema_texts(schema, lambda text: text.replace("a", "~/"))
    assert changed == {"$ref": "#/$defs/~0~1~1b", "$defs": {"~//b": {}}}


@pytest.mark.parametrize(
    "shape", [None, 3, [], {"properties": ["x"], "type": 5, "pattern": {}, "$ref": [], "enum": "e"}]
)
def test_wrong_shapes_are_left_for_the_protocol_to_refuse(shape: object) -> None:
    assert with_schema_texts(shape, lambda text: text) == shape
