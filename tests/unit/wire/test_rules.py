import json

from seekd.output_rule import OfferedTool, OutputRule
from seekd.prompt.recipe import OutputLimit
from seekd.wire.rules import output_rule

TOOLS = json.dumps([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}])


def test_each_kind_of_limit_has_its_rule() -> None:
    assert output_rule(OutputLimit(kind="json", schema=""), tool_choice="auto") == OutputRule(kind="json_object")
    assert output_rule(OutputLimit(kind="json", schema="{}"), tool_choice="auto", json_schema="[]") == OutputRule(
        kind="json_schema", schema="[]"
    )
    assert output_rule(OutputLimit(kind="regex", schema="a+"), tool_choice="auto") == OutputRule(
        kind="regex", schema="a+"
    )


def test_tools_carry_their_schemas_and_the_choice() -> None:
    offered = (OfferedTool(name="f", parameters={"type": "object"}, strict=True),)
    assert output_rule(OutputLimit(kind="tool_call", schema=TOOLS), tool_choice="auto", max_calls=1) == OutputRule(
        kind="tools", tools=offered, tool_choice="auto", max_calls=1
    )
    assert output_rule(OutputLimit(kind="tool_call_required", schema=TOOLS), tool_choice="f") == OutputRule(
        kind="tools", tools=offered, tool_choice="f"
    )


def test_a_required_call_stays_required_where_the_choice_is_silent() -> None:
    rule = output_rule(OutputLimit(kind="tool_call_required", schema=TOOLS), tool_choice="auto")
    assert rule.tool_choice == "required"
