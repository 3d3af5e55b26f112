from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import pytest

from seekd.constrain.grammars import CompiledRule, constraint_for
from seekd.errors import EngineError, InvalidParameter
from seekd.output_rule import OfferedTool, OutputRule
from tests.unit.constrain.calls import read_answer
from tests.unit.constrain.random_model import DSML, END, THINK_END, RandomModel

V41, V4 = "deepseek-v4.1", "deepseek-v4"
CITY: Mapping[str, object] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
WEATHER = OfferedTool(name="get_weather", parameters=CITY)
TIME = OfferedTool(name="get_time")

CALL_V41 = (
    '<｜DSML｜ invoke name="get_weather">\n<｜DSML｜ parameter name="city" string="true">Paris</｜DSML｜ parameter>\n'
    '<｜DSML｜ parameter name="days" string="false">2</｜DSML｜ parameter>\n</｜DSML｜ invoke>\n'
)
EMPTY_V41 = '<｜DSML｜ invoke name="get_time">\n\n</｜DSML｜ invoke>\n'
OPEN_V41, CLOSE_V41 = "<｜DSML｜ calls>\n", "</｜DSML｜ calls>"


def compiled(rule: OutputRule, *, call_syntax: str = V41, thinking: bool = False) -> CompiledRule:
    return constraint_for(rule, call_syntax=call_syntax, starts_in_reasoning=thinking)


def tools_rule(*tools: OfferedTool, choice: str = "auto", **more: object) -> OutputRule:
    return OutputRule(kind="tools", tools=tools, tool_choice=choice, **more)  # type: ignore[arg-type]


def accepted(model: RandomModel, grammar: str, text: str) -> tuple[bool, bool]:
    """Whether the grammar takes the text, and whether it may end there; byte by byte and as the model would write."""
    results = set()
    for token_ids in (list(text.encode()), model.vocabulary.tokenize(text)):
        matcher = model.matcher(grammar)
        taken = all(_take(matcher, token_id) for token_id in token_ids)
        results.add((taken, taken and bool(matcher.allowed()[END])))
    assert len(results) == 1, "both spellings must be read equally"
    return results.pop()


def _take(matcher: object, token_id: int) -> bool:
    if not matcher.allowed()[token_id] and not _is_forced_otherwise(matcher, token_id):  # type: ignore[attr-defined]
        return False
    try:
        matcher.accept(token_id)  # type: ignore[attr-defined]
    except EngineError:
        return False
    return True


def _is_forced_otherwise(matcher: object, token_id: int) -> bool:
    """Inside of forced text the mask names the vocabulary's own encoding only; other spellings of it are as good."""
    forced: bytes = matcher._matcher.compute_ff_bytes()  # type: ignore[attr-defined]
    return bool(forced) and forced.startswith(matcher._vocabulary.token_bytes(token_id))  # type: ignore[attr-defined]


@pytest.mark.parametrize("text", ["{}", '{"a": [1, 2.5, null], "b": {"c": "x\\n"}}', '{"天": true}'])
def test_json_mode_takes_objects(random_model: RandomModel, text: str) -> None:
    assert accepted(random_model, compiled(OutputRule(kind="json_object")).grammar, text) == (True, True)


@pytest.mark.parametrize(
    "text",
    ["[]", '"a"', " {}", '{"a":1}', '{"a":  1}', '{"a": 1 }', '{"a": 1,"b": 2}', "{}{", '{"\\u0061": 1}', "```"],
)
def test_json_mode_takes_no_other_root_and_no_other_white_space(random_model: RandomModel, text: str) -> None:
    assert accepted(random_model, compiled(OutputRule(kind="json_object")).grammar, text)[0] is False


def test_json_mode_cannot_end_before_the_object_does(random_model: RandomModel) -> None:
    matcher = random_model.matcher(compiled(OutputRule(kind="json_object")).grammar)
    for char in b'{"a": 1':
        assert not matcher.allowed()[END]
        matcher.accept(char)
    matcher.accept(ord("}"))
    assert matcher.is_complete()


@pytest.mark.parametrize("seed", range(25))
def test_whatever_a_random_model_writes_in_json_mode_is_an_object(random_model: RandomModel, seed: int) -> None:
    text = random_model.write(compiled(OutputRule(kind="json_object")).grammar, seed=seed, closing=0.5)
    if text is not None:
        assert isinstance(json.loads(text), dict)
        assert read_answer(text, is_json=True).content == text


