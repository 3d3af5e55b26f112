"""Whatever the cache gives, the model says what it would have said without it.

Tokens are compared at temperature 0 up to the first numeric tie: two batch shapes round differently, so where the best
two tokens are closer than that noise, either is right, and everything behind it is another text.
"""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from seekd.engine.cache.block_store import BlockStore, open_block_store
from seekd.engine.cache.prefix_cache import BlockPrefixCache, NullPrefixCache, PrefixCache
from seekd.engine.cache.snapshot_cache import SnapshotPrefixCache
from seekd.engine.core import EngineCore
from seekd.engine.kernels import open_runtime
from seekd.engine.llama.batch import Batch
from seekd.engine.llama.context import Context, DecodeStatus
from seekd.engine.runtime import Runtime
from seekd.engine.schedule.plan import Chunk
from seekd.engine.schedule.scheduler import Scheduler, SchedulerLimits
from seekd.engine.schedule.sequence import Sequence as TokenSequence
from seekd.engine.settings import EngineSettings, Kernels, KvType
from seekd.engine.types import CacheExplanation, Constraint, EngineRequest, EngineStats, FinishReason, Sampling
from seekd.vocabulary import Vocabulary
from tests.model.conftest import ModelFiles
from tests.model.gguf_files import Architecture
from tests.model.kernels import NEEDS_OPENVINO, ON_OPENVINO, case_name

SETTINGS = EngineSettings(context_length=1024, max_sequences=6, batch_tokens=256)
ALL = list(Architecture)


