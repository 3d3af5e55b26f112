"""What attention costs at depth, with heads of 64 and of 128 values: shows kernels that a build is bad at.

    python bench/kernels.py [--depth 2048] [--rounds 7]

Two models with random weights that differ in one thing: the same width, the same bytes of keys and values, cut into
16 heads of 64 or 8 heads of 128. Each batch, one token (decode) and 34 tokens (the end of a prompt), is computed
behind no tokens and behind `--depth`; the difference is attention's. A sound build takes about as long for either size.
Where heads of 64 cost twice as much and more, a kernel falls into a slow loop: look for a flag for the table of
processors in scripts/bootstrap.py, and compare llama.cpp compiled with and without it. The exit status is then 1.

One thread, and the seconds that it computed: what else runs on the machine hardly counts.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from model_shapes import Shape, write_model
from seekd.engine.llama.batch import Batch
from seekd.engine.llama.binding import Library, build_info
from seekd.engine.llama.context import Context, ContextSettings
from seekd.engine.llama.model import Model

BATCH = 512
SIZES = {"decode": 1, "34 tokens": 34}
HEADS = {
    64: Shape(num_layers=4, width=1024, num_heads=16, num_kv_heads=4, feed_forward=2816, vocab_size=4096),
    128: Shape(num_layers=4, width=1024, num_heads=8, num_kv_heads=2, feed_forward=2816, vocab_size=4096),
}
TRAP = 2.0
"""Times that heads of 64 may cost more than heads of 128; 0.9 to 1.5 were measured on a sound build."""


def compute(context: Context, batch: Batch, num_tokens: int, start: int) -> float:
    """Compute a batch behind `start` tokens; the seconds it took."""
    batch.clear()
    batch.add([300 + i for i in range(num_tokens)], start=start, slot=0, wants_logits=True)
    started_s = time.process_time()
    context.decode(batch)
    return time.process_time() - started_s


def measure(path: Path, depth: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Median seconds of each batch behind no tokens and behind `depth`, each."""
    settings = ContextSettings(num_cells=depth + BATCH, num_slots=1, batch_tokens=BATCH, threads=1)
    batch = Batch(BATCH)
    times: dict[tuple[str, int], float] = {}
    with Model(path) as model, Context(model, settings) as context:
        for start in (0, depth):
            for begin in range(0, start, BATCH):
                compute(context, batch, min(BATCH, start - begin), begin)
            for name, num_tokens in SIZES.items():
                seconds = []
                for _ in range(rounds):
                    seconds.append(compute(context, batch, num_tokens, start))
                    context.remove(0, start)
                times[name, start] = statistics.median(seconds)
    return {name: (times[name, 0], times[name, depth]) for name in SIZES}


def attention_s(times: tuple[float, float]) -> float:
    """What a batch costs more at depth than behind nothing."""
    shallow_s, deep_s = times
    return deep_s - shallow_s


def main() -> int:
    """Measure both models and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    found = {}
    with Library(), tempfile.TemporaryDirectory() as folder:
        print(build_info())
        print(f"{'heads':>5} {'batch':>10} {'behind 0':>12} {f'behind {options.depth}':>14} {'attention':>12}")
        for size, shape in HEADS.items():
            path = Path(folder) / f"heads-{size}.gguf"
            write_model(path, path.stem, shape)
            found[size] = measure(path, options.depth, options.rounds)
            for name, times in found[size].items():
                shallow, deep = (f"{SIZES[name] / seconds:.0f} tok/s" for seconds in times)
                print(f"{size:>5} {name:>10} {shallow:>12} {deep:>14} {attention_s(times) * 1000:>9.2f} ms")
    ratios = {name: attention_s(found[64][name]) / attention_s(found[128][name]) for name in SIZES}
    for name, ratio in ratios.items():
        verdict = "SLOW KERNEL" if ratio >= TRAP else "sound"
        print(f"{name}: attention over heads of 64 costs {ratio:.2f} of heads of 128: {verdict}")
    return int(max(ratios.values()) >= TRAP)


if __name__ == "__main__":
    sys.exit(main())
