from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from seekd.constrain.grammars import constraint_for
from seekd.constrain.markers import TEXT_MARKERS, MarkerPlaces, names_an_element, places_of
from seekd.constrain.matcher import ConstraintCompiler, GrammarMatcher
from seekd.output_rule import OfferedTool, OutputRule
from seekd.vocabulary import TokenKind
from tests.unit.constrain.random_model import ByteVocabulary

ARGUMENTS = {
    "type": "object",
    "properties": {"s": {"type": "string"}, "j": {"type": "object"}, "short": {"type": "string", "maxLength": 8}},
}
CALLS = OutputRule(kind="tools", tools=(OfferedTool(name="f", parameters=ARGUMENTS),))
JSON = OutputRule(kind="json_object")
BOTH = OutputRule(kind="tools", tools=CALLS.tools, json_or_tools=True)
DSML_CALL = '<｜DSML｜ calls>\n<｜DSML｜ invoke name="f">\n<｜DSML｜ parameter name='

FENCED_CALL = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n"


class AllMarkers(ByteVocabulary):
    """Has every marker of every form as a token of its own, all of them user-defined, and encodes text with them."""

    def __init__(self) -> None:
        super().__init__()
        self._marker_ids = {
            spelling: len(self._entries) + index
            for index, spelling in enumerate(sorted(TEXT_MARKERS - set(super().special_tokens)))
        }
        self._entries += [spelling.encode() for spelling in self._marker_ids]
        self._longest_first += self._marker_ids.values()
        self._longest_first.sort(key=lambda token_id: -len(self._entries[token_id]))

    @property
    def special_tokens(self) -> dict[str, int]:
        return {**super().special_tokens, **self._marker_ids}

    def kind(self, token_id: int) -> TokenKind:
        return TokenKind.USER_DEFINED if token_id in self._marker_ids.values() else super().kind(token_id)


VOCABULARY = AllMarkers()
COMPILER = ConstraintCompiler()
MARKER_OF = {token_id: spelling for spelling, token_id in VOCABULARY.special_tokens.items()}


def matcher_of(rule: OutputRule, syntax: str = "deepseek-v4.1", *, start: str = "content") -> GrammarMatcher:
    compiled = constraint_for(
        rule, call_syntax=syntax, starts_in_reasoning=start == "reasoning", may_reason=start == "lead"
    )
    return COMPILER(compiled.grammar, VOCABULARY)


def markers_behind(matcher: GrammarMatcher, token_ids: Sequence[int]) -> set[str]:
    """The special tokens that are allowed behind these tokens, which need not be allowed by the mask themselves."""
    for token_id in token_ids:
        matcher.accept(token_id)
    ends = VOCABULARY.end_token_ids
    return {MARKER_OF[int(i)] for i in np.flatnonzero(matcher.allowed()) if int(i) in MARKER_OF and i not in ends}


def spelled(text: str) -> list[int]:
    return list(text.encode())


@pytest.mark.fault("marker-in-a-string")
@pytest.mark.parametrize(
    ("rule", "syntax", "start", "text"),
    [
        (JSON, "deepseek-v4.1", "content", '{"a'),
        (JSON, "deepseek-v4.1", "content", '{"a": "x <'),
        (JSON, "deepseek-v4.1", "content", '{"a": "x </'),
        (JSON, "deepseek-v4.1", "reasoning", 'a</think>{"a": "x'),
        (BOTH, "deepseek-v4.1", "content", '{"a": "x <'),
        (BOTH, "hermes", "content", '{"a": "x'),
        (BOTH, "fenced", "content", '{"a": "x'),
        (CALLS, "deepseek-v4.1", "content", "Some text"),
        (CALLS, "deepseek-v4.1", "content", f'{DSML_CALL}"s" string="true">a <'),
        (CALLS, "deepseek-v4.1", "content", f'{DSML_CALL}"short" string="true"><'),
        (CALLS, "deepseek-v4.1", "content", f'{DSML_CALL}"j" string="false">{{"a": "b <'),
        (CALLS, "deepseek-v4.1", "content", f'{DSML_CALL}"j" string="false">{{"a": "b </'),
        (CALLS, "hermes", "content", '<tool_call>\n{"name": "f", "arguments": {"s": "a \\" b <'),
        (
            CALLS,
            "fenced",
            "content",
            '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{"s": "',
        ),
        (CALLS, "bare", "content", '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{"s": "a'),
        (OutputRule(kind="regex", schema=".*"), "deepseek-v4.1", "content", "x <"),
    ],
)
def test_no_marker_comes_in_text(rule: OutputRule, syntax: str, start: str, text: str) -> None:
    assert markers_behind(matcher_of(rule, syntax, start=start), spelled(text)) == set()


