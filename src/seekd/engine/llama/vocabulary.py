"""A model's token table as `Vocabulary`."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from seekd.engine.llama.binding import C, Library
from seekd.engine.llama.model import Model
from seekd.engine.text_pieces import text_pieces
from seekd.errors import EngineError
from seekd.vocabulary import TokenKind


class LlamaVocabulary:
    """Reads a model's vocabulary; valid while the model is open. llama.cpp's own functions here are thread-safe.

    A thread cannot be stopped when nobody waits for it any more. So who frees the model calls `close` first, which ends
    when the last thread has left llama.cpp; whoever comes later is refused.
    """

    def __init__(self, model: Model) -> None:
        pointer = model.borrowed_vocab_pointer
        self._pointer = pointer
        self._is_bpe = C.llama_vocab_type(pointer) == C.LLAMA_VOCAB_TYPE_BPE
        self._lock = threading.Lock()
        self._is_idle = threading.Condition(self._lock)
        self._num_tokenizing = 0
        self._is_closed = False
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
        """Encode plain text, without BOS and without control tokens. User-defined entries are matched all the same.

        Raises:
            EngineError: the tokenizer failed, or the vocabulary is closed.
        """
        return list(chain.from_iterable(self.tokenize_pieces(text)))

    def tokenize_pieces(self, text: str) -> Iterator[list[int]]:
        """See `Vocabulary`. Only byte-level vocabularies: others put a blank before each text, or merge words."""
        return map(self._tokenize, text_pieces(text) if self._is_bpe else (text,))

    def close(self) -> None:
        """Wait for the threads that use it, and refuse those that come later."""
        with self._is_idle:
            self._is_closed = True
            self._is_idle.wait_for(lambda: self._num_tokenizing == 0)

    @contextmanager
    def _tokenizing(self) -> Iterator[None]:
        with self._lock:
            self._check_open()
            self._num_tokenizing += 1
        try:
            yield
        finally:
            with self._is_idle:
                self._num_tokenizing -= 1
                self._is_idle.notify_all()

    def _check_open(self) -> None:
        if self._is_closed:
            raise EngineError("The model is being unloaded. Try again in a moment.")

    def _tokenize(self, text: str) -> list[int]:
        with self._tokenizing():
            return self._token_ids(text.encode())

    def _token_ids(self, data: bytes) -> list[int]:
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
        """The bytes that the token stands for; the spelling for control and user-defined entries.

        Raises:
            EngineError: the vocabulary is closed.
        """
        with self._lock:  # cheaper than to be counted, for one token at a time
            self._check_open()
            return self._spelling(token_id) if token_id in self._kinds else self._piece(token_id)

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
        vocabulary = LlamaVocabulary(model)
        try:
            yield vocabulary
        finally:
            vocabulary.close()
