"""Token bytes to text, one token after the other.

A character may span tokens, so the bytes at the end that could still become one are held back. Bytes that can never
become a character are replaced by U+FFFD, as `bytes.decode("utf-8", "replace")` of the whole would do: for every split
of a byte string, the texts joined are equal to that.
"""

from __future__ import annotations

import codecs

_new_decoder = codecs.getincrementaldecoder("utf-8")


class Detokenizer:
    """The text side of one generated token stream."""

    def __init__(self) -> None:
        self._decoder = _new_decoder("replace")

    def push(self, token_bytes: bytes) -> str:
        """Give the bytes of the next token; returns the characters that are complete now, maybe none."""
        return self._decoder.decode(token_bytes)

    def flush(self) -> str:
        """Say that no token follows; returns what was held back, as U+FFFD."""
        return self._decoder.decode(b"", final=True)
