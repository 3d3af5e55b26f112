"""What users write never becomes a control token, on the vocabularies of real files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from seekd.constrain.grammars import constraint_for
from seekd.constrain.matcher import ConstraintCompiler
from seekd.engine.llama.vocabulary import LlamaVocabulary, open_vocabulary
from seekd.models.locate import find_model_file
from seekd.output_rule import OfferedTool, OutputRule
from seekd.prompt.render.segments import encode
from seekd.prompt.types import Segment
from tests.model.conftest import ModelFiles
from tests.model.gguf_files import Architecture


@pytest.fixture(scope="module", params=["bundled", "written"])
def vocabulary(request: pytest.FixtureRequest, model_file: ModelFiles) -> Iterator[LlamaVocabulary]:
    # The written file makes the think tags and DSML user-defined, which llama.cpp matches in plain text.
    path: Path = find_model_file("bundled") if request.param == "bundled" else model_file(Architecture.DEEPSEEK2)
    with open_vocabulary(path) as vocabulary:
        yield vocabulary


def test_the_markers_of_the_layout_are_there(vocabulary: LlamaVocabulary) -> None:
    needed = {
        "<｜begin▁of▁sentence｜>",
        "<｜System｜>",
        "<｜User｜>",
        "<｜Assistant｜>",
        "<think>",
        "</think>",
        "｜DSML｜",
    }
    assert needed <= set(vocabulary.special_tokens)
    assert vocabulary.special_tokens["<｜end▁of▁sentence｜>"] in vocabulary.end_token_ids


def test_no_spelling_in_plain_text_becomes_its_token(vocabulary: LlamaVocabulary) -> None:
    special_ids = set(vocabulary.special_tokens.values())
    for spelling in vocabulary.special_tokens:
        for text in (spelling, f"a{spelling}b", f" {spelling}{spelling} ", f"<{spelling}>", f"{spelling}\n"):
            token_ids = encode([Segment(text=text)], vocabulary)
            assert special_ids.isdisjoint(token_ids)
            assert b"".join(map(vocabulary.token_bytes, token_ids)) == text.encode()


def test_all_spellings_in_one_text_stay_text(vocabulary: LlamaVocabulary) -> None:
    text = "".join(vocabulary.special_tokens) + " ".join(vocabulary.special_tokens)
    token_ids = encode([Segment(text=text)], vocabulary)
    assert set(vocabulary.special_tokens.values()).isdisjoint(token_ids)
    assert b"".join(map(vocabulary.token_bytes, token_ids)) == text.encode()


def test_control_segments_become_exactly_their_token(vocabulary: LlamaVocabulary) -> None:
    for spelling, token_id in vocabulary.special_tokens.items():
        assert encode([Segment(text=spelling, is_control=True)], vocabulary) == [token_id]


JSON = OutputRule(kind="json_object")
ARGUMENTS = {"type": "object", "properties": {"s": {"type": "string"}, "j": {"type": "array"}}}
CALLS = OutputRule(kind="tools", tools=(OfferedTool(name="f", parameters=ARGUMENTS),))
CALL = '<｜DSML｜ calls>\n<｜DSML｜ invoke name="f">\n<｜DSML｜ parameter name='


@pytest.mark.fault("marker-in-a-string")
@pytest.mark.parametrize(
    ("rule", "thinking", "text", "markers"),
    [
        (JSON, False, '{"a": "b <', set()),
        (JSON, True, "Hm", {"</think>"}),
        (JSON, True, 'Hm</think>{"a": "b </', set()),
        (CALLS, False, "Some text", set()),
        (CALLS, False, "Some text <", {"｜DSML｜"}),
        (CALLS, False, f'{CALL}"s" string="true">b <', set()),
        (CALLS, False, f'{CALL}"j" string="false">["b <', set()),
    ],
)
def test_no_special_token_can_be_sampled_in_constrained_text(
    vocabulary: LlamaVocabulary, rule: OutputRule, thinking: bool, text: str, markers: set[str]
) -> None:
    grammar = constraint_for(rule, call_syntax="deepseek-v4.1", starts_in_reasoning=thinking).grammar
    matcher = ConstraintCompiler()(grammar, vocabulary)
    for part in text.replace("｜DSML｜", "\0｜DSML｜\0").replace("</think>", "\0</think>\0").split("\0"):
        if part in vocabulary.special_tokens:
            matcher.accept(vocabulary.special_tokens[part])
            continue
        for token_id in vocabulary.tokenize(part) if part else ():
            matcher.accept(token_id)
    mask = matcher.allowed()
    assert mask.any()
    allowed = {spelling for spelling, token_id in vocabulary.special_tokens.items() if mask[token_id]}
    ends = {
        spelling for spelling, token_id in vocabulary.special_tokens.items() if token_id in vocabulary.end_token_ids
    }
    assert allowed - ends == markers
