from __future__ import annotations

import json

import pytest

from seekd.constrain.costs import (
    MAX_EXPRESSION_CHARS,
    MAX_REMAINDERS,
    MAX_REPETITIONS,
    num_remainders,
    num_repetitions,
    parser_limits,
)
from seekd.constrain.grammars import constraint_for
from seekd.errors import InvalidParameter
from seekd.output_rule import OutputRule


@pytest.mark.parametrize(
    ("multiple", "number"),
    [
        *((1, 1), (7, 7), (86400, 86400), (9999991, 9999991), (5.0, 5)),
        *((10, 1), (1_000_000, 1), (0.01, 1), (1e-9, 1), (1e3, 1)),
        *((2.5, 5), (0.25, 1), (99.91, 9991), (1.0001, 10001)),
    ],
)
def test_the_remainders_of_a_multiple_are_its_numerator_but_for_powers_of_ten(multiple: float, number: int) -> None:
    assert num_remainders(multiple) == number


@pytest.mark.parametrize(
    ("expression", "number"),
    [
        *(("", 1), ("abc", 1), ("a*b+c?", 1), ("a{3}", 3), ("a{2,5}", 5), ("a{4,}", 4), ("a{0}", 1)),
        *(("(a{1,4}b){5}", 20), ("((a{10}){10}b){10}", 1000), ("(a{3}|b{7})", 7), ("(a{3})b{7}", 7), ("a{2}{3}", 6)),
        *((r"\({9}", 9), (r"[({9}]{4}", 4), (r"\{9}", 1), ("a{x}", 1), (")a{2}", 2), ("(?:a{6}", 6)),
        ("a{2}[b]{5}", 5),
    ],
)
def test_the_repetitions_of_an_expression_are_its_nested_counts_multiplied(expression: str, number: int) -> None:
    assert num_repetitions(expression) == number


def test_a_count_of_too_many_digits_is_left_to_the_compiler() -> None:
    assert num_repetitions(f"a{{{'9' * 10_000}}}") == 1


def test_the_limits_of_every_matcher_are_set() -> None:
    limits = parser_limits()
    assert limits.max_lexer_states == 100_000
    assert not limits.verbose_errors


@pytest.mark.fault("schema-beyond-a-bound")
@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("multipleOf", 9999991, f"at most {MAX_REMAINDERS} remainders"),
        ("multipleOf", 99999.91, f"at most {MAX_REMAINDERS} remainders"),
        ("pattern", "^((a{100}){100}){100}$", f"more than {MAX_REPETITIONS} times"),
        ("pattern", "a" * (MAX_EXPRESSION_CHARS + 1), f"more than {MAX_EXPRESSION_CHARS} characters"),
    ],
)
def test_a_keyword_beyond_its_bound_is_refused_with_its_place(keyword: str, value: object, reason: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": ["integer", "string"], keyword: value}}}
    with pytest.raises(InvalidParameter, match=rf"properties\.a\.{keyword}: .*{reason}"):
        constraint_for(
            OutputRule(kind="json_schema", schema=json.dumps(schema)), call_syntax="", starts_in_reasoning=False
        )


def test_the_remainders_of_a_schema_count_together() -> None:
    steps = {f"a{index}": {"type": "integer", "multipleOf": MAX_REMAINDERS // 4 - 1} for index in range(5)}
    rule = OutputRule(kind="json_schema", schema=json.dumps({"type": "object", "properties": steps}))
    with pytest.raises(InvalidParameter, match=r"properties\.a4\.multipleOf: ") as error:
        constraint_for(rule, call_syntax="", starts_in_reasoning=False)
    assert "a3" not in str(error.value)


def test_an_expression_that_repeats_too_much_is_refused() -> None:
    with pytest.raises(InvalidParameter, match=f"more than {MAX_REPETITIONS} times"):
        constraint_for(OutputRule(kind="regex", schema="(a{200}){200}"), call_syntax="", starts_in_reasoning=False)