@pytest.mark.parametrize("end", [[THINK_END], list(b"</think>")])
def test_the_answer_is_owed_once_the_text_of_the_reasoning_has_ended(random_model: RandomModel, end: list[int]) -> None:
    matcher = random_model.matcher(compiled(OutputRule(kind="json_object"), thinking=True).grammar)
    for token_id in b'I think {"a": [ not json':
        matcher.accept(token_id)
        assert not matcher.allowed()[END], "the turn must not end inside the reasoning"
    for token_id in end:
        matcher.accept(token_id)
    assert matcher.allowed().nonzero()[0].tolist() in ([ord("{")], sorted(random_model.starts_with(b"{")))


def test_the_json_after_reasoning_arrives_unchanged(random_model: RandomModel) -> None:
    grammar = compiled(OutputRule(kind="json_object"), thinking=True).grammar
    text = 'so</think>{"a": "</think>"}'
    matcher = random_model.matcher(grammar)
    assert all(_take(matcher, token_id) for token_id in text.encode())
    assert matcher.allowed()[END]
    answer = read_answer(text, is_json=True, thinking=True)
    assert (answer.reasoning, answer.content) == ("so", '{"a": "</think>"}')


@pytest.mark.parametrize(
    ("expression", "good", "bad"),
    [
        ("[a-z]+/[0-9]{2}", "ab/12", "ab/123"),
        ("^yes$|^no$", "no", "yesno"),
        ("a.*", "ab\n", "b"),
        ("(?s:.*)", "x</thin", "\nx"),
        ("(?s:.*)", "", "x</think>y"),
    ],
)
def test_an_expression_is_the_whole_answer(random_model: RandomModel, expression: str, good: str, bad: str) -> None:
    grammar = compiled(OutputRule(kind="regex", schema=expression)).grammar
    if expression == "a.*":
        good = "ab"
    assert accepted(random_model, grammar, good) == (True, True)
    assert accepted(random_model, grammar, bad) != (True, True)
    assert read_answer(good).content == good


@pytest.mark.parametrize("expression", ["a(?=b)", "[a", "a(^b)", "x{100000}", "(a)\\1", "x" * 20_000])
def test_an_expression_that_cannot_be_enforced_is_refused(expression: str) -> None:
    with pytest.raises(InvalidParameter):
        compiled(OutputRule(kind="regex", schema=expression))


@pytest.mark.parametrize(
    "schema",
    [
        "{",
        "[]",
        "1",
        '{"type": "array"}',
        '{"type": "string"}',
        '{"enum": [1]}',
        '{"anyOf": [{"type": "integer"}]}',
        "",
    ],
)
def test_a_schema_whose_root_is_no_object_is_refused(schema: str) -> None:
    with pytest.raises(InvalidParameter):
        compiled(OutputRule(kind="json_schema", schema=schema))


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": {"a": {"type": "integer"}}},
        {"type": ["object", "null"]},
        {"$ref": "#/$defs/o", "$defs": {"o": {"type": "object"}}},
        {"anyOf": [{"type": "object"}, {"$ref": "#/$defs/o"}], "$defs": {"o": {"type": "object"}}},
        {"allOf": [{"type": "object"}, {"properties": {"a": {}}}]},
        {"anyOf": [True, {"type": "null"}]},
    ],
)
def test_a_root_that_may_be_an_object_is_one(random_model: RandomModel, schema: object) -> None:
    grammar = compiled(OutputRule(kind="json_schema", schema=json.dumps(schema))).grammar
    assert accepted(random_model, grammar, "{}") == (True, True)
    assert accepted(random_model, grammar, "null")[0] is False


@pytest.mark.parametrize("kind", ["json_schema", "regex", "xml"])
def test_a_rule_without_what_it_needs_is_refused(kind: str) -> None:
    with pytest.raises(InvalidParameter):
        compiled(OutputRule(kind=kind, schema="a" if kind == "xml" else None))


CALLS_TAKEN = [
    ("text", "Hello.", []),
    ("text and call", "Hi\n\n" + OPEN_V41 + CALL_V41 + CLOSE_V41, [("get_weather", {"city": "Paris", "days": 2})]),
    ("call only", OPEN_V41 + EMPTY_V41 + CLOSE_V41, [("get_time", {})]),
    (
        "two",
        OPEN_V41 + EMPTY_V41 + CALL_V41 + CLOSE_V41,
        [("get_time", {}), ("get_weather", {"city": "Paris", "days": 2})],
    ),
]


@pytest.mark.parametrize(("text", "calls"), [row[1:] for row in CALLS_TAKEN], ids=[row[0] for row in CALLS_TAKEN])
def test_auto_leaves_text_and_calls_to_the_model(random_model: RandomModel, text: str, calls: list[object]) -> None:
    assert accepted(random_model, compiled(tools_rule(WEATHER, TIME)).grammar, text) == (True, True)
    assert read_answer(text).calls == calls


