"""What prompts, constraints and engines know of a model's tokens."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import Protocol


class TokenKind(enum.StrEnum):
    """How a vocabulary entry may be produced (GGUF `tokenizer.ggml.token_type`)."""

    NORMAL = "normal"
    CONTROL = "control"
    USER_DEFINED = "user_defined"


class Vocabulary(Protocol):
    """The token table of one model. Safe to share between threads; costs memory once per process."""

    @property
    def size(self) -> int:
        """Number of entries."""

    @property
    def end_token_ids(self) -> frozenset[int]:
        """The end-of-generation tokens."""

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Spelling to id of every control and user-defined entry: what user text must never become."""

    def tokenize(self, text: str) -> list[int]:
        """Encode plain text, without BOS and without control tokens.

        llama.cpp still matches user-defined entries here; `prompt.segments` cuts them apart before it calls this.
        """

    def tokenize_pieces(self, text: str) -> Iterator[list[int]]:
        """The token ids of `tokenize` in parts, each of which takes some milliseconds, so that the caller may stop."""

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that the token stands for; the spelling for control and user-defined entries."""

    def kind(self, token_id: int) -> TokenKind:
        """How the entry may be produced."""
