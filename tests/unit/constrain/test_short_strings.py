from __future__ import annotations

import json
import random

import numpy as np
import pytest
from llguidance import LLParserLimits

from seekd.constrain.grammars import constraint_for
from seekd.constrain.matcher import ConstraintCompiler, GrammarMatcher
from seekd.constrain.plain_strings import PLAIN_STRINGS
from seekd.constrain.short_strings import MAX_LEFT, ShortStrings
from seekd.output_rule import OfferedTool, OutputRule
from tests.unit.constrain.random_model import END, ByteVocabulary

LETTERS = 'abcdeé天𝄞ü <｜/"\\\n:,}x1'


class WordVocabulary(ByteVocabulary):
    """Entries of every length that cross quotes, escapes, marks and the borders of characters."""

    def __init__(self) -> None:
        super().__init__()
        chance = random.Random(0)
        words: dict[bytes, None] = {}
        while len(words) < 1500:
            text = "".join(chance.choice(LETTERS) for _ in range(chance.choice((2, 3, 4, 5, 8, 13, 33))))
            data = text.encode()
            words[data[chance.choice((0, 0, 0, 1)) : len(data) - chance.choice((0, 0, 0, 1))]] = None
            words["".join(chance.choice("abc天") for _ in range(chance.randint(2, 14))).encode()] = None
        words |= dict.fromkeys([b'", "b": "', b'a", "b": "ab', b"abc</", "ab</｜DSML｜".encode(), "｜DSML｜x".encode()])
        self._entries += words
        self._longest_first += range(len(self._entries) - len(words), len(self._entries))
        self._longest_first.sort(key=lambda token_id: -len(self._entries[token_id]))


@pytest.fixture(scope="module")
def words() -> WordVocabulary:
    return WordVocabulary()


@pytest.fixture(scope="module")
def compiler(words: WordVocabulary) -> ConstraintCompiler:
    compiler = ConstraintCompiler()
    compiler.prepare(words)
    return compiler


def random_plain(chance: random.Random, depth: int) -> dict[str, object]:
    """A schema whose strings are limited by their length alone."""
    kind = chance.randrange(7 if depth else 4)
    if kind < 2:
        shortest = chance.choice((0, 0, 0, 1, 4))
        return {"type": "string", "minLength": shortest, "maxLength": shortest + chance.choice((0, 1, 2, 5, 12, 40))}
    if kind == 2:
        return {"type": chance.choice((["string", "null"], ["integer", "string"])), "maxLength": chance.randint(1, 9)}
    if kind == 3:
        scalars: list[dict[str, object]] = [
            {"enum": ["a", "abcde", "天天天", 3]},
            {"const": "aé"},
            {"type": "null"},
            {},
        ]
        return chance.choice(scalars)
    if kind == 4:
        return {"type": "array", "items": random_plain(chance, depth - 1), "maxItems": 3}
    if kind == 5:
        return {"anyOf": [{"type": "null"}, random_plain(chance, depth - 1)]}
    return random_object(chance, depth)


def random_object(chance: random.Random, depth: int) -> dict[str, object]:
    names = chance.sample(["a", "b", "abc", "天"], chance.randint(1, 4))
    return {
        "type": "object",
        "properties": {name: random_plain(chance, depth - 1) for name in names},
        "required": [name for name in names if chance.random() < 0.8],
        "additionalProperties": chance.choice((False, {"type": "string", "maxLength": 3})),
    }


def random_grammar(chance: random.Random) -> str:
    schemas = [random_object(chance, 3) | {"title": {"maxLength": 1}} for _ in range(2)]
    if chance.random() < 0.5:
        rule = OutputRule(kind="json_schema", schema=json.dumps(schemas[0]))
    else:
        tools = tuple(OfferedTool(name=f"f{number}", parameters=schema) for number, schema in enumerate(schemas))
        rule = OutputRule(kind="tools", tools=tools, tool_choice="required")
    return constraint_for(rule, call_syntax="deepseek-v4.1", starts_in_reasoning=chance.random() < 0.2).grammar


def num_from_table(matcher: GrammarMatcher) -> int:
    assert matcher._short_strings is not None
    return int(matcher._short_strings.mask() is not None)


