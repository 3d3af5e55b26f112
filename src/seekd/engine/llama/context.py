"""A context: the memory of running sequences, and the computation of a batch."""

from __future__ import annotations

import ctypes
import enum
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from seekd.engine.llama.batch import Batch
from seekd.engine.llama.binding import C
from seekd.engine.llama.model import Model
from seekd.engine.settings import KvType
from seekd.errors import ConfigError, EngineError

_KV_TYPES = {KvType.F32: C.GGML_TYPE_F32, KvType.F16: C.GGML_TYPE_F16, KvType.Q8_0: C.GGML_TYPE_Q8_0}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSettings:
    """The size of a context.

    Attributes:
        num_cells: token positions that all slots together hold.
        num_slots: sequence ids, numbered from 0.
        batch_tokens: most tokens of one `decode`.
        threads: of the computation.
        kv_type: of keys and values.
    """

    num_cells: int
    num_slots: int
    batch_tokens: int
    threads: int
    kv_type: KvType = KvType.F16


_MAX_ROWS = 512
"""Views of rows of logits that are kept; a context has at most 256 rows."""


class DecodeStatus(enum.Enum):
    """How a `decode` ended, other than by an error."""

    DONE = "done"
    NO_ROOM = "no room"  # no free cells for the batch; the memory is as it was before


class Context:
    """Owns a `llama_context`. Enter it inside its model. Used by one thread.

    Positions of a slot are half-open ranges `[start, end)`; `end=None` means to its end.
    """

    def __init__(self, model: Model, settings: ContextSettings) -> None:
        self.settings = settings
        self._model = model
        self._vocab_size = model.vocab_size
        self._rows: dict[int, npt.NDArray[np.float32]] = {}
        self._pointer: C.llama_context_p | None = None
        self._memory: C.llama_memory_t | None = None

    def __enter__(self) -> Self:
        """Allocate the memory.

        Raises:
            ConfigError: it does not fit, or the model cannot run with these settings.
        """
        settings = self.settings
        params = C.llama_context_default_params()
        params.n_ctx = settings.num_cells
        params.n_batch = settings.batch_tokens
        params.n_ubatch = min(512, settings.batch_tokens)  # llama.cpp's own default for the physical batch
        params.n_seq_max = settings.num_slots
        # One row of logits a slot. Left at 0 llama.cpp sizes its buffers for logits behind every token of a batch,
        # 300 MB at 150,000 vocabulary entries.
        params.n_outputs_max = settings.num_slots
        params.n_threads = settings.threads
        params.n_threads_batch = settings.threads
        params.type_k = params.type_v = _KV_TYPES[settings.kv_type]
        params.kv_unified = True  # slots share cells, so a common prefix is stored and read once
        params.no_perf = True
        pointer = C.llama_init_from_model(self._model.borrowed_pointer, params)
        if pointer is None:
            raise ConfigError(
                f"llama.cpp cannot open a context of {settings.num_cells} tokens for {self._model.file.path};"
                " the log says why. A smaller context needs less memory."
            )
        self._pointer = pointer
        self._memory = C.llama_get_memory(pointer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pointer, self._pointer, self._memory = self._pointer, None, None
        if pointer is not None:
            C.llama_free(pointer)

    @property
    def num_cells(self) -> int:
        """Token positions that all slots together hold, as llama.cpp rounded them."""
        return int(C.llama_n_ctx(self._opened))

    @property
    def _opened(self) -> C.llama_context_p:
        assert self._pointer is not None, "the context is not open"
        return self._pointer

    @property
    def _opened_memory(self) -> C.llama_memory_t:
        assert self._memory is not None, "the context is not open, or its model keeps no memory"
        return self._memory

    def decode(self, batch: Batch) -> DecodeStatus:
        """Compute a batch and store what it adds to the slots' memory.

        Raises:
            EngineError: llama.cpp failed; the memory of the batch's slots is undefined.
        """
        status = C.llama_decode(self._opened, batch.borrowed_struct)
        if status == 0:
            return DecodeStatus.DONE
        if status == 1:
            return DecodeStatus.NO_ROOM
        raise EngineError(f"llama.cpp failed to compute a step (status {status}).")

    def borrowed_logits(self, index: int) -> npt.NDArray[np.float32]:
        """The logits behind the batch's token `index`, shape `(vocab_size,)`; overwritten by the next `decode`."""
        pointer = C.llama_get_logits_ith(self._opened, index)
        if not pointer:
            raise EngineError("llama.cpp computed no logits for a token that they were asked for.")
        # llama.cpp writes rows of logits to the same few places, and a view costs more than the search for its maximum.
        address = ctypes.addressof(pointer.contents)
        row = self._rows.get(address)
        if row is None:
            if len(self._rows) >= _MAX_ROWS:  # its buffer has moved now and then
                self._rows.clear()
            row = self._rows[address] = np.ctypeslib.as_array(pointer, shape=(self._vocab_size,))
        return row

    def clear(self) -> None:
        """Empty every slot."""
        C.llama_memory_clear(self._opened_memory, True)

    def remove(self, slot: int, start: int = 0, end: int | None = None) -> bool:
        """Drop positions of a slot.

        Returns:
            False when this kind of memory cannot drop a part; it is then unchanged. A whole slot can always go.
        """
        return bool(C.llama_memory_seq_rm(self._opened_memory, slot, start, -1 if end is None else end))

    def copy(self, source: int, target: int, start: int = 0, end: int | None = None) -> None:
        """Let `target` have the positions of `source` too; in unified memory no data moves."""
        C.llama_memory_seq_cp(self._opened_memory, source, target, start, -1 if end is None else end)

    def positions(self, slot: int) -> tuple[int, int] | None:
        """The smallest and largest position that the slot holds; None when it is empty."""
        smallest = int(C.llama_memory_seq_pos_min(self._opened_memory, slot))
        largest = int(C.llama_memory_seq_pos_max(self._opened_memory, slot))
        return None if smallest < 0 else (smallest, largest)

    def save(self, slot: int) -> bytearray:
        """Everything that the slot's memory holds, in llama.cpp's own format for this build and these settings.

        Returns:
            A new buffer, the caller's.
        """
        pointer = self._opened
        size = int(C.llama_state_seq_get_size(pointer, slot))
        buffer = bytearray(size)
        target = (ctypes.c_uint8 * size).from_buffer(buffer)
        written = int(C.llama_state_seq_get_data(pointer, target, size, slot))
        del target
        if written != size:
            raise EngineError(f"llama.cpp saved {written} of {size} bytes of a slot.")
        return buffer

    def restore(self, slot: int, data: bytes | bytearray | memoryview) -> bool:
        """Replace the slot's memory by what `save` returned.

        Returns:
            False when there is no room for it or the data is not of this model; the slot is then empty.
        """
        view = np.frombuffer(data, dtype=np.uint8)  # keeps `data` alive, and is never written to
        source = ctypes.cast(view.ctypes.data, ctypes.POINTER(ctypes.c_uint8))
        if int(C.llama_state_seq_set_data(self._opened, source, len(view), slot)) == len(view):
            return True
        self.remove(slot)
        return False
