"""The engine's bars, each as a ratio measured in one run on one machine with the same kernels.

    python bench/model_shapes.py shapes
    python bench/engine.py shapes/qwen2-0.5b-random-q4_k_m.gguf [--only decode] [--threads 2]
    python bench/engine.py shapes/qwen2-1.5b-random-q4_k_m.gguf --only decode

Each line ends with PASS or FAIL, and the exit status is 1 when a bar was missed. The peer of `decode` is llama.cpp
itself: the same batches through the low-level API in the same process, and its own greedy sampler, with nothing around
them. The peer of everything else is the engine with its cache off.

`--cpu-time` with `--threads 1` counts the seconds that the process computed instead of those that passed; it is for a
machine that others use at the same time, and says nothing about `restart`, which runs in other processes.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from seekd.config import ByteSize
from seekd.engine.cache.block_store import BlockStore, open_block_store
from seekd.engine.cache.prefix_cache import BlockPrefixCache, NullPrefixCache, PrefixCache
from seekd.engine.core import EngineCore
from seekd.engine.link.process import EngineProcess
from seekd.engine.llama.binding import C
from seekd.engine.llama.runtime import open_runtime
from seekd.engine.runtime import Runtime
from seekd.engine.schedule.scheduler import Scheduler, SchedulerLimits
from seekd.engine.settings import EngineSettings
from seekd.engine.types import Constraint, EngineRequest, EngineUpdate, Sampling
from seekd.vocabulary import Vocabulary

NUM_STREAMS = 8

BLOCK = 64


class Clock:
    """Seconds that have passed, or that this process has computed."""

    def __init__(self) -> None:
        self.counts_cpu = False

    def now_s(self) -> float:
        return time.process_time() if self.counts_cpu else time.perf_counter()


CLOCK = Clock()


class Endless:
    """A vocabulary without an end of generation: what is measured must not depend on what a model likes to say."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def __getattr__(self, name: str) -> object:
        return getattr(self._vocabulary, name)

    @property
    def end_token_ids(self) -> frozenset[int]:
        return frozenset()


class Driven:
    """An engine core driven step by step, with the times of what it said."""

    def __init__(self, runtime: Runtime, settings: EngineSettings, store: BlockStore | None) -> None:
        cache: PrefixCache = NullPrefixCache() if store is None else BlockPrefixCache(store)
        limits = SchedulerLimits(
            max_sequences=NUM_STREAMS,
            num_cells=runtime.num_cells,
            context_length=runtime.info.context_length,
            batch_tokens=settings.batch_tokens,
            chunk_tokens=settings.chunk_tokens,
        )
        self.core = EngineCore(
            scheduler=Scheduler(limits, cache),
            cache=cache,
            memory=runtime.memory,
            model=runtime.model,
            vocabulary=Endless(runtime.vocabulary),  # type: ignore[arg-type]  # it has what it hands on
            build_constraint=_no_constraint,
            clock=CLOCK.now_s,
            store=store,
        )
        self.added_s: dict[str, float] = {}
        self.token_s: dict[str, list[float]] = {}

    def add(self, request_id: str, token_ids: Sequence[int], max_tokens: int) -> None:
        self.core.add(request(request_id, token_ids, max_tokens))
        self.added_s[request_id] = CLOCK.now_s()
        self.token_s[request_id] = []

    def step(self) -> list[EngineUpdate]:
        updates = self.core.step()
        now_s = CLOCK.now_s()
        for update in updates:
            self.token_s[update.request_id] += [now_s] * len(update.token_ids)
        return updates

    def run(self, until: Callable[[], bool] | None = None) -> float:
        """Step to the end, or until a condition holds; the seconds that it took."""
        started_s = CLOCK.now_s()
        while self.core.has_work and not (until is not None and until()):
            self.step()
        return CLOCK.now_s() - started_s

    def stop(self) -> None:
        for request_id in self.added_s:
            self.core.abort(request_id)
        self.run()

    def first_token_s(self, request_id: str) -> float:
        return self.token_s[request_id][0] - self.added_s[request_id]


def _no_constraint(grammar: str, vocabulary: Vocabulary) -> Constraint:
    raise NotImplementedError


def request(request_id: str, token_ids: Sequence[int], max_tokens: int) -> EngineRequest:
    return EngineRequest(
        request_id=request_id,
        prompt_token_ids=token_ids,
        max_tokens=max_tokens,
        sampling=Sampling(temperature=0),
    )


