from __future__ import annotations

import json

import numpy as np
import pytest
from llguidance import LLParserLimits

from seekd.constrain.lark import without
from seekd.constrain.matcher import ConstraintCompiler, build_constraint
from seekd.engine.types import ConstraintFactory
from seekd.errors import EngineError, InvalidParameter
from tests.unit.constrain.random_model import DSML, END, USER, ByteVocabulary

NAMES = '{"type": "object", "properties": {"name": {"enum": ["ab", "ac"]}}, "required": ["name"]}'
OBJECT = f'start: %json {{"x-guidance": {{"whitespace_flexible": false, "key_separator": ": "}}, {NAMES[1:]}'


def spell(vocabulary: ByteVocabulary, token_ids: list[int]) -> str:
    return b"".join(vocabulary.token_bytes(token_id) for token_id in token_ids).decode()


def test_the_compiler_is_an_engine_constraint_factory(vocabulary: ByteVocabulary) -> None:
    factory: ConstraintFactory = ConstraintCompiler()
    assert callable(factory)


def test_the_mask_has_one_entry_a_token_and_allows_only_what_fits(vocabulary: ByteVocabulary) -> None:
    matcher = build_constraint('start: "a" | "b"', vocabulary)
    mask = matcher.allowed()
    assert mask.shape == (vocabulary.size,)
    assert mask.dtype == np.bool_
    assert np.flatnonzero(mask).tolist() == [ord("a"), ord("b")]


def test_the_end_is_allowed_only_where_the_text_may_end(vocabulary: ByteVocabulary) -> None:
    matcher = build_constraint("start: /a+/", vocabulary)
    assert not matcher.allowed()[END]
    matcher.accept(ord("a"))
    assert matcher.allowed()[END]
    assert not matcher.is_complete()


def test_every_end_token_may_end_the_text(vocabulary: ByteVocabulary) -> None:
    class TwoEnds(ByteVocabulary):
        @property
        def end_token_ids(self) -> frozenset[int]:
            return frozenset({END, USER})

    matcher = build_constraint("start: /a*/", TwoEnds())
    assert matcher.allowed()[[END, USER]].all()


def test_forced_tokens_are_named_but_not_accepted(vocabulary: ByteVocabulary) -> None:
    matcher = build_constraint(OBJECT, vocabulary)
    forced = matcher.forced_token_ids()
    assert spell(vocabulary, forced).startswith('{"name')
    assert forced == matcher.forced_token_ids()
    for token_id in forced:
        assert matcher.allowed()[token_id]
        matcher.accept(token_id)
    while forced := matcher.forced_token_ids():
        for token_id in forced:
            matcher.accept(token_id)
    assert np.count_nonzero(matcher.allowed()) > 1


def test_a_finished_text_is_complete_and_leaves_only_the_end(vocabulary: ByteVocabulary) -> None:
    matcher = build_constraint(OBJECT, vocabulary)
    for token_id in vocabulary.tokenize(json.dumps({"name": "ab"})):
        assert not matcher.is_complete()
        matcher.accept(token_id)
    assert matcher.is_complete()
    assert matcher.forced_token_ids() == []
    assert np.flatnonzero(matcher.allowed()).tolist() == [END]


def test_a_marker_of_the_call_format_is_text_in_both_spellings(vocabulary: ByteVocabulary) -> None:
    grammar = f'start: "<" ("｜DSML｜ calls>" | "x")\nNO_CALLS: {without("<｜DSML｜")}'
    for token_ids in ([ord("<"), DSML], list("<｜DSML｜".encode())):
        matcher = build_constraint(grammar, vocabulary)
        for token_id in token_ids:
            assert matcher.allowed()[token_id]
            matcher.accept(token_id)
        assert spell(vocabulary, matcher.forced_token_ids()) == " calls>"


def test_other_markers_are_never_allowed_as_tokens(vocabulary: ByteVocabulary) -> None:
    mask = build_constraint("start: /(?s:.)*/", vocabulary).allowed()
    assert not mask[USER]
    assert mask[ord("<")]


def test_a_token_outside_of_the_grammar_is_an_engine_error_and_stays_one(vocabulary: ByteVocabulary) -> None:
    matcher = build_constraint('start: "ab" | "ac"', vocabulary)
    with pytest.raises(EngineError):
        matcher.accept(ord("x"))
    for method in (matcher.allowed, matcher.forced_token_ids, matcher.is_complete):
        with pytest.raises(EngineError):
            method()