@pytest.mark.parametrize(
    "text",
    [
        "Hi <｜DSML｜ calls>\n" + '<｜DSML｜ invoke name="other">',
        "Hi <｜DSML｜tool_calls>",
        "Hi <｜DSML｜function_calls>",
        "Hi <｜DSML｜ invoke",
        OPEN_V41 + CLOSE_V41,
        OPEN_V41 + CALL_V41 + CLOSE_V41 + "more",
        OPEN_V41 + CALL_V41.replace('"true"', '"false"', 1),
        OPEN_V41 + CALL_V41.replace(">2<", ">two<"),
        OPEN_V41 + CALL_V41.replace(">2<", "> 2<"),
        OPEN_V41 + EMPTY_V41.replace("get_time", "get_weather"),
        OPEN_V41 + '<｜DSML｜ invoke name="get_time">\n</｜DSML｜ invoke>',
    ],
)
def test_what_the_parser_would_misread_cannot_be_written(random_model: RandomModel, text: str) -> None:
    assert accepted(random_model, compiled(tools_rule(WEATHER, TIME)).grammar, text)[0] is False


def test_the_marker_opens_a_block_in_any_spelling(random_model: RandomModel) -> None:
    """`accepted` compares the one token with its bytes; here the rest of the opener is forced after both."""
    for marker in ([DSML], list("｜DSML｜".encode())):
        matcher = random_model.matcher(compiled(tools_rule(TIME)).grammar)
        for token_id in [*b"see <", *marker]:
            matcher.accept(token_id)
        forced = b"".join(map(random_model.vocabulary.token_bytes, matcher.forced_token_ids()))
        assert forced.startswith(b" calls>\n<")


def test_older_layout_has_its_own_names(random_model: RandomModel) -> None:
    grammar = compiled(tools_rule(WEATHER, TIME), call_syntax=V4).grammar
    text = '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="get_time">\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>'
    assert accepted(random_model, grammar, text) == (True, True)
    assert read_answer(text).calls == [("get_time", {})]
    assert accepted(random_model, grammar, OPEN_V41)[0] is False


def test_required_begins_inside_the_block_that_the_prompt_opened(random_model: RandomModel) -> None:
    grammar = compiled(tools_rule(WEATHER, TIME, choice="required")).grammar
    assert accepted(random_model, grammar, CALL_V41 + CLOSE_V41) == (True, True)
    assert accepted(random_model, grammar, "Hello")[0] is False
    assert read_answer(CALL_V41 + CLOSE_V41, opened=True).calls == [("get_weather", {"city": "Paris", "days": 2})]


def test_a_named_tool_is_the_only_one(random_model: RandomModel) -> None:
    grammar = compiled(tools_rule(WEATHER, TIME, choice="get_time")).grammar
    assert accepted(random_model, grammar, EMPTY_V41 + CLOSE_V41) == (True, True)
    assert accepted(random_model, grammar, CALL_V41)[0] is False
    with pytest.raises(InvalidParameter, match="zzz"):
        compiled(tools_rule(WEATHER, choice="zzz"))


def test_max_calls_ends_the_block(random_model: RandomModel) -> None:
    grammar = compiled(tools_rule(TIME, choice="required", max_calls=2)).grammar
    assert accepted(random_model, grammar, 2 * EMPTY_V41 + CLOSE_V41) == (True, True)
    assert accepted(random_model, grammar, 3 * EMPTY_V41)[0] is False


def test_with_json_the_answer_is_a_call_or_an_object(random_model: RandomModel) -> None:
    grammar = compiled(tools_rule(TIME, json_or_tools=True)).grammar
    block = OPEN_V41 + EMPTY_V41 + CLOSE_V41
    for text in ('{"a": 1}', block, "\n\n" + block):
        assert accepted(random_model, grammar, text) == (True, True)
    for text in ("Hello", '{"a": 1}' + block, ""):
        assert accepted(random_model, grammar, text) != (True, True)
    marked = '{"a": "<｜DSML｜ calls>"}'
    assert read_answer(marked, is_json=True).content == marked


def test_a_call_comes_only_after_the_reasoning(random_model: RandomModel) -> None:
    grammar = compiled(tools_rule(TIME), thinking=True).grammar
    block = OPEN_V41 + EMPTY_V41 + CLOSE_V41
    assert accepted(random_model, grammar, "so</think>\n\n" + block) == (True, True)
    assert accepted(random_model, grammar, "so " + OPEN_V41)[0] is False
    assert accepted(random_model, grammar, "so")[1] is False
    forced = compiled(tools_rule(TIME, choice="required"), thinking=True).grammar
    assert accepted(random_model, forced, "so</think>\n\n" + block) == (True, True)
    assert accepted(random_model, forced, "so</think>Hello")[0] is False