def prompt(seed: int, num_tokens: int, vocab_size: int) -> list[int]:
    ids = np.random.default_rng(seed).integers(0, min(100_000, vocab_size - 64), num_tokens)
    return [int(i) for i in ids]


def _has_tokens(driven: Driven, request_ids: Sequence[str], num_tokens: int) -> bool:
    return all(len(driven.token_s[request_id]) >= num_tokens for request_id in request_ids)


@dataclass(frozen=True, slots=True)
class Bar:
    """The most or the least that a measured value may be, and how it is shown."""

    shown: str
    most: float = float("inf")
    least: float = float("-inf")

    def is_met(self, value: float) -> bool:
        return self.least <= value <= self.most


MISSED: list[str] = []


def judge(name: str, measured: str, value: float, bar: Bar) -> None:
    verdict = "PASS" if bar.is_met(value) else "FAIL"
    if verdict == "FAIL":
        MISSED.append(name)
    print(f"{name:60} {measured:>36}   bar {bar.shown:12} {verdict}", flush=True)


def judge_share(name: str, part_s: float, whole_s: float, one_in: int) -> None:
    """One time may be at most `1/one_in` of another."""
    measured = f"{part_s:.3f} / {whole_s:.1f} s = 1/{whole_s / part_s:.1f}"
    judge(name, measured, part_s / whole_s, Bar(f"<= 1/{one_in}", most=1 / one_in))


class LlamaAlone:
    """llama.cpp's own loop over its own functions, as in its examples: decode a batch, sample each stream, go on.

    Args:
        runtime: whose context it computes in.
        first_slot: the slot of its first stream; its slots are nobody else's.
    """

    def __init__(self, runtime: Runtime, *, first_slot: int) -> None:
        self._context = runtime.model._context._opened  # noqa: SLF001 - it has no other user
        self._memory = runtime.memory
        self._first_slot = first_slot
        self._positions: list[int] = []
        self._token_ids: list[int] = []

    def __enter__(self) -> Self:
        self._batch = C.llama_batch_init(512, 0, 1)
        self._sampler = C.llama_sampler_init_greedy()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for i in range(len(self._positions)):
            self._memory.clear(self._first_slot + i)
        C.llama_sampler_free(self._sampler)
        C.llama_batch_free(self._batch)

    def start(self, prompts: Sequence[Sequence[int]]) -> None:
        """Compute prompts and choose the tokens behind them."""
        self._positions = [0] * len(prompts)
        self._decode(prompts)

    def step(self) -> None:
        """One token for each stream."""
        self._decode([[token_id] for token_id in self._token_ids])

    def _decode(self, runs: Sequence[Sequence[int]]) -> None:
        batch, index, lasts = self._batch, 0, []
        for i, token_ids in enumerate(runs):
            for token_id in token_ids:
                batch.token[index] = token_id
                batch.pos[index] = self._positions[i]
                batch.n_seq_id[index] = 1
                batch.seq_id[index][0] = self._first_slot + i
                batch.logits[index] = 0
                self._positions[i] += 1
                index += 1
            batch.logits[index - 1] = 1
            lasts.append(index - 1)
        batch.n_tokens = index
        assert C.llama_decode(self._context, batch) == 0
        self._token_ids = [C.llama_sampler_sample(self._sampler, self._context, last) for last in lasts]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeRound:
    """Steps that the engine and llama.cpp alone took in turn."""

    engine_s: float
    alone_s: float
    own_share: float


def _seconds_of(do: Callable[[], object]) -> float:
    started_s = CLOCK.now_s()
    do()
    return CLOCK.now_s() - started_s


