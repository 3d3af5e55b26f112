"""A model made ready to compute, whatever kernels compute it: what an engine process serves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from seekd.engine.core import Model, SlotMemory
from seekd.engine.types import ModelInfo
from seekd.vocabulary import Vocabulary

_NUM_SAMPLES, _SAMPLE_BYTES = 64, 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A loaded model; valid until whoever opened it closes it.

    Attributes:
        num_cells: token positions of the memory.
        binding: names what saved blocks belong to: the fingerprint, and when the file was written, since a change
            between the fingerprint's samples must not go unseen.
    """

    info: ModelInfo
    vocabulary: Vocabulary
    memory: SlotMemory
    model: Model
    num_cells: int
    binding: str


def fingerprint(files: Iterable[Path], build: str) -> str:
    """Names what could change a computed number.

    Of a large file only its beginning and evenly spread samples are read: another training changes every tensor.

    Args:
        files: the model's.
        build: the kernels' build, the processor's features in use, and the type of keys and values.
    """
    digest = hashlib.blake2b(digest_size=16, person=b"seekd-model")
    digest.update(build.encode())
    for path in files:
        size_bytes = path.stat().st_size
        digest.update(f" {size_bytes}".encode())
        step = max(_SAMPLE_BYTES, (size_bytes - _SAMPLE_BYTES) // _NUM_SAMPLES)
        with path.open("rb") as data:
            for offset in range(0, size_bytes, step):
                data.seek(offset)
                digest.update(data.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def binding_of(info: ModelInfo, files: Iterable[Path]) -> str:
    """What saved blocks of a model belong to; see `Runtime`."""
    return " ".join([info.name, info.fingerprint, *(str(path.stat().st_mtime_ns) for path in files)])
