"""Sequences kept apart: a context for each slot, so that what one computes depends on its own tokens only.

llama.cpp's kernels round differently by the shape of a batch, and attention by the places of a sequence's cells in the
memory. Here each chunk is a batch of its own, in a context whose cells are in the order of positions, however the
tokens got there. What slots share is copied.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seekd.engine.cache.block_hash import BLOCK_SIZE
from seekd.engine.cache.tier_index import Payload
from seekd.engine.llama.batch import Batch
from seekd.engine.llama.context import Context, DecodeStatus
from seekd.engine.llama.memory import LlamaMemory
from seekd.engine.schedule.plan import Chunk
from seekd.errors import EngineError

NUM_SLOTS = 2
"""Of each context: the sequence's, and the scratch slot of `LlamaMemory`."""

_SLOT = 0


class ApartMemory:
    """The slots' memory, one context each. Used by one thread. Implements `core.SlotMemory`.

    Args:
        contexts: the slots', empty.
        is_cuttable: as `find_cuttable` has found out for one of them.
    """

    def __init__(self, contexts: Sequence[Context], *, is_cuttable: bool) -> None:
        self._memories = [LlamaMemory(context, is_cuttable=is_cuttable) for context in contexts]
        self._is_cuttable = is_cuttable

    @property
    def is_cuttable(self) -> bool:
        """As given."""
        return self._is_cuttable

    def share(self, source: int, target: int, num_tokens: int) -> None:
        """Copy the first tokens, whole blocks, of `source` to the empty slot `target`."""
        for start in range(0, num_tokens, BLOCK_SIZE):
            end = start + BLOCK_SIZE
            if not self.restore(target, start, end, self.save(source, start, end)):
                raise EngineError("A block of a running sequence could not be copied.")

    def save(self, slot: int, start: int, end: int) -> bytearray:
        """See `LlamaMemory.save`."""
        return self._memories[slot].save(_SLOT, start, end)

    def restore(self, slot: int, start: int, end: int, payload: Payload) -> bool:
        """See `LlamaMemory.restore`."""
        return self._memories[slot].restore(_SLOT, start, end, payload)

    def clear(self, slot: int) -> None:
        """Empty a slot."""
        self._memories[slot].clear(_SLOT)


class ApartModel:
    """Computes the scheduler's chunks one after the other. Implements `core.Model`.

    Args:
        contexts: the slots'.
    """

    def __init__(self, contexts: Sequence[Context]) -> None:
        self._contexts = contexts
        self._batch = Batch(contexts[0].settings.batch_tokens)
        self._logits: list[npt.NDArray[np.float32] | None] = []

    def run(self, chunks: Sequence[Chunk]) -> bool:
        """Compute the chunks, each as a batch of its own; every slot has room for a whole context."""
        self._logits = [self._compute(chunk) for chunk in chunks]
        return True

    def _compute(self, chunk: Chunk) -> npt.NDArray[np.float32] | None:
        slot = chunk.sequence.slot
        assert slot is not None, "only sequences with a slot are planned"
        context = self._contexts[slot]
        self._batch.clear()
        token_ids = chunk.sequence.token_ids[chunk.start : chunk.end]
        index = self._batch.add(token_ids, start=chunk.start, slot=_SLOT, wants_logits=chunk.wants_logits)
        if context.decode(self._batch) is not DecodeStatus.DONE:
            raise EngineError("A sequence's own memory has no room for its tokens.")
        return context.borrowed_logits(index) if chunk.wants_logits else None

    def borrowed_logits(self, index: int) -> npt.NDArray[np.float32]:
        """The logits behind chunk `index`, in its own context's memory, valid until the next batch."""
        logits = self._logits[index]
        assert logits is not None, "asked for with the chunk"
        return logits
