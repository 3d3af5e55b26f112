from __future__ import annotations

import json
import random

import pytest

from seekd.constrain.grammars import constraint_for
from seekd.errors import InvalidParameter
from seekd.output_rule import OutputRule
from tests.unit.constrain.random_model import RandomModel
from tests.unit.constrain.random_schemas import random_document, validator_of


def grammar_of(schema: object) -> str:
    rule = OutputRule(kind="json_schema", schema=json.dumps(schema))
    return constraint_for(rule, call_syntax="deepseek-v4.1", starts_in_reasoning=False).grammar


@pytest.mark.parametrize("batch", range(10))
def test_whatever_a_random_model_writes_fits_a_random_schema(random_model: RandomModel, batch: int) -> None:
    num_finished = 0
    for seed in range(8 * batch, 8 * batch + 8):
        schema = random_document(random.Random(seed))
        try:
            grammar = grammar_of(schema)
        except InvalidParameter:
            continue
        text = random_model.write(grammar, seed=seed, closing=0.5, max_steps=150)
        if text is not None:
            num_finished += 1
            validator_of(schema).validate(json.loads(text))
    assert num_finished >= 4


def test_most_random_schemas_are_accepted() -> None:
    refused = 0
    for seed in range(80):
        try:
            grammar_of(random_document(random.Random(seed)))
        except InvalidParameter:
            refused += 1
    assert refused <= 8


def test_the_callers_own_options_for_the_grammar_are_dropped(random_model: RandomModel) -> None:
    schema = {"type": "object", "x-guidance": {"whitespace_flexible": True}}
    assert grammar_of(schema) == grammar_of({"type": "object"})


def test_two_spellings_of_one_name_cannot_slip_past_additional_properties(random_model: RandomModel) -> None:
    grammar = grammar_of({"properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}})
    matcher = random_model.matcher(grammar)._matcher
    assert matcher.try_consume_tokens(list(b'{"\\u0061": "x"}')) < 5