NOISE = 0.01  # between log-probabilities of two batch shapes; measured up to 0.0012


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a request gave; `gaps` is how far the best token was before the second best, one entry a token."""

    tokens: list[int]
    gaps: list[float]


def assert_same(found: list[Said], expected: list[Said]) -> None:
    for one, other in zip(found, expected, strict=True):
        pairs = enumerate(zip(one.tokens, other.tokens, strict=False))
        fork = next((i for i, (left, right) in pairs if left != right), None)
        if fork is None:
            assert len(one.tokens) == len(other.tokens)
        else:
            assert other.gaps[fork] < NOISE


class Served:
    """One engine core over a real model, driven by hand."""

    def __init__(self, runtime: Runtime, store: BlockStore | None, *, num_cells: int | None = None) -> None:
        cache: PrefixCache = NullPrefixCache()
        if store is not None:
            cache = BlockPrefixCache(store) if runtime.memory.is_cuttable else SnapshotPrefixCache(store)
        limits = SchedulerLimits(
            max_sequences=SETTINGS.max_sequences,
            num_cells=num_cells if num_cells is not None else runtime.num_cells,
            context_length=500,
            batch_tokens=SETTINGS.batch_tokens,
        )
        self.core = EngineCore(
            scheduler=Scheduler(limits, cache),
            cache=cache,
            memory=runtime.memory,
            model=runtime.model,
            vocabulary=runtime.vocabulary,
            build_constraint=no_constraint,
            clock=time.monotonic,
            store=store,
        )

    def generate(self, *requests: EngineRequest) -> list[Said]:
        """Run requests to their ends, side by side; what each gave."""
        said = {request.request_id: Said(tokens=[], gaps=[]) for request in requests}
        self.cached: dict[str, int] = {}
        for request in requests:
            self.core.add(request)
        while self.core.has_work:
            for update in self.core.step():
                assert update.finish_reason not in (FinishReason.ERROR, FinishReason.ABORT)
                said[update.request_id].tokens.extend(update.token_ids)
                said[update.request_id].gaps.extend(one.top[0][1] - one.top[1][1] for one in update.logprobs or ())
                self.cached[update.request_id] = update.num_cached_tokens
        return list(said.values())

    @property
    def stats(self) -> EngineStats:
        return self.core.stats()

    @property
    def explanations(self) -> list[CacheExplanation]:
        return self.core.take_explanations()


def no_constraint(grammar: str, vocabulary: Vocabulary) -> Constraint:
    raise NotImplementedError


def prompt(seed: int, num_tokens: int) -> list[int]:
    return [int(i) for i in np.random.default_rng(seed).integers(3, 250, num_tokens)]


def request(request_id: str, token_ids: Sequence[int], *, max_tokens: int = 24) -> EngineRequest:
    return EngineRequest(
        request_id=request_id,
        prompt_token_ids=token_ids,
        max_tokens=max_tokens,
        sampling=Sampling(temperature=0, num_top_logprobs=2),
    )


@contextmanager
def opened(path: Path, *, kernels: Kernels = Kernels.LLAMA, kv_type: KvType = KvType.F16) -> Iterator[Runtime]:
    with open_runtime(path, replace(SETTINGS, kernels=kernels, kv_type=kv_type)) as runtime:
        yield runtime


@pytest.fixture(params=[*((one, Kernels.LLAMA) for one in ALL), *ON_OPENVINO], scope="module", ids=case_name)
def runtime(request: pytest.FixtureRequest, model_file: ModelFiles) -> Iterator[Runtime]:
    architecture, kernels = request.param
    with opened(model_file(architecture), kernels=kernels) as runtime:
        yield runtime


def alone(runtime: Runtime, *requests: EngineRequest) -> list[Said]:
    """What each request gives by itself, with caching off."""
    return [Served(runtime, None).generate(one)[0] for one in requests]


def reusable(runtime: Runtime, num_tokens: int) -> int:
    """What the same prompt gets from the cache: all but its last token, whole blocks where memory cannot be cut."""
    return num_tokens - 1 if runtime.memory.is_cuttable else (num_tokens - 1) // 64 * 64


def test_a_repeated_prompt_gives_the_same_from_the_cache(runtime: Runtime) -> None:
    one = request("a", prompt(1, 300))
    expected = alone(runtime, one)
    served = Served(runtime, BlockStore(ram_budget_bytes=1 << 26))
    assert_same(served.generate(one), expected)
    assert served.cached["a"] == 0
    assert_same(served.generate(one), expected)
    assert served.cached["a"] == reusable(runtime, 300)


def test_twins_share_one_prefill_and_each_says_what_it_would_alone(runtime: Runtime) -> None:
    stem = prompt(2, 256)
    requests = [request(f"r{i}", [*stem, *prompt(10 + i, 20 + i)]) for i in range(6)]
    expected = alone(runtime, *requests)
    served = Served(runtime, BlockStore(ram_budget_bytes=1 << 26))
    assert_same(served.generate(*requests), expected)
    own = sum(20 + i for i in range(6))
    assert served.stats.num_prompt_tokens <= 1.1 * (256 + own)


def test_a_conversation_goes_on_from_where_it_ended(runtime: Runtime) -> None:
    first = request("a", prompt(3, 200), max_tokens=100)
    served = Served(runtime, BlockStore(ram_budget_bytes=1 << 26))
    answer = served.generate(first)[0].tokens
    second = request("b", [*first.prompt_token_ids, *answer, *prompt(4, 40)])
    assert_same(served.generate(second), alone(runtime, second))
    assert served.cached["b"] >= 200 + len(answer) - 1


def test_preempted_sequences_resume_exactly(runtime: Runtime) -> None:
    requests = [request(f"r{i}", prompt(20 + i, 150), max_tokens=150) for i in range(5)]
    expected = alone(runtime, *requests)
    for store in (None, BlockStore(ram_budget_bytes=1 << 26)):
        served = Served(runtime, store, num_cells=512)
        assert_same(served.generate(*requests), expected)
        assert served.stats.num_preemptions > 0


def test_a_restarted_store_gives_the_same_from_disk(runtime: Runtime, tmp_path: Path) -> None:
    one = request("a", prompt(5, 300))
    expected = alone(runtime, one)

    def store() -> BlockStore:
        return open_block_store(
            ram_budget_bytes=1 << 26, disk_budget_bytes=1 << 26, root=tmp_path, binding=runtime.info.fingerprint
        )

    with store() as before:
        assert_same(Served(runtime, before).generate(one), expected)
    with store() as after:
        served = Served(runtime, after)
        assert_same(served.generate(one), expected)
        (explanation,) = served.explanations
        assert explanation.num_disk_tokens == explanation.num_used_tokens == reusable(runtime, 300)


def test_saved_blocks_belong_to_one_writing_of_the_file(model_file: ModelFiles, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    shutil.copyfile(model_file(Architecture.QWEN2), path)
    bindings, fingerprints = set(), set()
    for modified_ns in (10**18, 10**18 + 1):
        os.utime(path, ns=(modified_ns, modified_ns))
        with open_runtime(path, EngineSettings(context_length=256, max_sequences=1, threads=1)) as runtime:
            bindings.add(runtime.binding)
            fingerprints.add(runtime.info.fingerprint)
    assert (len(bindings), len(fingerprints)) == (2, 1)


def logits(runtime: Runtime, token_ids: list[int], *, slot: int, start: int, size: int) -> npt.NDArray[np.float32]:
    """The logits behind the last token, computing `[start, end)` in batches of `size`."""
    sequence = TokenSequence(
        request=request("x", token_ids), arrival=0, arrival_s=0, max_num_tokens=10**6, token_ids=token_ids
    )
    sequence.slot = slot
    for begin in range(start, len(token_ids), size):
        chunk = Chunk(sequence=sequence, start=begin, end=min(begin + size, len(token_ids)), wants_logits=True)
        assert runtime.model.run([chunk])
    return runtime.model.borrowed_logits(0).copy()


@pytest.mark.parametrize(
    "case",
    [
        *itertools.product(
            [Architecture.LLAMA, Architecture.QWEN2, Architecture.DEEPSEEK2], [Kernels.LLAMA], list(KvType)
        ),
        *(
            pytest.param((architecture, Kernels.OPENVINO, kv_type), marks=NEEDS_OPENVINO)
            for architecture in (Architecture.LLAMA, Architecture.QWEN3)
            for kv_type in (KvType.F16, KvType.F32)
        ),
    ],
    ids=case_name,
)
def test_logits_are_bit_equal_where_the_batch_shape_is(
    case: tuple[Architecture, Kernels, KvType], model_file: ModelFiles
) -> None:
    architecture, kernels, kv_type = case
    token_ids = prompt(6, 160)
    with opened(model_file(architecture), kernels=kernels, kv_type=kv_type) as runtime:
        memory = runtime.memory
        fresh = logits(runtime, token_ids, slot=0, start=0, size=64)
        memory.share(0, 1, 128)
        shared = logits(runtime, token_ids, slot=1, start=128, size=64)
        blocks = [memory.save(0, 0, 64), memory.save(0, 64, 128)]
        memory.clear(0)
        memory.clear(1)
        for index, block in enumerate(blocks):
            assert memory.restore(2, index * 64, index * 64 + 64, block)
        restored = logits(runtime, token_ids, slot=2, start=128, size=64)
        memory.clear(2)
    assert np.array_equal(shared, fresh)
    assert np.array_equal(restored, fresh)


@pytest.mark.parametrize("architecture", [Architecture.LLAMA, Architecture.QWEN2, Architecture.DEEPSEEK2])
def test_logits_are_bit_equal_behind_a_part_of_a_block(architecture: Architecture, model_file: ModelFiles) -> None:
    token_ids = prompt(6, 160)
    with opened(model_file(architecture)) as runtime:
        memory = runtime.memory
        logits(runtime, token_ids[:130], slot=0, start=0, size=64)
        memory.share(0, 1, 130)
        fresh = logits(runtime, token_ids, slot=0, start=130, size=64)
        shared = logits(runtime, token_ids, slot=1, start=130, size=64)
        entries = [memory.save(0, 0, 64), memory.save(0, 64, 128), memory.save(0, 128, 160)]
        memory.clear(0)
        memory.clear(1)
        for entry, (start, end) in zip(entries, [(0, 64), (64, 128), (128, 130)], strict=True):
            assert memory.restore(2, start, end, entry)
        restored = logits(runtime, token_ids, slot=2, start=130, size=64)
        memory.clear(2)
    assert np.array_equal(shared, fresh)
    assert np.array_equal(restored, fresh)


def test_the_kind_of_memory_is_found_out(model_file: ModelFiles) -> None:
    found = {}
    for architecture in ALL:
        with opened(model_file(architecture)) as runtime:
            found[architecture] = runtime.memory.is_cuttable
    uncuttable = {Architecture.MAMBA, Architecture.DEEPSEEK4}
    assert found == {architecture: architecture not in uncuttable for architecture in ALL}


class ShapedContext(Context):
    """Computes with a noise that follows from the batch's shape, as real kernels do, here larger than any."""

    def decode(self, batch: Batch) -> DecodeStatus:
        self._num_tokens = batch.num_tokens
        return super().decode(batch)

    def borrowed_logits(self, index: int) -> npt.NDArray[np.float32]:
        row = super().borrowed_logits(index)
        noise: npt.NDArray[np.float32] = np.random.default_rng(self._num_tokens).normal(size=row.shape).astype("f4")
        return row + np.ptp(row) * noise


