"""A grammar and a vocabulary become the matcher that limits each next token.

Room: constrain. May import: errors, llguidance, numpy. Runs in the engine process.

What the matcher calls text is what the parser of the answer sees: the spellings of `｜DSML｜`, `<think>` and `</think>`
count as text whether the model writes them as one token or byte by byte, because the parser reads them equally. Every
other control token, and every user-defined one that looks like a marker, is outside of all text and never allowed.

    grammar --LLMatcher--> prototype --deep_copy--> one matcher a sequence
                  ^
    vocabulary --LLTokenizer (once: about 1.4 s and 60 MB at 150k entries)
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

from seekd.errors import EngineError, InvalidParameter

TEXT_MARKERS = frozenset({"｜DSML｜", "<think>", "</think>"})
"""Markers that the parser matches by their text, so a grammar spells them as text."""

VALUE_END = "</｜DSML｜"
"""Ends a value of a tool call for the parser, in whatever context it stands; see `GrammarMatcher`."""

NUM_KEPT_GRAMMARS = 64
"""Compiled grammars kept for reuse; each costs from some kilobytes to a few megabytes."""

_SPECIAL_PREFIX = b"\xff"  # llguidance keeps entries with this first byte out of all text


class TokenTable(Protocol):
    """What the matcher needs of a vocabulary; the engine's `Vocabulary` has it."""

    @property
    def size(self) -> int:
        """Number of entries."""

    @property
    def end_token_ids(self) -> frozenset[int]:
        """The end-of-generation tokens, at least one."""

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Spelling to id of every control and user-defined entry."""

    def tokenize(self, text: str) -> list[int]:
        """Encode plain text."""

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that the token stands for."""

    def kind(self, token_id: int) -> str:
        """`normal`, `control` or `user_defined`."""


class GrammarMatcher:
    """Limits the next token of one sequence; used by one thread.

    In a grammar of tool calls the text `</｜DSML｜` may come only where the grammar then forces the rest of a closing
    tag. The grammar itself keeps it out of raw text, but in the strings of JSON values every text is allowed, and there
    the parser would cut the value.
    """

    def __init__(self, matcher: LLMatcher, *, vocabulary: TokenTable, value_ends: ValueEnds | None = None) -> None:
        """Own `matcher`; `value_ends` is given where the grammar has tool calls."""
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._vocab_size = vocabulary.size
        self._bits = allocate_token_bitmask(1, vocabulary.size)
        self._value_ends = value_ends
        self._tail = b""

    def allowed(self) -> npt.NDArray[np.bool_]:
        """Which tokens may come next, shape `(vocab_size,)`; the caller owns the array.

        End-of-generation tokens are allowed only where the text may end.

        Raises:
            EngineError: the matcher failed, or no token at all can follow.
        """
        fill_next_token_bitmask(self._matcher, self._bits)
        self._check()
        mask = np.unpackbits(self._bits[0].view(np.uint8), count=self._vocab_size, bitorder="little").view(np.bool_)
        if self._value_ends is not None:
            self._keep_values_whole(mask, self._value_ends)
        if not mask.any():
            raise EngineError("The output constraint leaves no token that could follow.")
        return mask

    def forced_token_ids(self) -> list[int]:
        """The tokens that must come next, oldest first; empty where the grammar leaves a choice. None is accepted yet.

        They are the vocabulary's own encoding of the forced text, cut where what follows could change it.

        Raises:
            EngineError: the matcher failed.
        """
        if self._matcher.is_stopped():
            self._check()
            return []
        token_ids: list[int] = self._matcher.compute_ff_tokens()
        self._check()
        return token_ids

    def accept(self, token_id: int) -> None:
        """Advance by a token that `allowed` allows.

        Raises:
            EngineError: the grammar has no place for the token, or the matcher failed.
        """
        if not self._matcher.consume_token(token_id):
            self._check()
            raise EngineError("A token left the output constraint.")
        if self._value_ends is not None:
            self._tail = (self._tail + self._vocabulary.token_bytes(token_id))[-len(VALUE_END.encode()) :]

    def is_complete(self) -> bool:
        """Whether nothing but the end may follow. Raises `EngineError` when the matcher has failed."""
        stopped: bool = self._matcher.is_stopped()
        if stopped:
            self._check()
        return stopped

    def _keep_values_whole(self, mask: npt.NDArray[np.bool_], value_ends: ValueEnds) -> None:
        """Take out the tokens that would write the end of a value in the middle of a string."""
        token_ids = [token_id for token_id in value_ends.completed_by(self._tail) if mask[token_id]]
        if not token_ids or self._matcher.compute_ff_bytes():  # a forced text is the grammar's own
            return
        for token_id in token_ids:
            self._matcher.consume_token(token_id)
            if not self._matcher.compute_ff_bytes():
                mask[token_id] = False
            self._matcher.rollback(1)
            self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise EngineError(f"The output constraint failed: {_first_line(self._matcher.get_error())}")


