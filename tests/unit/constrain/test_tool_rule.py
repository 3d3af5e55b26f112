from __future__ import annotations

import random

import pytest

from seekd.constrain.grammars import CompiledRule, constraint_for
from seekd.errors import InvalidParameter
from seekd.output_rule import OfferedTool, OutputRule
from tests.unit.constrain.calls import read_answer
from tests.unit.constrain.random_model import DSML, RandomModel
from tests.unit.constrain.random_schemas import random_document, validator_of


def random_rule(chance: random.Random) -> OutputRule:
    tools = [
        OfferedTool(name=f"fn_{number}", parameters=random_document(chance) if chance.random() < 0.9 else None)
        for number in range(chance.randint(1, 3))
    ]
    return OutputRule(
        kind="tools",
        tools=tools,
        tool_choice=chance.choice(("auto", "required", tools[0].name)),
        max_calls=chance.choice((None, 1, 2)),
    )


@pytest.mark.parametrize("batch", range(10))
def test_whatever_a_random_model_writes_is_text_and_calls_that_fit(random_model: RandomModel, batch: int) -> None:
    num_calls = 0
    for seed in range(10 * batch, 10 * batch + 10):
        chance = random.Random(seed)
        rule = random_rule(chance)
        thinking = rule.tool_choice == "auto" and chance.random() < 0.3
        call_syntax = chance.choice(("deepseek-v4.1", "deepseek-v4"))
        compiled = constraint_for(rule, call_syntax=call_syntax, starts_in_reasoning=thinking)
        text = random_model.write(compiled.grammar, seed=seed, closing=0.45, hostile=0.15, max_steps=300)
        if text is None:
            continue
        answer = read_answer(text, thinking=thinking, opened=rule.tool_choice != "auto")
        check_calls(answer.calls, rule, compiled)
        num_calls += len(answer.calls)
    assert num_calls >= 1


def check_calls(calls: list[tuple[str, object]], rule: OutputRule, compiled: CompiledRule) -> None:
    tools = {tool.name: tool for tool in rule.tools}
    if rule.tool_choice != "auto":
        assert calls
    if rule.max_calls is not None:
        assert len(calls) <= rule.max_calls
    for name, arguments in calls:
        assert rule.tool_choice in ("auto", "required", name)
        parameters = tools[name].parameters
        if parameters is None:
            assert arguments == {}
        elif not any(warning.startswith(f"{name}:") for warning in compiled.warnings):
            validator_of(parameters).validate(arguments)


def grammar_of(parameters: dict[str, object]) -> str:
    tools = (OfferedTool(name="f", parameters=parameters),)
    rule = OutputRule(kind="tools", tools=tools, tool_choice="required")
    compiled = constraint_for(rule, call_syntax="deepseek-v4.1", starts_in_reasoning=False)
    assert compiled.warnings == ()
    return compiled.grammar


@pytest.mark.parametrize("marker", [[DSML], list("｜DSML｜".encode()), [*"｜DS".encode(), *"ML｜".encode()]])
@pytest.mark.parametrize("value_type", ["array", "string"])
def test_a_value_cannot_write_its_own_end(random_model: RandomModel, marker: list[int], value_type: str) -> None:
    """The parser cuts a value at `</｜DSML｜`, whether it stands in raw text or inside of a JSON string."""
    schema = {"type": "array", "items": {"type": "string"}} if value_type == "array" else {"type": "string"}
    matcher = random_model.matcher(grammar_of({"type": "object", "properties": {"v": schema}, "required": ["v"]}))
    flag, start = ("false", '["a</') if value_type == "array" else ("true", "a</")
    text = f'<｜DSML｜ invoke name="f">\n<｜DSML｜ parameter name="v" string="{flag}">{start}'
    for token_id in [*text.encode(), *marker[:-1]]:
        matcher.accept(token_id)
    if value_type == "array":
        assert not matcher.allowed()[marker[-1]]
        assert matcher.allowed()[ord('"')] or len(marker) > 1  # the text itself may go on
    else:
        assert matcher.allowed()[marker[-1]]
        matcher.accept(marker[-1])
        assert matcher._matcher.compute_ff_bytes().startswith(b" parameter>\n")


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\tb", "天", "a>b", "<b>", "a.b/c"])
def test_odd_parameter_names_arrive_as_they_are(random_model: RandomModel, name: str) -> None:
    parameters: dict[str, object] = {"type": "object", "properties": {name: {"const": 1}}, "required": [name]}
    text = random_model.write(grammar_of(parameters), seed=0, closing=1.0)
    assert text is not None
    assert ("f", {name: 1}) in read_answer(text, opened=True).calls


def test_optional_parameters_may_be_left_out_each_for_itself(random_model: RandomModel) -> None:
    properties = {name: {"const": name} for name in "abc"}
    grammar = grammar_of({"type": "object", "properties": properties, "required": ["b"]})
    seen: set[tuple[str, ...]] = set()
    for seed in range(40):
        text = random_model.write(grammar, seed=seed, closing=0.5)
        assert text is not None
        seen |= {tuple(arguments) for _, arguments in read_answer(text, opened=True).calls}  # type: ignore[arg-type]
    assert seen == {("b",), ("a", "b"), ("b", "c"), ("a", "b", "c")}


def test_many_optional_parameters_stay_within_the_parsers_limits(random_model: RandomModel) -> None:
    properties = {f"p{number}": {"type": "integer"} for number in range(400)}
    grammar = grammar_of({"type": "object", "properties": properties})
    matcher = random_model.matcher(grammar)
    text = '<｜DSML｜ invoke name="f">\n<｜DSML｜ parameter name="p7" string="false">1</｜DSML｜ parameter>\n<'
    for token_id in text.encode():
        assert matcher.allowed().any()
        matcher.accept(token_id)


def test_parameters_of_any_name_follow_additional_properties(random_model: RandomModel) -> None:
    grammar = grammar_of({"type": "object", "additionalProperties": {"enum": [1, 2]}, "minProperties": 1})
    for seed in range(5):
        text = random_model.write(grammar, seed=seed, closing=0.8)
        assert text is not None
        for _, arguments in read_answer(text, opened=True).calls:
            assert isinstance(arguments, dict)
            assert arguments
            assert set(arguments.values()) <= {1, 2}


def test_data_that_looks_like_a_reference_is_left_alone(random_model: RandomModel) -> None:
    value = {"$ref": "#/x"}
    schema = {"anyOf": [{"const": value}, {"$ref": "#/$defs/n"}]}
    parameters: dict[str, object] = {
        "type": "object",
        "properties": {"v": schema},
        "required": ["v"],
        "$defs": {"n": {"const": value}},
    }
    text = random_model.write(grammar_of(parameters), seed=0, closing=0.5)
    assert text is not None
    assert read_answer(text, opened=True).calls[0] == ("f", {"v": value})


def test_a_tool_without_a_schema_object_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="f"):
        grammar_of([])  # type: ignore[arg-type]