class Bench:
    """All measurements on one loaded model."""

    def __init__(self, runtime: Runtime, settings: EngineSettings, *, prefix: int, long: int) -> None:
        self.runtime = runtime
        self.settings = settings
        self.prefix = prefix
        self.long = long

    def _prompt(self, seed: int, num_tokens: int) -> list[int]:
        return prompt(seed, num_tokens, self.runtime.info.vocab_size)

    @contextmanager
    def _driven(self, *, cache: bool = True) -> Iterator[Driven]:
        store = BlockStore(ram_budget_bytes=4 << 30) if cache else None
        driven = Driven(self.runtime, self.settings, store)
        yield driven
        driven.stop()

    def decode(self, num_rounds: int = 5, num_steps: int = 16) -> None:
        """Both take their steps in turn, so that whatever else the machine does meets both."""
        for num_streams, bar in ((1, 0.97), (NUM_STREAMS, 1.0)):
            rounds = [self._decode_round(num_streams, num_steps) for _ in range(num_rounds)]
            ratio = statistics.median(one.alone_s / one.engine_s for one in rounds)
            engine, alone = (
                num_streams * num_steps / statistics.median(seconds)
                for seconds in ([one.engine_s for one in rounds], [one.alone_s for one in rounds])
            )
            judge(
                f"decode, {num_streams} streams: engine / llama.cpp alone",
                f"{engine:.1f} / {alone:.1f} tokens/s, {ratio:.3f}",
                ratio,
                Bar(f">= {bar}", least=bar),
            )
            own = statistics.median(one.own_share for one in rounds)
            judge(f"  own time of a step, {num_streams} streams", f"{own:.2%}", own, Bar("<= 5%", most=0.05))

    def _decode_round(self, num_streams: int, num_steps: int) -> DecodeRound:
        prompts = [self._prompt(i, 16) for i in range(num_streams)]
        with self._driven() as driven, LlamaAlone(self.runtime, first_slot=NUM_STREAMS) as alone:
            for i, token_ids in enumerate(prompts):
                driven.add(str(i), token_ids, 10 * num_steps)
            driven.run(lambda: all(driven.token_s.values()))
            alone.start(prompts)
            driven.step()
            alone.step()
            before = driven.core.stats()
            engine_s = alone_s = 0.0
            for _ in range(num_steps):
                engine_s += _seconds_of(driven.step)
                alone_s += _seconds_of(alone.step)
            after = driven.core.stats()
        step_s, model_s = after.step_s - before.step_s, after.model_s - before.model_s
        return DecodeRound(engine_s=engine_s, alone_s=alone_s, own_share=1 - model_s / step_s)

    def shared(self) -> None:
        stem = self._prompt(100, self.prefix)
        wall, computed = {}, {}
        for cache in (True, False):
            with self._driven(cache=cache) as driven:
                for i in range(NUM_STREAMS):
                    driven.add(str(i), [*stem, *self._prompt(200 + i, 50)], 64)
                wall[cache] = driven.run()
                computed[cache] = driven.core.stats().num_prompt_tokens
        least = self.prefix + NUM_STREAMS * 50
        name = f"8 requests, {self.prefix} shared + 50 own, 64 out"
        times = computed[True] / least
        judge(f"{name}: computed", f"{computed[True]} = {times:.2f} x {least}", times, Bar("<= 1.1", most=1.1))
        judge_share(f"{name}: wall, cache on / off", wall[True], wall[False], 3)

    def newcomers(self) -> None:
        stem = self._prompt(101, self.prefix)
        medians = {}
        for cache in (True, False):
            with self._driven(cache=cache) as driven:
                driven.add("first", [*stem, *self._prompt(300, 20)], 10_000)
                driven.run(partial(_has_tokens, driven, ["first"], 5))
                names = ["a", "b", "c"]
                for i, name in enumerate(names):
                    driven.add(name, [*stem, *self._prompt(301 + i, 20)], 8)
                driven.run(partial(_has_tokens, driven, names, 1))
                medians[cache] = statistics.median(driven.first_token_s(name) for name in names)
        judge_share("newcomers with the prefix of a running one: first token", medians[True], medians[False], 20)

    def gap(self) -> None:
        long = self._prompt(102, self.long)
        with self._driven(cache=False) as driven:
            driven.add("alone", long, 1)
            alone_s = driven.run()
            driven.add("stream", self._prompt(400, 20), 100_000)
            driven.run(lambda: len(driven.token_s["stream"]) > 4)
            driven.add("long", long, 1)
            beside_s = driven.run(lambda: bool(driven.token_s["long"]))
            for _ in range(4):
                driven.step()
            times = driven.token_s["stream"]
            largest_s = max(later - earlier for earlier, later in itertools.pairwise(times))
        judge_share(f"largest gap while {self.long} tokens arrive / their prefill", largest_s, alone_s, 20)
        growth = beside_s / alone_s
        judge("  their prefill beside the stream / alone", f"{growth:.2f}", growth, Bar("<= 1.25", most=1.25))

    def restore(self) -> None:
        """Blocks from disk, with their pages in memory, into a slot: the median of five times."""
        num_tokens = self.prefix // BLOCK * BLOCK
        with tempfile.TemporaryDirectory() as directory:

            def store() -> BlockStore:
                return open_block_store(
                    ram_budget_bytes=4 << 30, disk_budget_bytes=4 << 30, root=Path(directory), binding="bench"
                )

            with store() as before:
                driven = Driven(self.runtime, self.settings, before)
                driven.add("cold", self._prompt(103, num_tokens + 1), 1)
                cold_s = driven.run()
            keys: list[bytes] = []
            rounds = []
            for _ in range(5):
                with store() as after:
                    BlockPrefixCache(after).extend_keys(keys, self._prompt(103, num_tokens + 1), "")
                    started_s = CLOCK.now_s()
                    num_bytes = self._restore(after, keys)
                    rounds.append(CLOCK.now_s() - started_s)
                    self.runtime.memory.clear(0)
            restore_s = statistics.median(rounds)
        judge_share(f"restoring {num_tokens} tokens from disk / computing them", restore_s, cold_s, 50)
        rate = num_bytes / restore_s / 1e6
        judge("  rate", f"{rate:.0f} MB/s", rate, Bar(">= 500 MB/s", least=500))

    def _restore(self, store: BlockStore, keys: Sequence[bytes]) -> int:
        """Fill slot 0 from a store; the bytes read."""
        num_bytes = 0
        for index, payload in enumerate(store.get_each(keys)):
            assert payload is not None
            num_bytes += len(payload)
            assert self.runtime.memory.restore(0, index * BLOCK, (index + 1) * BLOCK, payload)
        return num_bytes