class ValueEnds:
    """Which tokens of a vocabulary complete `</｜DSML｜`, by how much of it is already written."""

    def __init__(self, vocabulary: TokenTable) -> None:
        end = VALUE_END.encode()
        self._prefixes = [end[:length] for length in range(len(end))]
        self._token_ids: list[list[int]] = [[] for _ in self._prefixes]
        for token_id in range(vocabulary.size):
            entry = vocabulary.token_bytes(token_id)
            if end[-1] not in entry:
                continue
            for length in range(len(end)):
                if entry.startswith(end[length:]) or end in entry:
                    self._token_ids[length].append(token_id)

    def completed_by(self, tail: bytes) -> list[int]:
        """The tokens that complete the text behind `tail`; `<` occurs only at its start, so one length can match."""
        for length in range(len(self._prefixes) - 1, -1, -1):
            if tail.endswith(self._prefixes[length]):
                return self._token_ids[length]
        raise AssertionError("every text ends with the empty prefix")


class ConstraintCompiler:
    """Compiles grammars against one vocabulary at a time; an engine's `ConstraintFactory`.

    Safe to call from several threads. The vocabulary's tables are built at the first call, or by `prepare`.
    """

    def __init__(self, *, num_kept_grammars: int = NUM_KEPT_GRAMMARS, limits: LLParserLimits | None = None) -> None:
        self._num_kept_grammars = num_kept_grammars
        self._limits = limits if limits is not None else LLParserLimits(verbose_errors=False)
        self._lock = threading.Lock()
        self._vocabulary: TokenTable | None = None
        self._tokenizer: LLTokenizer | None = None
        self._value_ends: ValueEnds | None = None
        self._prototypes: OrderedDict[str, LLMatcher] = OrderedDict()  # least recently used first

    def prepare(self, vocabulary: TokenTable) -> None:
        """Build the vocabulary's tables now, so that the first constraint does not wait for them."""
        with self._lock:
            self._tokenizer_of(vocabulary)

    def __call__(self, grammar: str, vocabulary: TokenTable) -> GrammarMatcher:
        """Compile `grammar`, or copy it from the kept ones.

        Raises:
            InvalidParameter: the grammar cannot be enforced, or is beyond the limits.
        """
        with self._lock:
            tokenizer = self._tokenizer_of(vocabulary)
            prototype = self._prototypes.get(grammar)
            if prototype is not None:
                self._prototypes.move_to_end(grammar)
                return self._matcher(prototype, grammar, vocabulary)
        # Outside of the lock: other threads go on while one compiles; two may compile the same grammar once each.
        prototype = LLMatcher(tokenizer, grammar, log_level=0, limits=self._limits)
        if prototype.is_error():
            reason = _first_line(prototype.get_error())
            raise InvalidParameter(f"The requested output format cannot be enforced: {reason}")
        with self._lock:
            if self._vocabulary is vocabulary:
                self._keep(grammar, prototype)
            return self._matcher(prototype, grammar, vocabulary)

    def _matcher(self, prototype: LLMatcher, grammar: str, vocabulary: TokenTable) -> GrammarMatcher:
        """A fresh copy; under the lock."""
        value_ends = self._value_ends if VALUE_END in grammar else None
        return GrammarMatcher(prototype.deep_copy(), vocabulary=vocabulary, value_ends=value_ends)

    def _keep(self, grammar: str, prototype: LLMatcher) -> None:
        self._prototypes[grammar] = prototype
        self._prototypes.move_to_end(grammar)
        while len(self._prototypes) > self._num_kept_grammars:
            self._prototypes.popitem(last=False)

    def _tokenizer_of(self, vocabulary: TokenTable) -> LLTokenizer:
        if self._tokenizer is None or self._vocabulary is not vocabulary:
            self._prototypes.clear()
            self._tokenizer = build_tokenizer(vocabulary)
            self._value_ends = ValueEnds(vocabulary)
            self._vocabulary = vocabulary
        return self._tokenizer


