from __future__ import annotations

import json
import random
import re

import pytest

from seekd.constrain.integers import (
    ANY_INTEGER_EXPRESSION,
    LARGEST_INTEGER,
    shared,
    with_bounds,
    without_own_bounds,
    without_whole_exclusions,
)
from tests.unit.constrain.random_model import RandomModel
from tests.unit.constrain.test_json_rule import grammar_of

OPEN = {"type": "integer", "minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER}


@pytest.mark.parametrize(
    ("schema", "bounds"),
    [
        ({"type": "integer"}, (-LARGEST_INTEGER, LARGEST_INTEGER)),
        ({"type": ["null", "integer"], "minimum": 0}, (0, LARGEST_INTEGER)),
        ({"type": "integer", "maximum": -3}, (-LARGEST_INTEGER, -3)),
        ({"type": "integer", "exclusiveMinimum": 0}, (None, LARGEST_INTEGER)),
        ({"type": "integer", "exclusiveMaximum": 0}, (-LARGEST_INTEGER, None)),
        ({"type": "integer", "enum": [1, 2]}, (None, None)),
        ({"type": "integer", "multipleOf": 3}, (None, None)),
        ({"type": ["integer", "number"]}, (None, None)),
        ({"type": "number"}, (None, None)),
        ({"minimum": 3}, (3, None)),
    ],
)  # fmt: skip
def test_an_integer_is_bounded_on_the_sides_where_the_schema_leaves_it_open(
    schema: dict[str, object], bounds: tuple[int | None, int | None]
) -> None:
    kept = with_bounds(schema)
    assert (kept.get("minimum"), kept.get("maximum")) == bounds


def test_equal_integers_are_written_once() -> None:
    document = {"type": "object", "properties": {"a": OPEN, "b": OPEN, "c": {"items": OPEN}, "d": {"type": "integer"}}}
    written = shared(document)
    assert json.dumps(written).count(str(LARGEST_INTEGER)) == 2  # one minimum, one maximum
    assert shared({"type": "string"}) == {"type": "string"}


def test_definitions_of_the_schema_keep_their_names() -> None:
    written = shared({"$defs": {"integer_0": {"type": "null"}}, "properties": {"a": OPEN}})
    assert written["$defs"] == {"integer_0": {"type": "null"}, "integer_0_": OPEN}
    assert written["properties"] == {"a": {"$ref": "#/$defs/integer_0_"}}


def test_branches_of_a_choice_and_values_stay_as_they_are() -> None:
    for document in ({"anyOf": [OPEN, {"type": "string"}]}, {"enum": [OPEN]}, {"properties": {"a": True}}, OPEN):
        assert shared(document) == document


def test_a_schema_with_integers_at_every_place_is_enforced(random_model: RandomModel) -> None:
    integer = {"type": "integer"}
    schema = {
        "type": "object",
        "properties": {
            "list": {"type": "array", "prefixItems": [integer], "items": integer},
            "choice": {"oneOf": [integer, {"type": "string"}]},
            "both": {"allOf": [integer, {"minimum": 5}]},
            "named": {"$ref": "#/$defs/n"},
        },
        "additionalProperties": integer,
        "$defs": {"n": integer},
    }
    matcher = random_model.matcher(grammar_of(schema))
    text = '{"list": [1, -2], "choice": 3, "both": 5, "named": 9223372036854774784, "x": 7}'
    for token_id in random_model.vocabulary.tokenize(text):
        matcher.accept(token_id)
    assert matcher.is_complete()


def test_digits_come_to_an_end(random_model: RandomModel) -> None:
    matcher = random_model.matcher(grammar_of({"properties": {"a": {"type": "integer"}}, "required": ["a"]}))
    for byte in b'{"a": 1' + b"0" * 18:
        matcher.accept(byte)
    assert not matcher.allowed()[ord("0")]


@pytest.mark.parametrize(
    ("bounds", "fitting", "unfitting"),
    [
        ({"exclusiveMinimum": 0, "maximum": 0.5}, "0.1 0.5 0.0000001", "0 0.0 -0 0.6"),
        ({"exclusiveMinimum": 2, "exclusiveMaximum": 2.5}, "2.1 2.4", "2 2.0 2.5"),
        ({"minimum": -0.5, "exclusiveMaximum": 0}, "-0.5 -0.1", "-0 0 0.0 -0.0"),
        ({"exclusiveMinimum": 0}, "0.1 1 7.5", "0 0.0 -1"),
        ({"exclusiveMinimum": 0, "minimum": 3}, "3 3.5", "2.9 0"),
        ({"exclusiveMaximum": 9, "maximum": 3}, "3 2.5", "3.1 9"),
    ],
)
def test_an_excluded_whole_number_cannot_come_out(
    random_model: RandomModel, bounds: dict[str, object], fitting: str, unfitting: str
) -> None:
    schema = {"properties": {"v": {"type": "number", **bounds}}, "required": ["v"], "additionalProperties": False}
    start = random_model.matcher(grammar_of({"type": "object", **schema}))._matcher
    for numbers, fits in ((fitting, True), (unfitting, False)):
        for number in numbers.split():
            text = f'{{"v": {number}}}'.encode()
            assert (start.deep_copy().try_consume_tokens(list(text)) == len(text)) == fits, number


def test_exclusions_of_integers_and_of_fractions_stay() -> None:
    for schema in ({"type": "integer", "exclusiveMinimum": 3}, {"exclusiveMaximum": 0.5}, {"minimum": 1}):
        assert without_whole_exclusions(dict(schema)) == schema


def test_the_expression_of_any_integer_holds_the_same_numbers_as_its_bounds() -> None:
    chance = random.Random(0)
    numbers = {sign * (LARGEST_INTEGER + change) for sign in (1, -1) for change in range(-40, 41)}
    numbers |= {sign * (10**power + change) for sign in (1, -1) for power in range(21) for change in (-1, 0, 1)}
    digits = str(LARGEST_INTEGER)
    for _ in range(4000):  # numbers that share their first digits with the largest
        length = chance.randrange(len(digits))
        rest = "".join(chance.choice("0123456789") for _ in range(len(digits) - length))
        numbers.add(chance.choice((1, -1)) * int(digits[:length] + rest))
    assert len(numbers) > 3000
    for number in numbers:
        assert bool(re.fullmatch(ANY_INTEGER_EXPRESSION, str(number))) == (abs(number) <= LARGEST_INTEGER), number
    for text in ("", "-", "00", "01", "-01", "+1", "1.0", "1e3", " 1"):
        assert re.fullmatch(ANY_INTEGER_EXPRESSION, text) is None, text
    assert re.fullmatch(ANY_INTEGER_EXPRESSION, "-0")


def test_own_bounds_can_be_taken_out_and_those_of_the_schema_stay(random_model: RandomModel) -> None:
    text = f', "minimum": {-LARGEST_INTEGER}, "maximum": {LARGEST_INTEGER}'
    properties = {"a": {"type": "integer"}, "b": {"type": "integer", "minimum": 3}, "c": {"enum": [text]}}
    grammar = grammar_of({"type": "object", "properties": properties, "required": ["a", "b", "c"]})
    without = without_own_bounds(grammar)
    long = "9" * 30
    for written, fits in ((grammar, False), (without, True)):
        start = random_model.matcher(written)._matcher
        answer = f'{{"a": -{long}, "b": {long}, "c": {json.dumps(text)}}}'.encode()
        assert (start.deep_copy().try_consume_tokens(list(answer)) == len(answer)) == fits
    answer = f'{{"a": -{long}, "b": 2,'.encode()
    start = random_model.matcher(without)._matcher
    assert start.try_consume_tokens(list(answer)) == len(answer) - 1
