"""A `tokenizer.json` made of a model's own vocabulary.

The protocol package wants one where answers carry log-probabilities: it turns token ids into text, and never encodes.
So the file has every token and no merges. Tokens are spelled in the byte-level alphabet of GPT-2, which gives each byte
a printable character.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, lru_cache

from seekd.vocabulary import Vocabulary

_ALIAS = "\ufffdsame:"
"""Begins the names of tokens that stand for the same bytes as an earlier one; no byte is spelled like that."""


def tokenizer_json(vocabulary: Vocabulary) -> str:
    """A decoding-only tokenizer for the vocabulary; about 100 bytes of text an entry, so make it once a model."""
    special_ids = frozenset(vocabulary.special_tokens.values())
    alphabet = _byte_alphabet()
    entries: dict[str, int] = {}
    added: list[dict[str, object]] = []
    for token_id in range(vocabulary.size):
        token_bytes = vocabulary.token_bytes(token_id)
        if token_id in special_ids:
            spelling = token_bytes.decode("utf-8", "replace")
            added.append(_added(token_id, spelling))
        else:
            spelling = "".join(alphabet[byte] for byte in token_bytes)
        if spelling in entries:
            spelling = f"{_ALIAS}{token_id}={entries[spelling]}"
        entries[spelling] = token_id
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": None,
            "pre_tokenizer": {
                "type": "ByteLevel",
                "add_prefix_space": False,
                "trim_offsets": False,
                "use_regex": False,
            },
            "post_processor": None,
            "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "vocab": entries,
                "merges": [],
            },
        },
        ensure_ascii=False,
    )


def aliases_of(tokenizer_text: str) -> Mapping[int, int]:
    """The tokens that stand for the same bytes as an earlier one: id to the earlier id.

    A file has names, not ids, as keys, so it cannot say two tokens of one spelling; readers map them before they ask.
    """
    if _ALIAS not in tokenizer_text:
        return {}
    return _aliases(json.loads(tokenizer_text)["model"]["vocab"])


@lru_cache(maxsize=2)
def token_bytes_of(tokenizer_text: str) -> Mapping[int, bytes]:
    """The bytes of each token of a file made by `tokenizer_json`."""
    data = json.loads(tokenizer_text)
    vocab: Mapping[str, int] = data["model"]["vocab"]
    added = {entry["id"]: entry["content"].encode() for entry in data["added_tokens"]}
    aliases = _aliases(vocab)
    byte_of = {char: value for value, char in enumerate(_byte_alphabet())}
    plain = {
        token_id: bytes(byte_of[char] for char in spelling)
        for spelling, token_id in vocab.items()
        if token_id not in added and token_id not in aliases
    }
    known = plain | added
    return known | {token_id: known[same] for token_id, same in aliases.items()}


def _aliases(vocab: Mapping[str, int]) -> dict[int, int]:
    names = (name.removeprefix(_ALIAS).split("=") for name in vocab if name.startswith(_ALIAS))
    return {int(token_id): int(same) for token_id, same in names}


def _added(token_id: int, text: str) -> dict[str, object]:
    return {
        "id": token_id,
        "content": text,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": False,
    }


@cache
def _byte_alphabet() -> tuple[str, ...]:
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    alphabet: list[str] = []
    num_shifted = 0
    for byte in range(256):
        if byte in printable:
            alphabet.append(chr(byte))
        else:
            alphabet.append(chr(0x100 + num_shifted))
            num_shifted += 1
    return tuple(alphabet)
