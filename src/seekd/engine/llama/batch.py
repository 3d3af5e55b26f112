"""The tokens of one step, in the arrays that `llama_decode` reads."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seekd.engine.llama.binding import C


class Batch:
    """Room for `capacity` tokens, reused from step to step. The arrays are numpy's, so nothing has to be freed."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.num_tokens = 0
        self._token_ids = np.zeros(capacity, dtype=np.int32)
        self._positions = np.zeros(capacity, dtype=np.int32)
        self._slots = np.zeros(capacity, dtype=np.int32)
        self._wants_logits = np.zeros(capacity, dtype=np.int8)
        self._num_slots = np.ones(capacity, dtype=np.int32)  # each token belongs to one slot
        # `seq_id` is an array of pointers, one a token, each to that token's own element of `_slots`.
        base, width = self._slots.ctypes.data, self._slots.itemsize
        self._slot_pointers: npt.NDArray[np.uintp] = (base + np.arange(capacity) * width).astype(np.uintp)
        self._struct = C.llama_batch(
            n_tokens=0,
            token=_pointer(self._token_ids, C.llama_token),
            embd=None,
            pos=_pointer(self._positions, C.llama_pos),
            n_seq_id=_pointer(self._num_slots, ctypes.c_int32),
            seq_id=ctypes.cast(self._slot_pointers.ctypes.data, ctypes.POINTER(ctypes.POINTER(C.llama_seq_id))),
            logits=_pointer(self._wants_logits, ctypes.c_int8),
        )

    @property
    def borrowed_struct(self) -> C.llama_batch:
        """The C structure over this object's arrays; valid while the object lives and until the next `add`."""
        self._struct.n_tokens = self.num_tokens
        return self._struct

    def clear(self) -> None:
        """Forget all tokens."""
        self.num_tokens = 0

    def add(self, token_ids: Sequence[int], *, start: int, slot: int, wants_logits: bool) -> int:
        """Append a run of tokens of one slot.

        Args:
            token_ids: at least one.
            start: position of the first of them in the slot.
            slot: whose they are.
            wants_logits: whether the logits that follow the last token are wanted.

        Returns:
            The index of the last token in the batch, by which its logits are asked for.
        """
        begin, end = self.num_tokens, self.num_tokens + len(token_ids)
        assert begin < end <= self.capacity, "the planner keeps to the batch's capacity"
        if end - begin == 1:  # most of a server's tokens; a range costs four times as much
            self._token_ids[begin], self._positions[begin] = token_ids[0], start
            self._slots[begin], self._wants_logits[begin] = slot, wants_logits
            self.num_tokens = end
            return begin
        self._token_ids[begin:end] = token_ids
        self._positions[begin:end] = np.arange(start, start + end - begin, dtype=np.int32)
        self._slots[begin:end] = slot
        self._wants_logits[begin:end] = 0
        self._wants_logits[end - 1] = wants_logits
        self.num_tokens = end
        return end - 1


def _pointer(array: npt.NDArray[np.int32] | npt.NDArray[np.int8], element: type[ctypes._SimpleCData[int]]) -> object:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(element))
