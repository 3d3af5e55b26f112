"""The GPUs that this build of llama.cpp can compute on.

Source: ggml-backend.h (`ggml_backend_dev_*`).
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from seekd.engine.llama.binding import C

_GPU_TYPES = (1, 2)  # enum ggml_backend_dev_type: a GPU with memory of its own, and one that shares the machine's


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One device.

    Attributes:
        name: of the card.
        free_bytes: of its memory, now.
        total_bytes: of its memory.
    """

    name: str
    free_bytes: int
    total_bytes: int


def list_gpus() -> list[Gpu]:
    """Every GPU; empty where llama.cpp was built for the processor only. Call it inside a `Library`."""
    if not C.llama_supports_gpu_offload():
        return []
    library = C._lib  # noqa: SLF001 - its dependencies' functions are found through it, and have no wrappers
    count, get = library.ggml_backend_dev_count, library.ggml_backend_dev_get
    kind, describe, memory = (
        library.ggml_backend_dev_type,
        library.ggml_backend_dev_description,
        library.ggml_backend_dev_memory,
    )
    count.restype, get.restype, kind.restype = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int
    describe.restype, memory.restype = ctypes.c_char_p, None
    get.argtypes = (ctypes.c_size_t,)
    size = ctypes.POINTER(ctypes.c_size_t)
    kind.argtypes = describe.argtypes = (ctypes.c_void_p,)
    memory.argtypes = (ctypes.c_void_p, size, size)
    gpus = []
    for index in range(count()):
        device = get(index)
        if kind(device) in _GPU_TYPES:
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            memory(device, ctypes.byref(free), ctypes.byref(total))
            name = (describe(device) or b"GPU").decode(errors="replace")
            gpus.append(Gpu(name=name, free_bytes=free.value, total_bytes=total.value))
    return gpus