@pytest.mark.parametrize("architecture", [Architecture.LLAMA, Architecture.MAMBA])
def test_the_kind_of_memory_is_found_out_whatever_the_noise_of_batch_shapes(
    architecture: Architecture, model_file: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seekd.engine.llama.runtime.Context", ShapedContext)
    with opened(model_file(architecture)) as runtime:
        assert runtime.memory.is_cuttable == (architecture is Architecture.LLAMA)


@pytest.mark.parametrize("kernels", [Kernels.LLAMA, pytest.param(Kernels.OPENVINO, marks=NEEDS_OPENVINO)])
def test_a_payload_of_another_model_is_refused(kernels: Kernels, model_file: ModelFiles) -> None:
    with opened(model_file(Architecture.DEEPSEEK2)) as other:
        logits(other, prompt(7, 64), slot=0, start=0, size=64)
        foreign = other.memory.save(0, 0, 64)
    with opened(model_file(Architecture.LLAMA), kernels=kernels) as runtime:
        assert not runtime.memory.restore(0, 0, 64, foreign)
        assert not runtime.memory.restore(0, 0, 64, b"")
        assert not runtime.memory.restore(0, 0, 64, foreign[:100])


@NEEDS_OPENVINO
def test_saved_blocks_belong_to_one_kind_of_kernels(model_file: ModelFiles) -> None:
    bindings = set()
    for kernels in (Kernels.LLAMA, Kernels.OPENVINO):
        with opened(model_file(Architecture.LLAMA), kernels=kernels) as runtime:
            bindings.add(runtime.binding)
    assert len(bindings) == 2