def test_a_matcher_that_runs_into_its_limits_is_an_engine_error(vocabulary: ByteVocabulary) -> None:
    compiler = ConstraintCompiler(limits=LLParserLimits(step_max_items=20, verbose_errors=False))
    matcher = compiler('start: many\nmany: one+\none: "a" many? "b" | "a" many? "c"', vocabulary)

    def write_on() -> None:
        for _ in range(200):
            matcher.allowed()
            matcher.accept(ord("a"))

    with pytest.raises(EngineError):
        write_on()


def test_a_grammar_that_does_not_compile_is_an_invalid_parameter(vocabulary: ByteVocabulary) -> None:
    with pytest.raises(InvalidParameter, match="cannot be enforced"):
        build_constraint("start: /[/", vocabulary)


def test_kept_grammars_start_afresh_each_time_and_are_bounded(vocabulary: ByteVocabulary) -> None:
    compiler = ConstraintCompiler(num_kept_grammars=2)
    for _ in range(2):
        for text in ("ax", "bx", "cx"):
            matcher = compiler(f'start: "{text}"', vocabulary)
            assert matcher.forced_token_ids() == vocabulary.tokenize(text)
            matcher.accept(ord(text[0]))
    assert len(compiler._prototypes) == 2


def test_a_vocabulary_that_encodes_with_a_space_in_front_forces_nothing_wrong(vocabulary: ByteVocabulary) -> None:
    class Spaced(ByteVocabulary):
        def tokenize(self, text: str) -> list[int]:
            return [ord(" "), *super().tokenize(text)]

    matcher = build_constraint('start: "name"', Spaced())
    forced = matcher.forced_token_ids()
    assert spell(vocabulary, forced) == "name"
    assert matcher.allowed()[forced[0]]


def test_a_forced_text_is_encoded_once_however_often_it_is_forced() -> None:
    encoded: list[str] = []

    class Counting(ByteVocabulary):
        def tokenize(self, text: str) -> list[int]:
            encoded.append(text)
            return super().tokenize(text)

    compiler, counting = ConstraintCompiler(), Counting()
    compiler.prepare(counting)
    long = "x" * 300
    for text, num_encoded in (("name", 1), (long, 3)):
        encoded.clear()
        for _ in range(3):
            assert spell(counting, compiler(f'start: "{text}"', counting).forced_token_ids()) == text
        assert len(encoded) == num_encoded


def test_another_vocabulary_takes_the_place_of_the_first(vocabulary: ByteVocabulary) -> None:
    class Shifted(ByteVocabulary):
        def token_bytes(self, token_id: int) -> bytes:
            data = super().token_bytes(token_id)
            return bytes([(data[0] + 1) % 256]) if len(data) == 1 else data

        def tokenize(self, text: str) -> list[int]:
            return [byte - 1 for byte in text.encode()]

    compiler = ConstraintCompiler()
    assert np.flatnonzero(compiler('start: "b"', vocabulary).allowed()).tolist() == [ord("b")]
    assert np.flatnonzero(compiler('start: "b"', Shifted()).allowed()).tolist() == [ord("a")]


class PlainVocabulary(ByteVocabulary):
    """ASCII only, without markers, and with an encoder that loses what it does not know."""

    @property
    def special_tokens(self) -> dict[str, int]:
        return {}

    def token_bytes(self, token_id: int) -> bytes:
        data = super().token_bytes(token_id)
        return data if data.isascii() else b""

    def tokenize(self, text: str) -> list[int]:
        return super().tokenize(text.encode("ascii", "ignore").decode())


def test_a_text_that_the_vocabulary_cannot_write_ends_with_an_error(vocabulary: ByteVocabulary) -> None:
    compiler = ConstraintCompiler()
    plain = PlainVocabulary()
    compiler.prepare(plain)
    assert compiler('start: "a" | "é"', plain).allowed().nonzero()[0].tolist() == [ord("a")]
    matcher = compiler('start: "aé" | "aü"', plain)
    matcher.accept(ord("a"))
    with pytest.raises(EngineError):
        matcher.allowed()


def test_a_vocabulary_without_markers_spells_them(vocabulary: ByteVocabulary) -> None:
    matcher = build_constraint('start: "<think>"', PlainVocabulary())
    assert spell(vocabulary, matcher.forced_token_ids()) == "<think>"
