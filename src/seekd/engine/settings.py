"""What a user may choose about an engine, and what is chosen where the user chose nothing.

Imports neither numpy nor llama.cpp: the API process reads it too.
"""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass
from pathlib import Path

from seekd.config import ByteSize

_SINGLE_THREAD_BYTES = 64 << 20


class EngineKind(enum.StrEnum):
    """What computes a model."""

    LLAMA = "llama"


class Kernels(enum.StrEnum):
    """What multiplies the matrices of a GGUF file's model."""

    AUTO = "auto"
    LLAMA = "llama"
    OPENVINO = "openvino"


class KvType(enum.StrEnum):
    """The element type of keys and values; smaller ones hold more tokens and change the outputs slightly."""

    F32 = "f32"
    F16 = "f16"
    Q8_0 = "q8_0"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How an engine uses its machine. A section of the configuration; every field has a default.

    Attributes:
        engine: what computes the model: `llama`, for GGUF files.
        kernels: what multiplies its matrices: `llama` for llama.cpp, which computes every model; `openvino` for
            OpenVINO, which computes models of the architectures llama, qwen2 and qwen3 on the processor (prompts and
            many streams faster, a single stream slower), and needs `pip install "seekd[openvino]"`; `auto` takes
            llama.cpp.
        context_length: tokens that one sequence may have, prompt and completion; None takes what the model was
            trained for, if the memory allows it.
        max_sequences: sequences that run at once. 16: small batches are compute-bound on a CPU, so more of them slow
            each other without raising the total.
        threads: of the computation; None takes one for each physical core that this process may use, and a single
            one for a model of at most 64 MiB.
        batch_tokens: most tokens of one step. A longer step computes prompts no faster and delays running streams.
        chunk_tokens: prompt tokens of one step while other sequences are generating, which bounds the gap in their
            streams. They are fewer late in a long prompt, where each costs more, and more at its beginning, so that
            every step takes about as long. 128: smaller chunks cost prompt speed.
        gpu_layers: layers of the model that go to the GPU, the output layer being one more; 0 for none, and None for
            as many as fit into its free memory. Needs a llama.cpp that was built for the GPU.
        kv_type: element type of keys and values.
        kv_memory: most bytes for keys and values of running sequences; None takes what four whole contexts need, and
            at most an eighth of the machine's memory.
        cache_ram: bytes of the prefix cache in memory, 0 for none; None takes an eighth of the machine's memory.
        cache_disk: bytes of the prefix cache on disk, 0 for none; None takes the smaller of 10 GiB and a tenth of
            what is free.
        deterministic: whether an answer depends on its request alone: at temperature 0 or with a seed it is the same to
            the last bit alone, among others, behind cached prompts and after a restart. Every sequence is then computed
            by itself, in steps that depend on positions only, and has memory for a whole context of its own, so that
            either `context_length` or `max_sequences` is smaller in the same memory. Needs llama.cpp's kernels.
        share_prefix_cache: whether requests of different accounts and users may share cached prompts. False: timing
            would tell one what another has asked.
        queue_limit: waiting requests beyond which a new one is refused at once.
        restart_wait_s: seconds that a request waits for an engine that is being restarted before it fails.
        hang_limit_s: seconds without a word from an engine that has work, after which it is killed and started again;
            longer than any step takes. None: a minute, and three for each GiB of the model. 0: never.
    """

    engine: EngineKind = EngineKind.LLAMA
    kernels: Kernels = Kernels.AUTO
    context_length: int | None = None
    max_sequences: int = 16
    threads: int | None = None
    batch_tokens: int = 512
    chunk_tokens: int = 128
    gpu_layers: int | None = None
    kv_type: KvType = KvType.F16
    kv_memory: ByteSize | None = None
    cache_ram: ByteSize | None = None
    cache_disk: ByteSize | None = None
    deterministic: bool = False
    share_prefix_cache: bool = False
    queue_limit: int = 256
    restart_wait_s: float = 30.0
    hang_limit_s: float | None = None

    def __post_init__(self) -> None:
        """Refuse values that no engine can run with.

        Raises:
            ValueError: names the key, its value and the rule.
        """
        for name, smallest in (
            ("context_length", 64),
            ("max_sequences", 1),
            ("threads", 1),
            ("batch_tokens", 32),
            ("chunk_tokens", 16),
            ("gpu_layers", 0),
            ("queue_limit", 0),
            ("restart_wait_s", 0),
            ("hang_limit_s", 0),
        ):
            value = getattr(self, name)
            if value is not None and value < smallest:
                raise ValueError(f"engine.{name} is {value}; it must be at least {smallest}.")
        if self.deterministic and self.kernels is Kernels.OPENVINO:
            raise ValueError(
                'engine.deterministic is true, which needs llama.cpp\'s kernels; set engine.kernels = "llama".'
            )
        # llama.cpp holds at most 256 sequences (LLAMA_MAX_SEQ); some are kept for the cache's own work.
        if self.max_sequences > 250:
            raise ValueError(f"engine.max_sequences is {self.max_sequences}; it must be at most 250.")
        if self.batch_tokens < self.max_sequences:
            raise ValueError(
                f"engine.batch_tokens is {self.batch_tokens}; it must be at least engine.max_sequences"
                f" ({self.max_sequences}), so that every sequence advances in each step."
            )


def memory_bytes() -> int:
    """The memory that this process may use: the machine's, or its control group's limit where that is smaller."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read("/sys/fs/cgroup/memory.max")
    return min(total, int(limit)) if limit.isdecimal() else total


def default_threads(model_bytes: int) -> int:
    """Physical cores that this process may use: its affinity and its control group's quota are kept to.

    A small model gets one thread. Its operations take microseconds, so several threads gain little and lose everything
    where something else runs on one of the cores, because each operation waits for the slowest: measured with a 7 MB
    model on 2 cores with one of them busy, 0.4 ms a token with one thread and 4 to 130 ms with two.
    """
    if model_bytes <= _SINGLE_THREAD_BYTES:
        return 1
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    # Two hardware threads of a core share its arithmetic units: a second one slows the computation down.
    cores = {_read(f"/sys/devices/system/cpu/cpu{i}/topology/thread_siblings_list") or str(i) for i in allowed}
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdecimal() and period.isdecimal():
        return max(1, min(len(cores), -(-int(quota) // int(period))))
    return max(1, len(cores))


def default_cache_ram() -> int:
    """An eighth of the memory."""
    return memory_bytes() // 8


def default_cache_disk(directory: Path) -> int:
    """The smaller of 10 GiB and a tenth of the disk's free bytes; `directory` or an ancestor of it exists."""
    while not directory.exists():
        directory = directory.parent
    status = os.statvfs(directory)
    return min(10 << 30, status.f_bavail * status.f_frsize // 10)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""
