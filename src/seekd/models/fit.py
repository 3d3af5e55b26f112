"""Whether a machine has the memory for a model.

Pure.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

_COMFORTABLE = 0.8
"""Part of the memory that a model may take: the rest is for the system, the prefix cache and other programs."""


class Fit(enum.StrEnum):
    """How a model and a machine go together."""

    GPU = "yes, on the GPU"
    YES = "yes"
    SPLIT = "yes, partly on the GPU"
    TIGHT = "only just"
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What there is to run on.

    Attributes:
        memory_bytes: that processes may use.
        gpu_bytes: free memory of all GPUs that this build of llama.cpp can use.
    """

    memory_bytes: int
    gpu_bytes: int = 0


def fit(need_bytes: int, machine: Machine) -> Fit:
    """How a model that needs so much memory runs here."""
    comfortable = int(machine.memory_bytes * _COMFORTABLE)
    if need_bytes <= machine.gpu_bytes:
        return Fit.GPU
    if machine.gpu_bytes and need_bytes <= machine.gpu_bytes + comfortable:
        return Fit.SPLIT
    if need_bytes <= comfortable:
        return Fit.YES
    return Fit.TIGHT if need_bytes <= machine.memory_bytes + machine.gpu_bytes else Fit.NO