async def restart(model: Path, settings: EngineSettings, *, prefix: int, vocab_size: int) -> None:
    """First token after kill -9 and restart, through the real processes."""
    for name, num_tokens, one_in in (
        ("whole blocks + 1 token", prefix // BLOCK * BLOCK + 1, 50),
        (f"{prefix} tokens", prefix, 12),
    ):
        with tempfile.TemporaryDirectory() as directory:
            engine = EngineProcess(model, settings, cache_dir=Path(directory))
            await engine.start()
            try:
                one = prompt(104, num_tokens, vocab_size)
                cold_s = await first_token_s(engine, one)
                await asyncio.sleep(1)  # by then the blocks are on disk, which is a bar of its own
                assert engine.process_id is not None
                os.kill(engine.process_id, signal.SIGKILL)
                await until(partial(_is_ready, engine, expected=False))
                await until(partial(_is_ready, engine, expected=True))
                await first_token_s(engine, prompt(105, 8, vocab_size))  # the weights' pages are in memory again
                warm_s = await first_token_s(engine, one)
            finally:
                await engine.close()
        judge_share(f"first token after kill -9, {name}", warm_s, cold_s, one_in)


def _is_ready(engine: EngineProcess, *, expected: bool) -> bool:
    return engine.health.ready is expected


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - another process changes it
        await asyncio.sleep(0.01)


async def first_token_s(engine: EngineProcess, token_ids: list[int]) -> float:
    started_s = CLOCK.now_s()
    seconds = 0.0
    async for _update in engine.generate(request("r", token_ids, 1)):
        seconds = seconds or CLOCK.now_s() - started_s
    return seconds


def main() -> int:
    """Run the chosen measurements and print a line for each; the exit status."""
    parts = ("decode", "shared", "newcomers", "gap", "restore", "restart")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--only", action="append", choices=parts)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--cpu-time", action="store_true", help="count computed seconds; needs --threads 1")
    parser.add_argument("--prefix", type=int, default=2000, help="tokens of the shared prompt")
    parser.add_argument("--long", type=int, default=4000, help="tokens of the long prompt")
    options = parser.parse_args()
    CLOCK.counts_cpu = options.cpu_time
    if options.cpu_time and options.threads != 1:
        parser.error("--cpu-time needs --threads 1")
    chosen = options.only or [part for part in parts if part != "restart" or not options.cpu_time]
    settings = EngineSettings(
        context_length=8192,
        max_sequences=2 * NUM_STREAMS,  # as many again for llama.cpp alone, beside the engine
        threads=options.threads,
        kv_memory=ByteSize(4 << 30),
        cache_ram=ByteSize(4 << 30),
        cache_disk=ByteSize(4 << 30),
    )
    with open_runtime(options.model, settings) as runtime:
        vocab_size = runtime.info.vocab_size
        bench = Bench(runtime, settings, prefix=options.prefix, long=options.long)
        for part in parts[:-1]:
            if part in chosen:
                getattr(bench, part)()
    if "restart" in chosen:
        asyncio.run(restart(options.model, settings, prefix=options.prefix, vocab_size=vocab_size))
    if MISSED:
        print(f"{len(MISSED)} bars missed: {'; '.join(name.strip() for name in MISSED)}")
    return 1 if MISSED else 0


if __name__ == "__main__":
    sys.exit(main())
