"""The token table of a model file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from seekd.engine.llama.vocabulary import LlamaVocabulary, open_vocabulary
from seekd.engine.types import TokenKind, Vocabulary
from tests.model.conftest import ModelFiles
from tests.model.gguf_files import Architecture

TEXTS = ["", "the other in the", "héllo 世界 🙂", "a\x00b", "  \n\t", "<｜User｜>hi<｜end▁of▁sentence｜>"]


@pytest.fixture(scope="module")
def vocabulary(model_file: ModelFiles) -> Iterator[LlamaVocabulary]:
    with open_vocabulary(model_file(Architecture.LLAMA)) as vocabulary:
        yield vocabulary


def test_it_is_a_vocabulary(vocabulary: LlamaVocabulary) -> None:
    seen: Vocabulary = vocabulary
    assert seen.size == 275
    assert seen.end_token_ids == {seen.special_tokens["<｜end▁of▁sentence｜>"]}


@pytest.mark.parametrize("text", TEXTS)
def test_text_round_trips_through_bytes(vocabulary: LlamaVocabulary, text: str) -> None:
    token_ids = vocabulary.tokenize(text)
    assert b"".join(map(vocabulary.token_bytes, token_ids)) == text.encode()


def test_merges_apply(vocabulary: LlamaVocabulary) -> None:
    assert len(vocabulary.tokenize(" the")) == 1


def test_special_entries_keep_their_spelling_and_kind(vocabulary: LlamaVocabulary) -> None:
    kinds = {text: vocabulary.kind(token_id) for text, token_id in vocabulary.special_tokens.items()}
    user_defined = {text for text, kind in kinds.items() if kind is TokenKind.USER_DEFINED}
    assert user_defined == {"<think>", "</think>", "｜DSML｜"}
    assert set(kinds) - user_defined == {
        "<｜begin▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        "<｜▁pad▁｜>",
        "<｜System｜>",
        "<｜User｜>",
        "<｜Assistant｜>",
        "<｜fim▁begin｜>",
        "<｜fim▁hole｜>",
        "<｜fim▁end｜>",
    }
    for text, token_id in vocabulary.special_tokens.items():
        assert vocabulary.token_bytes(token_id) == text.encode()


def test_text_never_becomes_a_control_token(vocabulary: LlamaVocabulary) -> None:
    for text, token_id in vocabulary.special_tokens.items():
        if vocabulary.kind(token_id) is TokenKind.CONTROL:
            token_ids = vocabulary.tokenize(f"a {text} b")
            assert all(vocabulary.kind(i) is TokenKind.NORMAL for i in token_ids)


def test_user_defined_tokens_are_matched_in_text_so_the_caller_must_cut(vocabulary: LlamaVocabulary) -> None:
    # The reason for `prompt.segments`; if this ever fails, llama.cpp has changed and the cutting costs without use.
    assert vocabulary.special_tokens["</think>"] in vocabulary.tokenize("a</think>b")


def test_two_vocabularies_can_be_open_one_after_the_other(model_file: ModelFiles) -> None:
    path: Path = model_file(Architecture.QWEN2)
    for _ in range(2):
        with open_vocabulary(path) as vocabulary:
            assert vocabulary.tokenize("the") == vocabulary.tokenize("the")
