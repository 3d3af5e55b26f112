import pytest

from seekd.output_rule import OutputRule


@pytest.mark.parametrize(
    ("rule", "is_json"),
    [
        (OutputRule(kind="json_object"), True),
        (OutputRule(kind="json_schema", schema="{}"), True),
        (OutputRule(kind="tools", json_or_tools=True), True),
        (OutputRule(kind="tools"), False),
        (OutputRule(kind="regex", schema="a"), False),
    ],
)
def test_a_rule_says_whether_an_answer_without_calls_is_json(rule: OutputRule, is_json: bool) -> None:
    assert rule.is_json == is_json