@pytest.mark.parametrize(
    ("rule", "syntax", "start", "text", "markers"),
    [
        (JSON, "deepseek-v4.1", "reasoning", "I think", {"</think>"}),
        (JSON, "deepseek-v4.1", "reasoning", "", {"</think>"}),
        (JSON, "deepseek-v4.1", "lead", "", {"<think>"}),
        (JSON, "deepseek-v4.1", "lead", "<think>a", {"</think>"}),
        (CALLS, "hermes", "lead", "", {"<think>", "<tool_call>"}),
        (CALLS, "hermes", "lead", "Text", {"<tool_call>"}),
        (CALLS, "hermes", "content", '<tool_call>\n{"name": "f", "arguments": {}}\n', {"</tool_call>"}),
        (CALLS, "fenced", "content", "Text", {"<｜tool▁calls▁begin｜>"}),
        (CALLS, "fenced", "reasoning", "Text", {"</think>"}),
        (CALLS, "bare", "content", "<｜tool▁calls▁begin｜>", {"<｜tool▁call▁begin｜>"}),
        (
            CALLS,
            "fenced",
            "content",
            f'{FENCED_CALL}{{"s": "\\\\"}}\n```<｜tool▁call▁end｜>\n',
            {"<｜tool▁call▁begin｜>"},
        ),
        (CALLS, "deepseek-v4.1", "content", "Text <", {"｜DSML｜"}),
        (CALLS, "deepseek-v4.1", "content", f'{DSML_CALL}"s" string="true">a </', {"｜DSML｜"}),
        (CALLS, "deepseek-v4.1", "content", f'{DSML_CALL}"s" string="true">a</｜DSML｜ parameter>\n<', {"｜DSML｜"}),
        (CALLS, "deepseek-v4.1", "content", f'{DSML_CALL}"s" string="true">a</｜DSML｜ parameter>\n</', {"｜DSML｜"}),
        (CALLS, "deepseek-v4", "content", "Text <", {"｜DSML｜"}),
        (CALLS, "deepseek-v3.2", "content", "Text <", {"｜DSML｜"}),
    ],
)
def test_markers_come_where_they_are_markup(
    rule: OutputRule, syntax: str, start: str, text: str, markers: set[str]
) -> None:
    assert markers_behind(matcher_of(rule, syntax, start=start), spelled(text)) == markers


@pytest.mark.fault("marker-in-a-string")
@pytest.mark.parametrize("value", ["a</think>b", "<think>", "<tool_call>", "x｜DSML｜", "<｜DSML｜ c"])
@pytest.mark.parametrize("others", [[], ["a</think>c", "y"]])
def test_a_fixed_text_that_spells_a_marker_is_written_without_its_token(value: str, others: list[str]) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [value, *others]}}, "required": ["a"]}
    matcher = matcher_of(OutputRule(kind="json_schema", schema=json.dumps(schema)))
    wanted = json.dumps({"a": value}, ensure_ascii=False).encode()
    written = b""
    while not matcher.is_complete():
        forced = matcher.forced_token_ids()
        allowed = np.flatnonzero(matcher.allowed()).tolist()
        if forced:
            assert forced[0] in allowed
        token_ids = forced or [
            next(i for i in allowed if wanted[len(written) :].startswith(VOCABULARY.token_bytes(i) or b"\xff"))
        ]
        for token_id in token_ids:
            assert token_id not in MARKER_OF
            matcher.accept(token_id)
            written += VOCABULARY.token_bytes(token_id)
    assert written == wanted


def test_forced_markup_is_written_with_its_tokens() -> None:
    owed = OutputRule(kind="tools", tools=(OfferedTool(name="f"),), tool_choice="required", max_calls=1)
    for syntax, markers in (
        ("deepseek-v4.1", ["｜DSML｜"] * 3),
        ("hermes", ["<tool_call>", "</tool_call>"]),
        (
            "bare",
            [f"<｜tool▁{name}｜>" for name in ("calls▁begin", "call▁begin", "sep", "call▁end", "calls▁end")],
        ),
    ):
        matcher = matcher_of(owed, syntax, start="reasoning")
        for token_id in [VOCABULARY.special_tokens["</think>"], ord("\n"), ord("\n")]:
            matcher.accept(token_id)
        written = []
        while forced := matcher.forced_token_ids():
            written += forced
            for token_id in forced:
                matcher.accept(token_id)
        assert [MARKER_OF[i] for i in written if i in MARKER_OF][: len(markers)] == markers


def test_the_end_of_a_value_is_kept_out_of_a_string_that_it_would_fill() -> None:
    schema = {"type": "object", "properties": {"j": {"type": "array", "items": {"type": "string", "maxLength": 8}}}}
    rule = OutputRule(kind="tools", tools=(OfferedTool(name="f", parameters=schema),))
    matcher = matcher_of(rule)
    text = f'{DSML_CALL}"j" string="false">["</｜DSML｜'.encode()
    for token_id in text[:-1]:
        matcher.accept(token_id)
    assert not matcher.allowed()[text[-1]]


PIECES = [
    '<think>a <b> "</think>',
    '\n\nText < "',
    "<tool_call>",
    '\n{"name": "f", "arguments": {"a": "\\\\\\"é"}}',
    "<",
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_the_places_do_not_depend_on_how_the_text_is_cut(size: int) -> None:
    grammar = constraint_for(CALLS, call_syntax="hermes", starts_in_reasoning=False, may_reason=True).grammar
    places = places_of(grammar)
    seen = []
    for piece in PIECES:
        data = piece.encode()
        for start in range(0, len(data), size):
            places.accept(data[start : start + size])
        seen.append(_allowed(places))
    calls = {marker for marker in TEXT_MARKERS if "tool" in marker}
    assert seen == [{"<tool_call>"}, {"<tool_call>"}, calls, calls, calls]


def _allowed(places: MarkerPlaces) -> set[str]:
    return {marker for marker in TEXT_MARKERS if places.allows(marker)}


def test_a_grammar_of_other_lines_has_no_markers() -> None:
    places = places_of('start: "a"')
    places.accept(b"a")
    assert _allowed(places) == set()


def test_a_schema_cannot_say_what_form_an_answer_has() -> None:
    schema = {"type": "object", "properties": {"NO_CALLS: <tool_call>\nNO_CALLS: <tool_call>": {}}}
    rule = OutputRule(kind="json_schema", schema=json.dumps(schema))
    grammar = constraint_for(rule, call_syntax="hermes", starts_in_reasoning=False).grammar
    places = places_of(grammar)
    places.accept(b"{")
    assert _allowed(places) == set()


def test_elements_are_named_with_and_without_a_space() -> None:
    assert names_an_element(b' parameter name="')
    assert names_an_element(b"tool_calls>")
    assert not names_an_element(b'"')
    assert not names_an_element(b"")
