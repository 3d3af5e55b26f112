"""A model's token table as `types.Vocabulary`.

Room: engine.llama. May import: errors, engine.types.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from seekd.engine.llama.binding import C, Library
from seekd.engine.llama.model import Model
from seekd.engine.types import TokenKind
from seekd.errors import EngineError


class LlamaVocabulary:
    """Reads a model's vocabulary; valid while the model is open. llama.cpp's own functions here are thread-safe."""

    def __init__(self, model: Model) -> None:
        pointer = model.borrowed_vocab_pointer
        self._pointer = pointer
        self._size = model.vocab_size
        self._kinds: dict[int, TokenKind] = {}
        for token_id in range(self._size):
            attributes = C.llama_vocab_get_attr(pointer, token_id)
            # "Unknown" and "unused" entries are no text either: a prompt must not hold them by accident.
            if attributes & (C.LLAMA_TOKEN_ATTR_CONTROL | C.LLAMA_TOKEN_ATTR_UNKNOWN | C.LLAMA_TOKEN_ATTR_UNUSED):
                self._kinds[token_id] = TokenKind.CONTROL
            elif attributes & C.LLAMA_TOKEN_ATTR_USER_DEFINED:
                self._kinds[token_id] = TokenKind.USER_DEFINED
        self._special_tokens = {self._spelling(token_id).decode(errors="replace"): token_id for token_id in self._kinds}
        self._end_token_ids = frozenset(i for i in range(self._size) if C.llama_vocab_is_eog(pointer, i))

    @property
    def size(self) -> int:
        """Number of entries."""
        return self._size

    @property
    def end_token_ids(self) -> frozenset[int]:
        """Every entry that llama.cpp takes for an end of generation: EOS, end of turn and their kin."""
        return self._end_token_ids

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Spelling to id of every control and user-defined entry."""
        return self._special_tokens

    def tokenize(self, text: str) -> list[int]:
        """Encode plain text, without BOS and without control tokens. User-defined entries are matched all the same."""
        data = text.encode()
        capacity = len(data) + 2
        token_ids = (C.llama_token * capacity)()
        count = C.llama_tokenize(self._pointer, data, len(data), token_ids, capacity, False, False)
        if count < 0:
            # A normaliser that adds characters needs more room; llama.cpp says how much, negated.
            capacity = -count
            token_ids = (C.llama_token * capacity)()
            count = C.llama_tokenize(self._pointer, data, len(data), token_ids, capacity, False, False)
        if count < 0:
            raise EngineError("The model's tokenizer failed on this text.")
        return token_ids[:count]

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that the token stands for; the spelling for control and user-defined entries."""
        if token_id in self._kinds:
            return self._spelling(token_id)
        return self._piece(token_id)

    def kind(self, token_id: int) -> TokenKind:
        """How the entry may be produced; entries that stand for nothing count as CONTROL."""
        return self._kinds.get(token_id, TokenKind.NORMAL)

    def _spelling(self, token_id: int) -> bytes:
        return C.llama_vocab_get_text(self._pointer, token_id) or b""

    def _piece(self, token_id: int) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        length = C.llama_token_to_piece(self._pointer, token_id, buffer, len(buffer), 0, True)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = C.llama_token_to_piece(self._pointer, token_id, buffer, len(buffer), 0, True)
        return buffer.raw[: max(0, length)]


@contextmanager
def open_vocabulary(path: Path) -> Iterator[LlamaVocabulary]:
    """Load only the vocabulary of a model file that an engine process has already loaded safely.

    Raises:
        ConfigError: the file cannot be used.
    """
    with Library(), Model(path, vocab_only=True) as model:
        yield LlamaVocabulary(model)