UNIONS: Sequence[tuple[object, Sequence[tuple[str, str, object]]]] = [
    ({"type": ["string", "null"]}, [("true", "a", "a"), ("false", "null", None)]),
    ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, [("true", "a", "a"), ("false", "7", 7)]),
    ({"enum": ["a", 1, None]}, [("true", "a", "a"), ("false", "1", 1), ("false", "null", None)]),
    ({}, [("true", "a", "a"), ("false", '{"b": "c"}', {"b": "c"})]),
    ({"$ref": "#/$defs/u"}, [("true", "a", "a"), ("false", "[1]", [1])]),
]


@pytest.mark.parametrize(("schema", "spellings"), UNIONS)
def test_unions_offer_both_spellings(
    random_model: RandomModel, schema: object, spellings: Sequence[tuple[str, str, object]]
) -> None:
    union = {"anyOf": [{"enum": ["a"]}, {"type": "array", "items": {"$ref": "#/$defs/n"}}]}
    parameters = {
        "type": "object",
        "properties": {"v": schema},
        "required": ["v"],
        "$defs": {"u": union, "n": {"type": "integer"}},
    }
    rule = compiled(tools_rule(OfferedTool(name="f", parameters=parameters), choice="required"))
    assert rule.warnings == ()
    for flag, text, value in spellings:
        call = f'<｜DSML｜ invoke name="f">\n<｜DSML｜ parameter name="v" string="{flag}">{text}</｜DSML｜ parameter>\n'
        call += "</｜DSML｜ invoke>\n" + CLOSE_V41
        assert accepted(random_model, rule.grammar, call) == (True, True)
        assert read_answer(call, opened=True).calls == [("f", {"v": value})]


def test_strict_tools_are_refused_where_others_are_warned_of() -> None:
    parameters = {"type": "object", "properties": {"tags": {"type": "array", "uniqueItems": True}}}
    lenient = compiled(tools_rule(OfferedTool(name="f", parameters=parameters)))
    assert lenient.warnings == ("f: properties.tags.uniqueItems: distinct items cannot be enforced",)
    with pytest.raises(InvalidParameter, match=re.escape("Invalid schema for function 'f'")):
        compiled(tools_rule(OfferedTool(name="f", parameters=parameters, strict=True)))


@pytest.mark.parametrize(
    ("schema", "warning", "element"),
    [
        ({"type": "string", "pattern": "(?=a)b"}, "properties.v.pattern", '"true">x'),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "properties.v: it cannot be enforced", '"true">x'),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "properties.v: it cannot be enforced", '"false">7'),
        ({"oneOf": [{"minimum": 2}, {"minimum": 3}]}, "properties.v: it cannot be enforced", '"false">7'),
        ({"const": "a</｜DSML｜b"}, "the end mark", '"false">"x"'),
        ({"type": "array", "items": {"enum": ["</｜DSML｜"]}}, "the end mark", '"false">[1]'),
    ],
)
def test_a_parameter_that_cannot_be_enforced_is_widened_and_reported(
    random_model: RandomModel, schema: object, warning: str, element: str
) -> None:
    tool = OfferedTool(name="f", parameters={"type": "object", "properties": {"v": schema}, "required": ["v"]})
    rule = compiled(tools_rule(tool, choice="required"))
    assert [warning in found for found in rule.warnings] == [True]
    text = f'<｜DSML｜ invoke name="f">\n<｜DSML｜ parameter name="v" string={element}</｜DSML｜ parameter>\n'
    assert accepted(random_model, rule.grammar, text + "</｜DSML｜ invoke>\n" + CLOSE_V41) == (True, True)


def test_names_that_the_format_cannot_carry_are_left_out_and_reported() -> None:
    tool = OfferedTool(name="f", parameters={"type": "object", "properties": {"a b": {}, "c": {}}})
    rule = compiled(tools_rule(tool))
    assert rule.warnings == ("f: properties.a b: the name cannot be written in the call format",)
    with pytest.raises(InvalidParameter):
        compiled(tools_rule(OfferedTool(name='f" x="')))


def test_too_large_grammars_are_refused() -> None:
    tools = []
    for number in range(6):
        values = [f"{number} {index} {'x' * 2000}" for index in range(100)]
        tools.append(
            OfferedTool(name=f"f{number}", parameters={"type": "object", "properties": {"v": {"enum": values}}})
        )
    with pytest.raises(InvalidParameter, match="too large"):
        compiled(tools_rule(*tools))
