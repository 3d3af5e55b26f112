"""The memory of running sequences: filled, cut out and emptied slot by slot.

A block `[start, end)` is cut out by letting a scratch slot share it and saving that slot, and put back by restoring the
scratch slot and sharing it with the target. In unified memory sharing moves no data.
"""

from __future__ import annotations

from seekd.engine.cache.tier_index import Payload
from seekd.engine.llama.context import Context


class LlamaMemory:
    """Slots of one context, whose last slot is the scratch slot. Used by one thread. Implements `core.SlotMemory`."""

    def __init__(self, context: Context, *, is_cuttable: bool) -> None:
        self._context = context
        self._scratch = context.settings.num_slots - 1
        self._is_cuttable = is_cuttable

    @property
    def is_cuttable(self) -> bool:
        """As `find_cuttable` has found out."""
        return self._is_cuttable

    def share(self, source: int, target: int, num_tokens: int) -> None:
        """Let the empty slot `target` have the first tokens of `source` too."""
        self._context.copy(source, target, 0, num_tokens)

    def save(self, slot: int, start: int, end: int) -> bytearray:
        """The positions `[start, end)` of a slot, or the whole slot where parts cannot be cut."""
        if not self._is_cuttable:
            return self._context.save(slot)
        self._context.copy(slot, self._scratch, start, end)
        try:
            return self._context.save(self._scratch)
        finally:
            self._context.remove(self._scratch)

    def restore(self, slot: int, start: int, end: int, payload: Payload) -> bool:
        """Append what `save` returned for `[start, end)`, or for more, to a slot that ends at `start`."""
        if not self._is_cuttable:
            return self._context.restore(slot, payload)
        if not self._context.restore(self._scratch, payload):
            return False
        try:
            held = self._context.positions(self._scratch)
            if held is None or held[1] < end - 1 or held[0] < start:
                return False
            self._context.copy(self._scratch, slot, start, end)
            return True
        finally:
            self._context.remove(self._scratch)

    def clear(self, slot: int) -> None:
        """Empty a slot."""
        self._context.remove(slot)
