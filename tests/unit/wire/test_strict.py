"""What `strict` adds is listed here; it never takes a keyword away.

Every keyword of the table is asked for as an answer and as a tool, strict and not, over both protocols that have both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

import pytest

from seekd.constrain.grammars import constraint_for
from seekd.constrain.keywords import ENFORCED, REFUSED
from seekd.errors import InvalidParameter
from seekd.output_rule import OutputRule
from seekd.wire.chat import parse_chat
from seekd.wire.dialect import CLASSIC, HOSTED, Dialect
from seekd.wire.responses import parse_responses
from seekd.wire.strict import closed, judgeable, without_strict
from tests.formats import V41
from tests.unit.constrain.random_model import RandomModel
from tests.unit.constrain.test_keywords import ENFORCED_CASES, OUTSIDE_OF_ITS_LIMIT, REFUSED_VALUES
from tests.wire.driving import Json, as_bytes

Asks = Callable[[Json, bool], OutputRule | None]

MODEL: Json = {"model": "deepseek-chat"}
USER = [{"role": "user", "content": "json"}]


def document(value: object) -> Json:
    return {"type": "object", "properties": {"v": value}, "required": ["v"], "additionalProperties": False}


def chat_answer(schema: Json, strict: bool) -> OutputRule | None:
    wrapper = {"name": "n", "schema": schema, "strict": strict}
    body: Json = {**MODEL, "messages": USER, "response_format": {"type": "json_schema", "json_schema": wrapper}}
    return parse_chat(as_bytes(body), dialect=CLASSIC, beta=False).request.rule


def responses_answer(schema: Json, strict: bool, dialect: Dialect = CLASSIC) -> OutputRule | None:
    text = {"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": strict}}
    return parse_responses(as_bytes({**MODEL, "input": "x", "text": text}), dialect=dialect).request.rule


def chat_tool(schema: Json, strict: bool) -> OutputRule | None:
    tool = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": strict}}
    body: Json = {**MODEL, "messages": USER, "tools": [tool], "tool_choice": "required"}
    return parse_chat(as_bytes(body), dialect=CLASSIC, beta=True).request.rule


def responses_tool(schema: Json, strict: bool) -> OutputRule | None:
    tool = {"type": "function", "name": "f", "parameters": schema, "strict": strict}
    body: Json = {**MODEL, "input": "x", "tools": [tool], "tool_choice": "required", "reasoning": {"effort": "none"}}
    return parse_responses(as_bytes(body), dialect=CLASSIC).request.rule


ANSWERS: tuple[Asks, ...] = (chat_answer, responses_answer)
TOOLS: tuple[Asks, ...] = (chat_tool, responses_tool)


def grammar(asks: Asks, value: object, *, strict: bool, definitions: Json | None = None) -> str:
    rule = asks({**document(value), **(definitions or {})}, strict)
    assert rule is not None
    compiled = constraint_for(rule, call_syntax="hermes", starts_in_reasoning=False)
    assert strict is False or not compiled.warnings
    return compiled.grammar


def fits(model: RandomModel, grammar: str, value: str) -> bool:
    text = f'{{"v": {value}}}'
    if "<tool_call>" in grammar:
        text = f'\n\n<tool_call>\n{{"name": "f", "arguments": {text}}}\n</tool_call>'
    matcher = model.matcher(grammar)._matcher
    data = text.encode()
    return matcher.try_consume_tokens(list(data)) == len(data) and matcher.is_accepting()


@pytest.fixture(scope="module")
def model() -> RandomModel:
    return RandomModel()


# What strict answers refuse of the keyword's own case: objects must list their properties, all required, and be closed.
ADDED_FOR_ANSWERS: Mapping[str, str] = {
    "$ref": "refers to itself without an end",  # the property that leads back is required now
    "required": "An object with no properties is not allowed.",
    "additionalProperties": "additionalProperties should not be true",
    "minProperties": "An object with no properties is not allowed.",
    "maxProperties": "An object with no properties is not allowed.",
}


@pytest.mark.fault("strict-drops-keywords")
@pytest.mark.parametrize("asks", ANSWERS)
@pytest.mark.parametrize("keyword", ENFORCED)
def test_a_strict_answer_keeps_every_keyword(model: RandomModel, asks: Asks, keyword: str) -> None:
    value, fitting, forbidden = ENFORCED_CASES[keyword]
    plain = grammar(asks, value, strict=False)
    assert fits(model, plain, fitting)
    assert not fits(model, plain, forbidden)
    if keyword in ADDED_FOR_ANSWERS:
        with pytest.raises(InvalidParameter, match=re.escape(ADDED_FOR_ANSWERS[keyword])):
            grammar(asks, value, strict=True)
        return
    strict = grammar(asks, value, strict=True)
    assert fits(model, strict, fitting)
    assert not fits(model, strict, forbidden)


CASES_OF_TOOLS: Mapping[str, tuple[object, str, str]] = {
    "type": ({"type": ["integer", "null"]}, "null", '"a"'),
    "enum": ({"type": "string", "enum": ["a b"]}, '"a b"', '"a"'),
    "const": ({"type": "string", "const": "a"}, '"a"', '"b"'),
    "anyOf": ({"type": ["string", "null"], "anyOf": [{"minLength": 3}]}, '"abc"', '"ab"'),
    "allOf": ({"type": "string", "allOf": [{"minLength": 3}]}, '"abc"', '"ab"'),
    "oneOf": ({"type": ["string", "integer"], "oneOf": [{"type": "string"}, {"type": "null"}]}, '"a"', "1"),
    "$ref": ({"$ref": "#/properties/v/$defs/x", "minLength": 2, "$defs": {"x": {"type": "string"}}}, '"ab"', '"a"'),
    "$defs": ({"$ref": "#/properties/v/$defs/x", "$defs": {"x": {"type": "null"}}}, "null", "1"),
    "$def": ({"$ref": "#/properties/v/$def/x", "$def": {"x": {"type": "null"}}}, "null", "1"),
    "definitions": ({"$ref": "#/properties/v/definitions/x", "definitions": {"x": {"type": "null"}}}, "null", "1"),
    "properties": ({"type": "object", "properties": {"a": {"type": "null"}}}, '{"a": null}', '{"a": 1}'),
    "required": ({"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]}, '{"a": null}', "{}"),
    "additionalProperties": (
        {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": False},
        '{"a": null}', '{"a": null, "b": 1}',
    ),
    "patternProperties": (
        {"type": "object", "properties": {"a": {"type": "null"}}, "patternProperties": {"^k": {"type": "null"}}},
        '{"a": null, "k": null}', '{"a": null, "k": 1}',
    ),
    "minProperties": (
        {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"], "minProperties": 1},
        '{"a": null}', "{}",
    ),
    "maxProperties": (
        {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"], "maxProperties": 1},
        '{"a": null}', '{"a": null, "b": 2}',
    ),
    "items": ({"type": "array", "items": {"type": "boolean"}}, "[true, false]", "[1]"),
    "prefixItems": (
        {"type": "array", "prefixItems": [{"type": "null"}], "items": {"type": "integer"}}, "[null, 1]", "[1]"
    ),
    "minItems": ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, "[1, 2]", "[1]"),
    "maxItems": ({"type": "array", "items": {"type": "integer"}, "maxItems": 1}, "[1]", "[1, 2]"),
    "format": ({"type": "string", "format": "ipv4"}, '"1.2.3.4"', '"1.2.3"'),
    **{
        keyword: ENFORCED_CASES[keyword]
        for keyword in (
            *("pattern", "minLength", "maxLength", "minimum", "maximum"),
            *("exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        )
    },
}  # fmt: skip
"""As the cases of the table, within what the service takes for a strict tool."""


def test_every_enforced_keyword_has_a_case_for_tools() -> None:
    assert set(CASES_OF_TOOLS) == set(ENFORCED)


@pytest.mark.fault("strict-drops-keywords")
@pytest.mark.parametrize("asks", [*TOOLS, *ANSWERS])
@pytest.mark.parametrize("keyword", CASES_OF_TOOLS)
def test_a_strict_tool_keeps_every_keyword(model: RandomModel, asks: Asks, keyword: str) -> None:
    value, fitting, forbidden = CASES_OF_TOOLS[keyword]
    for strict in (False, True):
        written = grammar(asks, value, strict=strict)
        assert fits(model, written, fitting)
        assert not fits(model, written, forbidden)


@pytest.mark.fault("strict-drops-keywords")
@pytest.mark.parametrize("asks", [*TOOLS, *ANSWERS])
@pytest.mark.parametrize("keyword", [*REFUSED, "minLenght"])
def test_what_cannot_be_enforced_is_refused_where_strict(asks: Asks, keyword: str) -> None:
    value = {"type": "string", keyword: REFUSED_VALUES.get(keyword, {})}
    # The protocol package has read the schema by its own rules before: it looks for what a reference leads to.
    with pytest.raises(InvalidParameter, match=rf"properties\.v\.{re.escape(keyword)}: |^Invalid json schema: "):
        grammar(asks, value, strict=True)


@pytest.mark.fault("strict-drops-keywords")
@pytest.mark.parametrize("asks", ANSWERS)
@pytest.mark.parametrize("keyword", OUTSIDE_OF_ITS_LIMIT)
def test_a_keyword_outside_of_its_limit_is_refused_strict_or_not(asks: Asks, keyword: str) -> None:
    for strict in (False, True):
        with pytest.raises(InvalidParameter):
            grammar(asks, OUTSIDE_OF_ITS_LIMIT[keyword], strict=strict)


def test_every_object_is_closed_and_complete() -> None:
    item = {"type": ["object", "null"], "properties": {"a": {}, "b": {}}}
    done = {**item, "additionalProperties": False, "required": ["a", "b"]}
    for place in ("items", "anyOf", "oneOf", "prefixItems", "$defs", "$def", "definitions"):
        outer, expected = (
            {place: each if place == "items" else {"x": each} if place.startswith(("$", "d")) else [each]}
            for each in (item, done)
        )
        assert closed(outer, name="S") == expected
    nested = {"type": "object", "properties": {"n": item}}
    assert closed(nested, name="S")["properties"]["n"] == done
    empty = {"type": "object", "properties": {}, "additionalProperties": False, "required": []}
    assert closed(empty, name="S") == empty


def test_parts_of_an_object_stay_as_they_are() -> None:
    parts = [{"required": ["a"]}, {"properties": {"a": {"type": "null"}}}]
    for keyword in ("anyOf", "allOf", "oneOf"):
        schema = {"type": "object", "properties": {"a": {}}, keyword: parts}
        assert closed(schema, name="S")[keyword] == parts


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        ({"type": "object"}, "S: properties.v: An object with no properties is not allowed."),
        ({"properties": {"a": {}}, "required": []}, "S: properties.v.required: Required properties must match all"),
        (
            {"properties": {"a": {}}, "required": ["a", "b"]},
            "S: properties.v.required: Required property 'b' not found",
        ),
        ({"properties": {}, "additionalProperties": True}, "S: properties.v: additionalProperties should not be true"),
        ({"properties": {}, "additionalProperties": {}}, "S: properties.v: additionalProperties should not be true"),
    ],
)
def test_an_object_that_says_otherwise_is_refused_with_its_place(broken: object, text: str) -> None:
    with pytest.raises(InvalidParameter, match=f"^{re.escape(text)}"):
        closed(document(broken), name="S")


def test_odd_schemas_are_left_to_those_who_read_them() -> None:
    odd: list[object] = [True, 5, [], {"properties": 5, "patternProperties": {}}, {"anyOf": 5, "$defs": 5, "items": 5}]
    for schema in odd:
        closed(schema, name="S")
    assert closed({"properties": {}, "required": [[]]}, name="S")["required"] == [[]]
    assert closed({"properties": {}, "required": 5}, name="S")["required"] == 5


def test_strictness_is_taken_out_of_a_copy() -> None:
    body: Json = {"a": {"b": {"strict": True, "c": 1}}, "d": 2}
    assert without_strict(body, "a", "b") == {"a": {"b": {"strict": False, "c": 1}}, "d": 2}
    assert body["a"]["b"]["strict"] is True
    for same in ({}, {"a": 5}, {"a": {"b": 5}}, {"a": {"b": {"strict": None}}}):
        assert without_strict(same, "a", "b") is same


def test_the_package_judges_a_strict_tool_without_the_references_that_it_cannot_read() -> None:
    def branches(other: Json) -> Json:
        choice = {"anyOf": [other, {"type": "string"}]}
        return {"type": "object", "properties": {"a": {"type": "array", "items": choice}, "b": True}}

    sent, judged = (branches(other) for other in ({"$ref": "#/x"}, {"type": "null"}))
    strict = {"name": "f", "strict": True}
    assert judgeable({**strict, "parameters": sent}) == {**strict, "parameters": judged}
    assert judgeable({"function": {**strict, "parameters": sent}}) == {"function": {**strict, "parameters": judged}}
    assert judgeable({"tools": [{**strict, "parameters": sent}]}) == {"tools": [{**strict, "parameters": judged}]}
    for same in (5, {"name": "f", "parameters": sent}, {**strict, "parameters": {"anyOf": 5, "properties": 5}}):
        assert judgeable(same) == same


def test_the_service_itself_judges_what_a_strict_answer_may_say() -> None:
    value = {"type": "string", "format": "date-time"}
    assert grammar(responses_answer, value, strict=True)
    with pytest.raises(InvalidParameter, match=r"^Invalid json schema: unknown variant `date-time`"):
        responses_answer(document(value), strict=True, dialect=HOSTED)


@pytest.mark.fault("strict-drops-keywords")
def test_the_tools_of_a_namespace_and_of_a_search_keep_their_keywords() -> None:
    value, _, _ = CASES_OF_TOOLS["maxItems"]
    function = {"type": "function", "name": "f", "parameters": document(value), "strict": True}
    namespace = {"type": "namespace", "name": "n", "tools": [function]}
    found = [
        {"type": "tool_search_call", "call_id": "c", "arguments": {}},
        {"type": "tool_search_output", "call_id": "c", "tools": [namespace, {**function, "name": "g"}]},
    ]
    bodies: list[Json] = [
        {"input": "x", "tools": [namespace, {**function, "name": "g"}]},
        {"input": found, "tools": [{"type": "tool_search"}]},
    ]
    for body in bodies:
        rule = parse_responses(as_bytes({**MODEL, **body}), dialect=CLASSIC).request.rule
        assert rule is not None
        assert {tool.name: tool.parameters for tool in rule.tools} == dict.fromkeys(("n::f", "g"), document(value))


def test_a_schema_beside_tools_holds_in_responses_too() -> None:
    text = {"format": {"type": "json_schema", "name": "n", "schema": document({"minLength": 2}), "strict": True}}
    tool = {"type": "function", "name": "f", "parameters": document({})}
    body: Json = {**MODEL, "input": "x", "text": text, "tools": [tool]}
    rule = parse_responses(as_bytes(body), dialect=CLASSIC).request.rule
    assert rule is not None
    assert (rule.kind, rule.json_or_tools) == ("tools", True)
    assert json.loads(rule.schema or "") == document({"minLength": 2})


@pytest.mark.fault("strict-nested-models")
@pytest.mark.parametrize("asks", [*TOOLS, *ANSWERS])
@pytest.mark.parametrize("keyword", ["$defs", "definitions"])
def test_a_reference_to_a_definition_of_the_root_is_followed(model: RandomModel, asks: Asks, keyword: str) -> None:
    node = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "next": {"anyOf": [{"$ref": f"#/{keyword}/n"}, {"type": "null"}]}},
    }
    written = grammar(
        asks, {"type": "array", "items": {"$ref": f"#/{keyword}/n"}}, strict=True, definitions={keyword: {"n": node}}
    )
    assert fits(model, written, '[{"name": "a", "next": {"name": "b", "next": null}}]')
    assert not fits(model, written, '[{"name": "a", "next": {"name": "b"}}]')
    assert not fits(model, written, '[{"name": "a", "next": 5}]')


@pytest.mark.parametrize("dialect", [CLASSIC, HOSTED])
def test_the_prompt_shows_a_strict_tool_as_it_is_enforced_but_in_hosted(dialect: Dialect) -> None:
    value = {"anyOf": [{"$ref": "#/$defs/x"}, {"type": "null"}]} if dialect is CLASSIC else {"$ref": "#/$defs/x"}
    parameters = {**document(value), "$defs": {"x": {"type": "string", "minLength": 2}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters, "strict": True}}
    call = parse_chat(as_bytes({**MODEL, "messages": USER, "tools": [tool]}), dialect=dialect, beta=True)
    prompt = "".join(segment.text for segment in call.request.body.render(V41))
    assert (json.dumps(parameters) in prompt) is (dialect is CLASSIC)
    rule = call.request.rule
    assert rule is not None
    assert rule.tools[0].parameters == parameters


def test_what_the_service_refuses_in_a_tool_is_refused() -> None:
    for value, text in (
        ({"type": "array"}, "missing field `items`"),
        ({"anyOf": [{"const": "a"}]}, "missing field `type`"),
        ({"type": "string", "format": "date-time"}, "unknown variant `date-time`"),
    ):
        for asks in TOOLS:
            with pytest.raises(InvalidParameter, match=rf"^Invalid tool parameters schema : .*{text}"):
                asks(document(value), True)