def build_constraint(grammar: str, vocabulary: TokenTable) -> GrammarMatcher:
    """Compile one grammar against one vocabulary, keeping nothing; for scripts and tests.

    Raises:
        InvalidParameter: the grammar cannot be enforced, or is beyond the limits.
    """
    return ConstraintCompiler(num_kept_grammars=0)(grammar, vocabulary)


def build_tokenizer(vocabulary: TokenTable) -> LLTokenizer:
    """The token trie of a vocabulary; at 150k entries about a second and 80 MiB."""
    return LLTokenizer(TokenizerWrapper(_Entries(vocabulary)), eos_token=sorted(vocabulary.end_token_ids))


class _Entries:
    """A vocabulary in the shape that llguidance reads."""

    def __init__(self, vocabulary: TokenTable) -> None:
        specials = set(vocabulary.end_token_ids)
        for spelling, token_id in vocabulary.special_tokens.items():
            if _is_outside_text(spelling, vocabulary.kind(token_id)):
                specials.add(token_id)
        self._vocabulary = vocabulary
        self.eos_token_id = min(vocabulary.end_token_ids)
        self.bos_token_id = None
        self.special_token_ids = sorted(specials)
        self.tokens = [
            _SPECIAL_PREFIX + (vocabulary.token_bytes(token_id) or str(token_id).encode())
            if token_id in specials
            else vocabulary.token_bytes(token_id)
            for token_id in range(vocabulary.size)
        ]
        self._marker_ids = {
            spelling: token_id for spelling, token_id in vocabulary.special_tokens.items() if spelling in TEXT_MARKERS
        }
        self._markers = re.compile(f"({'|'.join(map(re.escape, self._marker_ids)) or '(?!)'})")
        self._ids_by_bytes: dict[bytes, int] = {}  # filled where the vocabulary's own encoding is no use
        self._longest_bytes = 0

    def __call__(self, text: str) -> list[int]:
        if not isinstance(text, str):  # llguidance asks once whether bytes would do; they would not
            raise TypeError("text must be str")
        # The mask of a forced text is the first token of this encoding, so an encoding of another text (SentencePiece
        # puts a space in front, a normalizer composes) would let a token through that leaves the grammar.
        token_ids = []
        for part in self._markers.split(text):
            if (marker_id := self._marker_ids.get(part)) is not None:
                token_ids.append(marker_id)
            elif part:
                token_ids += self._encode_plain(part)
        return token_ids

    def _encode_plain(self, text: str) -> list[int]:
        token_ids = self._vocabulary.tokenize(text)
        data = text.encode()
        if b"".join(map(self._vocabulary.token_bytes, token_ids)) == data:
            return token_ids
        return self._longest_matches(data)

    def _longest_matches(self, data: bytes) -> list[int]:
        """Encode by the longest entry at each place; stops at a byte that no entry begins with."""
        if not self._ids_by_bytes:
            self._ids_by_bytes = {entry: token_id for token_id, entry in enumerate(self.tokens) if entry}
            self._longest_bytes = max(map(len, self._ids_by_bytes))
        token_ids = []
        start = 0
        while start < len(data):
            for end in range(min(len(data), start + self._longest_bytes), start, -1):
                if (token_id := self._ids_by_bytes.get(data[start:end])) is not None:
                    break
            else:
                break
            token_ids.append(token_id)
            start = end
        return token_ids


def _is_outside_text(spelling: str, kind: str) -> bool:
    if spelling in TEXT_MARKERS:
        return False
    return kind == "control" or "｜" in spelling or (spelling.startswith("<") and spelling.endswith(">"))


def _first_line(message: str) -> str:
    return message.split("\n", 1)[0].strip().rstrip(".") or "unknown reason"
