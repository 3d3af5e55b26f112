"""How many cells of the context's memory are taken, when sequences share prefixes.

Pure.

llama.cpp keeps one cell for each position of each sequence, and one for several sequences where `seq_cp` has shared
it. Whole blocks are counted by reference. The open end of a slot is counted as its own, also where it was shared: at
most 63 cells too many, until the sequence that it came from ends:

    slot 0   [ a ][ b ][ c ][ 17 tokens )
    slot 1   [ a ][ b ][ d ]                      used = 4 blocks * 64 + 17
"""

from __future__ import annotations

from seekd.engine.cache.block_hash import BLOCK_SIZE


class KvCells:
    """Counts the cells of one unified memory.

    Args:
        num_cells: cells that exist.
    """

    def __init__(self, num_cells: int) -> None:
        self.num_cells = num_cells
        self._blocks: dict[int, list[int]] = {}
        self._open_tokens: dict[int, int] = {}
        self._num_holders: dict[int, int] = {}
        self._next_block = 0
        self._num_open = 0

    @property
    def num_used(self) -> int:
        """Cells taken."""
        return len(self._num_holders) * BLOCK_SIZE + self._num_open

    def num_tokens(self, slot: int) -> int:
        """Positions that a slot holds."""
        return len(self._blocks.get(slot, ())) * BLOCK_SIZE + self._open_tokens.get(slot, 0)

    def share(self, slot: int, source: int, num_tokens: int) -> None:
        """Give an empty slot the first `num_tokens` of another."""
        assert not self.num_tokens(slot)
        assert self.num_tokens(source) >= num_tokens
        num_blocks, rest = divmod(num_tokens, BLOCK_SIZE)
        blocks = self._blocks[source][:num_blocks]
        for block in blocks:
            self._num_holders[block] += 1
        self._blocks[slot] = blocks
        self._open_tokens[slot] = rest
        self._num_open += rest

    def grow(self, slot: int, num_tokens: int) -> None:
        """Add positions at the end of a slot."""
        blocks = self._blocks.setdefault(slot, [])
        before = self._open_tokens.get(slot, 0)
        num_blocks, rest = divmod(before + num_tokens, BLOCK_SIZE)
        for _ in range(num_blocks):
            blocks.append(self._next_block)
            self._num_holders[self._next_block] = 1
            self._next_block += 1
        self._open_tokens[slot] = rest
        self._num_open += rest - before

    def release(self, slot: int) -> None:
        """Empty a slot; what it shared stays with the others."""
        for block in self._blocks.pop(slot, ()):
            if self._num_holders[block] > 1:
                self._num_holders[block] -= 1
            else:
                del self._num_holders[block]
        self._num_open -= self._open_tokens.pop(slot, 0)

    def check_integrity(self) -> None:
        """Assert that the counts agree with what the slots hold."""
        holders: dict[int, int] = {}
        for blocks in self._blocks.values():
            for block in blocks:
                holders[block] = holders.get(block, 0) + 1
        assert holders == self._num_holders
        assert self._num_open == sum(self._open_tokens.values())
        assert all(0 <= tokens < BLOCK_SIZE for tokens in self._open_tokens.values())
        assert 0 <= self.num_used <= self.num_cells
