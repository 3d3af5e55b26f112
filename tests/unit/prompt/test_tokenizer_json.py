import json
from collections.abc import Mapping

import pytest

from seekd.engine.scripted import ScriptedVocabulary
from seekd.prompt.recipe import ReadBody, WireProtocol
from seekd.prompt.tokenizer_json import aliases_of, token_bytes_of, tokenizer_json
from seekd.prompt.types import PromptUsage, ResponseIdentity
from tests.formats import V41


class _Vocabulary(ScriptedVocabulary):
    """Bytes and markers, then words of several bytes, a split character and a second token of the same bytes."""

    _words = (b"hello", b" world", "é".encode(), b"\xe2\x82", b"\xac", b"hello", b"\n\n")

    @property
    def size(self) -> int:
        return super().size + len(self._words)

    @property
    def special_tokens(self) -> Mapping[str, int]:
        return super().special_tokens

    def token_bytes(self, token_id: int) -> bytes:
        base = super().size
        return super().token_bytes(token_id) if token_id < base else self._words[token_id - base]


VOCABULARY = _Vocabulary()
TEXT = tokenizer_json(VOCABULARY)


def test_the_bytes_of_every_token_come_back() -> None:
    table = token_bytes_of(TEXT)
    assert [table[token_id] for token_id in range(VOCABULARY.size)] == [
        VOCABULARY.token_bytes(token_id) for token_id in range(VOCABULARY.size)
    ]


_BASE = ScriptedVocabulary().size


@pytest.mark.parametrize(
    ("token_id", "text"), [(104, "h"), (_BASE, "hello"), (_BASE + 1, " world"), (_BASE + 2, "é"), (_BASE + 5, "hello")]
)
def test_answers_with_log_probabilities_decode_each_token(token_id: int, text: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "a"}], "logprobs": True}
    parser = (
        ReadBody(WireProtocol.CHAT, json.dumps(body).encode())
        .convert(models=("m",), thinking_by_default=False, requires_reasoning=False)
        .open_parser(ResponseIdentity(response_id="ID", model="m", created_s=5), V41, tokenizer_json=TEXT)
    )
    parser.ready(PromptUsage(num_prompt_tokens=1))
    chunks = parser.push_tokens([token_id], [(-1.0, [])])
    (choice,) = chunks[-1]["choices"]
    assert choice["delta"]["content"] == text
    assert choice["logprobs"]["content"][0]["bytes"] == list(text.encode())


@pytest.mark.parametrize("spelling", ["<think>", "</think>", "<｜User｜>"])
def test_markers_decode_to_their_spelling(spelling: str) -> None:
    assert token_bytes_of(TEXT)[VOCABULARY.special_tokens[spelling]] == spelling.encode()


def test_only_tokens_of_equal_bytes_are_aliases() -> None:
    assert aliases_of(TEXT) == {_BASE + 4: 0xAC, _BASE + 5: _BASE}
    assert aliases_of(tokenizer_json(ScriptedVocabulary())) == {}