@pytest.mark.parametrize("batch", range(6))
def test_the_mask_by_table_is_the_mask_of_the_grammar(
    words: WordVocabulary, compiler: ConstraintCompiler, batch: int
) -> None:
    num_tables = 0
    for seed in range(10 * batch, 10 * batch + 10):
        chance = random.Random(seed)
        grammar = random_grammar(chance)
        assert grammar.startswith(PLAIN_STRINGS)
        quick, plain = compiler(grammar, words), compiler(grammar.removeprefix(PLAIN_STRINGS), words)
        assert plain._short_strings is None
        for _ in range(40):
            while forced := quick.forced_token_ids():
                accept(forced, quick, plain)
            mask = quick.allowed()
            np.testing.assert_array_equal(mask, plain.allowed())
            num_tables += num_from_table(quick)
            choices = np.flatnonzero(mask).tolist()
            openers = [choice for choice in choices if words.token_bytes(choice)[:1] in (b'"', b"<", b",")]
            token_id = chance.choice(openers if openers and chance.random() < 0.3 else choices)
            if token_id == END or quick.is_complete():
                break
            accept([token_id], quick, plain)
    assert num_tables >= 10


def accept(token_ids: list[int], *matchers: GrammarMatcher) -> None:
    for matcher in matchers:
        for token_id in token_ids:
            matcher.accept(token_id)


def short_string(compiler: ConstraintCompiler, words: WordVocabulary, max_length: int) -> GrammarMatcher:
    schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": max_length}}, "required": ["a"]}
    rule = OutputRule(kind="json_schema", schema=json.dumps(schema))
    grammar = constraint_for(rule, call_syntax="deepseek-v4.1", starts_in_reasoning=False).grammar
    matcher = compiler(grammar, words)
    for byte in b'{"a": "':
        matcher.accept(byte)
    return matcher


@pytest.mark.parametrize("num_digits", [18, 20])
def test_a_token_that_leaves_a_string_for_a_long_number_is_masked_by_its_bounds(num_digits: int) -> None:
    words = WordVocabulary()
    words._entries.append(b'", "n": ' + b"9" * num_digits)
    words._longest_first.insert(0, len(words._entries) - 1)
    properties = {"a": {"type": "string", "maxLength": 5}, "n": {"type": "integer"}}
    schema = {"type": "object", "properties": properties, "required": ["a", "n"]}
    rule = OutputRule(kind="json_schema", schema=json.dumps(schema))
    grammar = constraint_for(rule, call_syntax="deepseek-v4.1", starts_in_reasoning=False).grammar
    matcher = ConstraintCompiler()(grammar, words)
    for byte in b'{"a": "b':
        matcher.accept(byte)
    assert num_from_table(matcher) == 1
    assert matcher.allowed()[len(words._entries) - 1] == (num_digits == 18)


def test_only_strings_that_are_short_enough_are_read_from_the_table(
    compiler: ConstraintCompiler, words: WordVocabulary
) -> None:
    assert num_from_table(short_string(compiler, words, MAX_LEFT - 1)) == 1
    assert num_from_table(short_string(compiler, words, MAX_LEFT)) == 0
    full = short_string(compiler, words, 2)
    full.accept(ord("a"))
    assert num_from_table(full) == 1
    full.accept(ord("a"))
    assert num_from_table(full) == 0


def test_a_grammar_with_the_probing_character_in_it_has_no_table(
    compiler: ConstraintCompiler, words: WordVocabulary
) -> None:
    matcher = compiler(PLAIN_STRINGS + 'start: "\u0378" | "a"', words)
    assert matcher._short_strings is None


def test_where_the_second_matcher_fails_the_first_one_is_asked(words: WordVocabulary) -> None:
    compiler = ConstraintCompiler()
    matcher = short_string(compiler, words, 9)
    tables = compiler._tables
    assert tables is not None
    failed = tables.short_strings.compile(PLAIN_STRINGS + 'start: "b"', LLParserLimits(verbose_errors=False))
    assert failed is not None
    short = ShortStrings(failed, tables.short_strings)
    short.accept(b"x")
    assert short.mask() is None
    assert short.mask() is None
    matcher._short_strings = short
    assert matcher.allowed()[ord("a")]
