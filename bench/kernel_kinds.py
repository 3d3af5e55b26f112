"""llama.cpp's kernels and OpenVINO's on one model file, in turn, in one process.

    python bench/kernel_kinds.py --model FILE.gguf [--threads 2] [--rounds 5] [--cpu-time]

Each kind gets the same batches that the scheduler would plan: a prompt of 1,100 tokens, 34 tokens behind 1,088 shared
ones, and steps of one and of eight streams, short ones and such that share a prefix of 1,088 tokens. The kinds take
turns round by round, so that whatever else the machine does meets both. `--cpu-time` counts the processor's seconds
instead of the clock's; with `--threads 1` other programs then hardly count.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from seekd.engine.kernels import open_runtime
from seekd.engine.runtime import Runtime
from seekd.engine.schedule.plan import Chunk
from seekd.engine.schedule.sequence import Sequence
from seekd.engine.settings import EngineSettings, Kernels
from seekd.engine.types import EngineRequest

PROMPT, SHARED, BATCH, STREAMS, STEPS = 1100, 1088, 512, 8, 16
KINDS = (Kernels.LLAMA, Kernels.OPENVINO)

Clock = Callable[[], float]


class Arm:
    """One kind of kernels with the model loaded."""

    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self._runtime = runtime
        self._clock = clock
        self._token_ids = [300 + 7 * i % 5000 for i in range(PROMPT + 64)]

    def round(self) -> Iterator[tuple[str, float]]:
        """Every figure once: its name, and seconds or tokens a second."""
        self._clear()
        seconds = self._prefill(0, 0, PROMPT)
        yield f"first token of {PROMPT} tokens, s", seconds
        for slot in range(1, STREAMS):
            self._runtime.memory.share(0, slot, SHARED)
        yield f"34 tokens behind {SHARED}, s", self._prefill(1, SHARED, SHARED + 34)
        self._runtime.memory.clear(1)
        self._runtime.memory.share(0, 1, SHARED)
        for slot in range(1, STREAMS):
            self._prefill(slot, SHARED, PROMPT)
        yield f"{STREAMS} streams behind {SHARED} shared, tokens/s", self._decode(STREAMS, PROMPT)
        yield f"1 stream behind {PROMPT}, tokens/s", self._decode(1, PROMPT + STEPS)
        self._clear()
        yield f"{STREAMS} short streams, tokens/s", self._decode(STREAMS, 0)
        self._clear()
        yield "1 short stream, tokens/s", self._decode(1, 0)

    def _clear(self) -> None:
        for slot in range(STREAMS):
            self._runtime.memory.clear(slot)

    def _sequence(self, slot: int) -> Sequence:
        request = EngineRequest(request_id=str(slot), prompt_token_ids=self._token_ids, max_tokens=1)
        return Sequence(
            request=request,
            arrival=slot,
            arrival_s=0,
            max_num_tokens=1 << 30,
            token_ids=self._token_ids,
            slot=slot,
        )

    def _prefill(self, slot: int, start: int, end: int) -> float:
        sequence, started_s = self._sequence(slot), self._clock()
        for begin in range(start, end, BATCH):
            stop = min(begin + BATCH, end)
            self._runtime.model.run([Chunk(sequence=sequence, start=begin, end=stop, wants_logits=stop == end)])
        return self._clock() - started_s

    def _decode(self, num_streams: int, start: int) -> float:
        sequences = [self._sequence(slot) for slot in range(num_streams)]
        seconds = []
        for begin in range(start, start + STEPS):
            chunks = [Chunk(sequence=one, start=begin, end=begin + 1, wants_logits=True) for one in sequences]
            started_s = self._clock()
            self._runtime.model.run(chunks)
            seconds.append(self._clock() - started_s)
        return num_streams / statistics.median(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    clock: Clock = time.process_time if options.cpu_time else time.perf_counter
    found: dict[str, dict[Kernels, list[float]]] = {}
    with ExitStack() as stack:
        arms = {}
        for kernels in KINDS:
            settings = EngineSettings(
                kernels=kernels, context_length=2048, max_sequences=STREAMS, batch_tokens=BATCH, threads=options.threads
            )
            arms[kernels] = Arm(stack.enter_context(open_runtime(options.model, settings)), clock)
        for number in range(options.rounds + 1):
            for kernels, arm in arms.items():
                for name, value in arm.round():
                    if number:  # the first round compiles kernels
                        found.setdefault(name, {kind: [] for kind in KINDS})[kernels].append(value)
    for name, values in found.items():
        llama, openvino = (statistics.median(values[kind]) for kind in KINDS)
        gain = llama / openvino if name.endswith(" s") else openvino / llama
        print(f"{name:45} llama.cpp {llama:8.3f}   OpenVINO {openvino:8.3f}   gain {gain:5.2f}")


if __name__ == "__main__":
    main()
