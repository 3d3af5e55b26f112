from __future__ import annotations

import itertools
import json
import re

import pytest

from seekd.constrain import lark
from tests.unit.constrain.random_model import RandomModel

PATTERNS = ["a", "^a", "a$", "^a$", "^a|b$", "^(a|b)$", "a|", "", "^$", r"\^", r"a\$", "[$^]a", r"[\]^]", r"\\$",
            "(a|^b)", "a$b", "(a$)", "[]a]", "^^a", "a||b"]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_are_searched_for_as_python_searches(pattern: str) -> None:
    """Where the anchors can be taken out; elsewhere None says that they cannot."""
    found, whole = lark.found_in_text(pattern), lark.whole_text(pattern)
    if found is None or whole is None:
        assert pattern in ("(a|^b)", "a$b", "(a$)", "^^a")
        return
    for letters in itertools.product("ab^$]\\", repeat=3):
        for length in range(4):
            text = "".join(letters[:length])
            assert bool(re.fullmatch(found, text)) == bool(re.search(pattern, text)), text
            if "|" not in pattern:
                assert bool(re.fullmatch(whole, text)) == bool(re.fullmatch(pattern, text)), text


@pytest.mark.parametrize(
    "text", ["a", 'quo"te', "back\\slash", "new\nline", "天", "/", "// no comment", "<tag>", "%json {"]
)
def test_a_literal_is_exactly_its_text(random_model: RandomModel, text: str) -> None:
    for body in (lark.literal(text), lark.regex(lark.escape(text))):
        assert random_model.write(f"start: TEXT\nTEXT: {body}\n", seed=0) == text


@pytest.mark.parametrize("text", ["<｜DSML｜", "</think>", "aab"])
def test_without_keeps_a_text_out_and_nothing_else(random_model: RandomModel, text: str) -> None:
    grammar = f"start: TEXT\nTEXT: {lark.without(text)}\n"
    for good in ("", text[:-1], text[:-1] + "?" + text[-1], text[0] * 3):
        matcher = random_model.matcher(grammar)._matcher
        assert matcher.try_consume_tokens(list(good.encode())) == len(good.encode())
        assert matcher.is_accepting()
    bad = (text[:-1] + text).encode()
    assert random_model.matcher(grammar)._matcher.try_consume_tokens(list(bad)) < len(bad)


def test_json_has_one_spelling_of_white_space(random_model: RandomModel) -> None:
    value = {"a": [1, {"b": None}], "c": "x"}
    text = random_model.write(f"start: {lark.json_value({'const': value})}", seed=0)
    assert text == json.dumps(value)
    assert random_model.write(f"start: {lark.json_value(True)}", seed=1, closing=0.9) is not None
