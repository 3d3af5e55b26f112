"""The memory of running sequences: block tables over keys and values that OpenVINO's paged attention reads and writes.

    slot 0   [ 3 ][ 7 ][ 1 ]           positions   0 - 31   32 - 63   64 - 95
    slot 1   [ 3 ][ 7 ][ 4 ]           shares the first 64 with slot 0

A full block is never written again, so sharing it is counting its holders. A block that is filled in part belongs to
one slot: who shares tokens of it gets a copy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seekd.engine.cache.tier_index import Payload

KV_BLOCK_TOKENS = 32
"""Token positions of a block of OpenVINO's paged attention on CPUs; its kernels know no other size."""

Pages = npt.NDArray[np.float16 | np.float32]


class PagedMemory:
    """Slots with block tables. Used by one thread. Implements `core.SlotMemory`.

    Args:
        pages: keys and values, shape `(layers, 2, blocks, kv heads, KV_BLOCK_TOKENS, head size)`; written by the model.
        num_slots: numbered from 0.
    """

    def __init__(self, pages: Pages, *, num_slots: int) -> None:
        self._pages = pages
        self._tables: list[list[int]] = [[] for _ in range(num_slots)]
        self._num_holders = [0] * pages.shape[2]
        self._free = list(reversed(range(pages.shape[2])))

    @property
    def is_cuttable(self) -> bool:
        """Always: a position's keys and values depend on nothing that is stored elsewhere."""
        return True

    @property
    def num_free_blocks(self) -> int:
        """Blocks that no slot holds."""
        return len(self._free)

    def table(self, slot: int) -> list[int]:
        """The blocks of a slot, first positions first; not to be changed."""
        return self._tables[slot]

    def num_missing_blocks(self, slot: int, num_tokens: int) -> int:
        """Blocks that a slot lacks to hold its first `num_tokens`."""
        return max(0, -(-num_tokens // KV_BLOCK_TOKENS) - len(self._tables[slot]))

    def reserve(self, slot: int, num_tokens: int) -> bool:
        """Give a slot what it lacks to hold its first `num_tokens`; False, and unchanged, when there is not enough."""
        count = self.num_missing_blocks(slot, num_tokens)
        if count > len(self._free):
            return False
        self._tables[slot] += [self._take() for _ in range(count)]
        return True

    def share(self, source: int, target: int, num_tokens: int) -> None:
        """Let the empty slot `target` have the first tokens of `source` too."""
        num_whole, rest = divmod(num_tokens, KV_BLOCK_TOKENS)
        shared = self._tables[source][:num_whole]
        for block in shared:
            self._num_holders[block] += 1
        self._tables[target] = list(shared)
        if rest:
            copy = self._take()
            self._pages[:, :, copy] = self._pages[:, :, self._tables[source][num_whole]]
            self._tables[target].append(copy)

    def save(self, slot: int, start: int, end: int) -> bytes:
        """The positions `[start, end)` of a slot, in whole blocks; `start` begins a block."""
        assert start % KV_BLOCK_TOKENS == 0
        blocks = self._tables[slot][start // KV_BLOCK_TOKENS : -(-end // KV_BLOCK_TOKENS)]
        held = self._pages[:, :, blocks]
        if end % KV_BLOCK_TOKENS:  # what another sequence left there belongs to nobody's cache
            held[:, :, -1, :, end % KV_BLOCK_TOKENS :] = 0
        return held.tobytes()

    def restore(self, slot: int, start: int, end: int, payload: Payload) -> bool:
        """Append what `save` returned for `[start, end)`, or for more, to a slot that ends at `start`."""
        layers, two, _, *page = self._pages.shape
        num_blocks = -(-end // KV_BLOCK_TOKENS) - start // KV_BLOCK_TOKENS
        held = np.frombuffer(payload, dtype=np.uint8)
        num_held, rest = divmod(len(held), layers * two * int(np.prod(page)) * self._pages.itemsize)
        if rest or num_held < num_blocks or not self.reserve(slot, end):
            return False
        saved = held.view(self._pages.dtype).reshape(layers, two, num_held, *page)
        blocks = self._tables[slot][start // KV_BLOCK_TOKENS :]
        self._pages[:, :, blocks] = saved[:, :, :num_blocks]
        return True

    def clear(self, slot: int) -> None:
        """Empty a slot."""
        for block in self._tables[slot]:
            self._num_holders[block] -= 1
            if not self._num_holders[block]:
                self._free.append(block)
        self._tables[slot] = []

    def check_integrity(self) -> None:
        """Assert that every block is free or held as often as it is counted."""
        holders = [0] * len(self._num_holders)
        for table in self._tables:
            for block in table:
                holders[block] += 1
        assert holders == self._num_holders
        assert sorted(self._free) == [block for block, count in enumerate(holders) if not count]

    def _take(self) -> int:
        block = self._free.pop()
        self._num_holders[block] = 1
        return block
