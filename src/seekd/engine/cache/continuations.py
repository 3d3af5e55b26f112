"""What is known to follow a prefix of whole blocks, and how much of it other tokens have in common with it.

Pure.

Whole blocks are found by their keys. Where the next block of a prompt is unknown, its first tokens may still be those
of a known block or of a tail (the open end of a prompt or an answer, up to 63 tokens). The entries that follow one
prefix are kept sorted by their tokens, so whoever has most in common with given tokens is a neighbour of the place
where those would stand:

    prefix k1 -> [ 5 7 7 9 ... ]  [ 5 8 1 ]  [ 5 8 2 4 ... ]        asked for 5 8 2 6: three tokens of the last

A tail that was found on disk at the start has a name, but no tokens: it is found where all of it is asked for.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence

import numpy as np

from seekd.engine.cache.block_hash import snapshot_parts

_TOKEN_BYTES = 4
_FEW = 1024
"""Entries that were dropped by the store and may stay here before a pass over all."""


class Continuations:
    """Entries of a store by what they follow.

    Args:
        is_held: whether the store still has an entry; those that it has dropped are forgotten when they are met.

    Attributes:
        num_entries: known with their tokens.
    """

    def __init__(self, is_held: Callable[[bytes], bool]) -> None:
        self._is_held = is_held
        self._entries: dict[bytes, list[tuple[bytes, bytes]]] = {}
        self._named: dict[bytes, dict[int, bytes]] = {}
        self.num_entries = 0
        self._num_held = 0

    def add(self, before: bytes, token_ids: Sequence[int], key: bytes) -> None:
        """Know an entry of 1 to 64 tokens.

        Args:
            before: the key of the prefix that it follows.
            token_ids: its tokens.
            key: its name in the store.
        """
        entries = self._entries.setdefault(before, [])
        entry = (_as_bytes(token_ids), key)
        place = bisect.bisect_left(entries, entry)
        if place < len(entries) and entries[place] == entry:
            return
        entries.insert(place, entry)
        self.num_entries += 1
        if self.num_entries > 2 * self._num_held + _FEW:
            self._forget_dropped()

    def add_named(self, key: bytes) -> None:
        """Know a tail by its name alone."""
        before, num_tokens = snapshot_parts(key)
        self._named.setdefault(before, {})[num_tokens] = key

    def longest(
        self, before: bytes, token_ids: Sequence[int], *, start: int, name: Callable[[int], bytes]
    ) -> tuple[bytes, int]:
        """The entry that has most of some tokens.

        Args:
            before: the key of the prefix that they follow.
            token_ids: at most one block of them.
            start: the position of the first of them.
            name: gives the name of the tail that ends at a position.

        Returns:
            The entry's key, and how many of the tokens it begins with; 0 when there is none.
        """
        wanted = _as_bytes(token_ids)
        key, length = self._nearest(before, wanted)
        for end, named in sorted(self._named.get(before, {}).items(), reverse=True):
            if end - start <= length:
                break
            if end - start <= len(token_ids) and name(end) == named and self._is_held(named):
                return named, end - start
        return key, length

    def _nearest(self, before: bytes, wanted: bytes) -> tuple[bytes, int]:
        found, length = b"", 0
        entries = self._entries.get(before)
        while entries:
            place = bisect.bisect_left(entries, (wanted, b""))
            around = range(max(0, place - 1), min(place + 1, len(entries)))
            best = max(around, key=lambda index: _num_common(entries[index][0], wanted))
            if self._is_held(entries[best][1]):
                found, length = entries[best][1], _num_common(entries[best][0], wanted)
                break
            del entries[best]
            self.num_entries -= 1
        else:
            self._entries.pop(before, None)
        return found, length

    def clear(self) -> None:
        """Know nothing."""
        self._entries.clear()
        self._named.clear()
        self.num_entries = self._num_held = 0

    def _forget_dropped(self) -> None:
        held = {
            before: kept
            for before, entries in self._entries.items()
            if (kept := [entry for entry in entries if self._is_held(entry[1])])
        }
        self._entries = held
        self.num_entries = self._num_held = sum(map(len, held.values()))

    def check_integrity(self) -> None:
        """Assert the invariants."""
        assert all(entries == sorted(set(entries)) for entries in self._entries.values())
        assert all(self._entries.values())
        assert self.num_entries == sum(map(len, self._entries.values()))


def _as_bytes(token_ids: Sequence[int]) -> bytes:
    # Big-endian, so that bytes sort like the tokens that they are.
    return np.asarray(token_ids, dtype=">u4").tobytes()


def _num_common(one: bytes, other: bytes) -> int:
    end = min(len(one), len(other))
    if one[:end] == other[:end]:
        return end // _TOKEN_BYTES
    return next(index for index in range(end) if one[index] != other[index]) // _TOKEN_BYTES
