"""Masks inside of strings with a small `maxLength`, mostly by table.

Runs in the engine process.

Where a string has fewer characters left than the longest token, the mask of the grammar walks every token up to the
place where it becomes too long: 1 to 5 ms at 150,000 entries. But where nothing besides its length limits a string,
most of that is known beforehand. A plain token, one of whole characters that are never special in a string, may come
exactly when it has no more characters than are left.

    mask  =  plain tokens of at most `left` characters   by table
          |  what the grammar says of the rest           by a second matcher, which knows only the rest: some thousand

`left` is found by offering the second matcher a character that occurs nowhere in the grammar, again and again. That
holds only for grammars that begin with `PLAIN_STRINGS`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from llguidance.numpy import allocate_token_bitmask

from seekd.constrain.integers import without_own_bounds
from seekd.constrain.plain_strings import PLAIN_STRINGS

MAX_LEFT = 32
"""From so many characters on the grammar's own mask is fast: by then few tokens are too long."""

_PROBE = "\u0378"  # a code point that Unicode has not assigned: no schema means it
# Quotes and escapes end or change what a string is, `<` and `｜` begin the end of a raw text.
_SPECIAL = re.compile('[\\x00-\\x1f\\x7f"\\\\<｜]')

_LONG_NUMBER = re.compile(rb"[0-9]{18}")

Bits = npt.NDArray[np.int32]


class ShortStringTables:
    """What is known of a vocabulary beforehand. Shared by all sequences.

    Args:
        tokens: the entries, as the main matcher's tokenizer knows them.
        outside_ids: entries that are in no text.
        end_token_ids: the end-of-generation tokens, at least one.
    """

    def __init__(self, tokens: Sequence[bytes], *, outside_ids: Sequence[int], end_token_ids: Sequence[int]) -> None:
        lengths = np.array([_plain_length(token) for token in tokens], dtype=np.int32)
        lengths[list(outside_ids)] = 0
        size = len(tokens)
        padded = np.zeros(-(-size // 32) * 32, dtype=np.int32)
        padded[:size] = lengths
        self.masks: list[Bits] = [
            np.packbits((padded > 0) & (padded <= left), bitorder="little").view(np.int32) for left in range(MAX_LEFT)
        ]
        rest = [b"" if length else token for token, length in zip(tokens, lengths.tolist(), strict=True)]
        self._first_byte_id = size
        self._has_long_numbers = any(_LONG_NUMBER.search(token) for token in rest)
        entries = _Rest(
            tokens=[*rest, *(bytes([byte]) for byte in range(256)), _PROBE.encode()],
            outside_ids=outside_ids,
            end_token_id=min(end_token_ids),
            first_byte_id=size,
        )
        self.probe = [size + 256] * MAX_LEFT
        self._tokenizer = LLTokenizer(TokenizerWrapper(entries), eos_token=list(end_token_ids), slices=[])
        self.size = len(entries.tokens)

    def compile(self, grammar: str, limits: LLParserLimits) -> LLMatcher | None:
        """The second matcher of a grammar; None where its strings are not known to be plain."""
        if not grammar.startswith(PLAIN_STRINGS) or _PROBE in grammar:
            return None
        if not self._has_long_numbers:  # no token leaves a string and goes beyond the bounds
            grammar = without_own_bounds(grammar)
        return LLMatcher(self._tokenizer, grammar, log_level=0, limits=limits)

    def spell(self, data: bytes) -> list[int]:
        """Bytes in the second matcher's own tokens."""
        return [self._first_byte_id + byte for byte in data]


class ShortStrings:
    """Follows one sequence, and knows the mask while it is in a short string. Used by one thread."""

    def __init__(self, matcher: LLMatcher, tables: ShortStringTables) -> None:
        """Own `matcher`, a fresh one of `tables`."""
        self._matcher: LLMatcher | None = matcher
        self._tables = tables
        self._bits = allocate_token_bitmask(1, tables.size)
        self._pending = b""

    def accept(self, data: bytes) -> None:
        """Follow the bytes of an accepted token."""
        self._pending += data

    def mask(self) -> Bits | None:
        """The mask, as bits; None where the main matcher has to be asked. Bits beyond the vocabulary mean nothing."""
        matcher, tables = self._matcher, self._tables
        if matcher is None:
            return None
        pending, self._pending = self._pending, b""
        if not matcher.consume_tokens(tables.spell(pending)):
            self._matcher = None  # beyond a limit: the main matcher says what that means
            return None
        left = matcher.validate_tokens(tables.probe)
        if not 0 < left < MAX_LEFT:
            return None
        matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        if matcher.is_error():
            self._matcher = None
            return None
        plain = tables.masks[left]
        return plain | self._bits[0, : len(plain)]


def _plain_length(token: bytes) -> int:
    """Characters of a plain token; 0 for any other."""
    try:
        text = token.decode()
    except UnicodeDecodeError:
        return 0
    return 0 if _SPECIAL.search(text) else len(text)


class _Rest:
    """The entries that are not plain, and the bytes, in the shape that llguidance reads."""

    def __init__(
        self, *, tokens: list[bytes], outside_ids: Sequence[int], end_token_id: int, first_byte_id: int
    ) -> None:
        self.tokens = tokens
        self.special_token_ids = list(outside_ids)
        self.eos_token_id = end_token_id
        self.bos_token_id = None
        self._first_byte_id = first_byte_id

    def __call__(self, text: str) -> list[int]:
        if not isinstance(text, str):  # llguidance asks once whether bytes would do; they would not
            raise TypeError("text must be str")
        return [self._first_byte_id + byte for byte in text.encode()]
