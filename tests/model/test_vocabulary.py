"""The token table of a model file."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seekd.engine.llama.vocabulary import LlamaVocabulary, open_vocabulary
from seekd.engine.text_pieces import text_pieces
from seekd.errors import EngineError
from seekd.vocabulary import TokenKind, Vocabulary
from tests.model.conftest import ModelFiles
from tests.model.gguf_files import Architecture, byte_alphabet, write_gguf

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


def test_a_closed_vocabulary_is_freed_only_when_the_last_thread_has_left_it(model_file: ModelFiles) -> None:
    errors: list[EngineError] = []
    begun = threading.Event()

    def tokenize_without_end(vocabulary: LlamaVocabulary) -> None:
        try:
            while True:
                for _ in vocabulary.tokenize_pieces("the other in the " * 4_000):
                    begun.set()
        except EngineError as error:
            errors.append(error)

    with open_vocabulary(model_file(Architecture.LLAMA)) as vocabulary:
        thread = threading.Thread(target=tokenize_without_end, args=(vocabulary,))
        thread.start()
        assert begun.wait(10)
    thread.join(10)
    assert len(errors) == 1
    with pytest.raises(EngineError, match="unloaded"):
        vocabulary.token_bytes(5)


PRE_TOKENIZERS = (
    *("deepseek-v3", "deepseek-llm", "deepseek-coder", "llama-bpe", "qwen2", "qwen35", "gpt-2", "gpt-4o", "tekken"),
    *("falcon", "starcoder", "default", "kimi-k2", "youtu", "seed-coder", "bailingmoe", "chameleon", "afmoe"),
)
CHARACTERS = "aBé1 \n\t.,'\"/_-(天，🙂\u0301sl"
ENDS = [f"{left}{right}" for left in "aBé1天" for right in ' \n\t.,;:"()/_-，'] + ["a1", "天1"]


@pytest.mark.parametrize("pre_tokenizer", PRE_TOKENIZERS)
def test_the_pieces_of_a_text_have_its_tokens(pre_tokenizer: str, tmp_path: Path) -> None:
    # Every two bytes of these texts have a merge, so that a word more or less is another token somewhere.
    symbols = [byte_alphabet()[byte] for byte in sorted({*"".join((CHARACTERS, *ENDS)).encode()})]
    pairs = [(left, right) for left in symbols for right in symbols]
    drawn = random.Random(pre_tokenizer)
    drawn.shuffle(pairs)
    with open_vocabulary(write_gguf(tmp_path / "model.gguf", pre_tokenizer=pre_tokenizer, merges=pairs)) as vocabulary:
        for _ in range(30):
            text = "".join(
                "".join(drawn.choices(CHARACTERS, k=drawn.randrange(5))) + drawn.choice(ENDS) for _ in range(20)
            )
            pieces = list(text_pieces(text, size=18))
            assert len(pieces) > 2
            assert [token for piece in pieces for token in vocabulary.tokenize(piece)] == vocabulary.tokenize(text), (
                text
            )


@pytest.mark.parametrize("run", ["a", " ", "\n", ".", "天", "\u0e31", "🙂"])
def test_a_run_of_one_kind_of_character_does_not_overflow_the_stack(vocabulary: LlamaVocabulary, run: str) -> None:
    token_ids = vocabulary.tokenize(run * 40_000)
    assert b"".join(map(vocabulary.token_bytes, token_ids)) == (run * 40_000).encode()
