"""With `engine.deterministic` an answer depends on its request alone, to the last bit of its log-probabilities."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from seekd.engine.cache.block_store import BlockStore, open_block_store
from seekd.engine.cache.prefix_cache import NullPrefixCache, PrefixCache, WholeBlockPrefixCache
from seekd.engine.core import EngineCore
from seekd.engine.kernels import open_runtime
from seekd.engine.runtime import Runtime
from seekd.engine.schedule.scheduler import Scheduler, SchedulerLimits
from seekd.engine.settings import EngineSettings
from seekd.engine.types import EngineRequest, Sampling, TokenLogprobs
from tests.model.conftest import ModelFiles
from tests.model.gguf_files import Architecture
from tests.model.test_truth import no_constraint, prompt

SETTINGS = EngineSettings(context_length=512, max_sequences=6, threads=1, deterministic=True)
NUM_REQUESTS = 8
ALL = [one for one in Architecture if one not in (Architecture.MAMBA, Architecture.DEEPSEEK4)]

Answers = dict[str, list[tuple[int, TokenLogprobs]]]


@pytest.fixture(params=ALL, scope="module")
def runtime(request: pytest.FixtureRequest, model_file: ModelFiles) -> Iterator[Runtime]:
    with open_runtime(model_file(request.param), SETTINGS) as runtime:
        yield runtime


class Served:
    """A deterministic engine core, driven by hand."""

    def __init__(self, runtime: Runtime, store: BlockStore | None = None) -> None:
        cache: PrefixCache = NullPrefixCache() if store is None else WholeBlockPrefixCache(store)
        limits = SchedulerLimits(
            max_sequences=SETTINGS.max_sequences,
            num_cells=runtime.num_cells,
            context_length=runtime.info.context_length,
            is_canonical=True,
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
        self.num_cached: dict[str, int] = {}

    def answer(self, *requests: EngineRequest) -> Answers:
        """Run requests to their ends, side by side."""
        answers: Answers = {request.request_id: [] for request in requests}
        for request in requests:
            self.core.add(request)
        while self.core.has_work:
            for update in self.core.step():
                answers[update.request_id] += zip(update.token_ids, update.logprobs or (), strict=True)
                self.num_cached[update.request_id] = update.num_cached_tokens
        return answers


def conversations() -> list[EngineRequest]:
    """Greedy and seeded ones, half of which begin alike."""
    return [
        EngineRequest(
            request_id=f"r{i}",
            prompt_token_ids=[*prompt(1 if i % 2 else i, 150), *prompt(10 + i, 20 + 9 * i)],
            max_tokens=40,
            sampling=Sampling(temperature=i % 3 / 2, seed=i, top_p=0.9, num_top_logprobs=2),
        )
        for i in range(NUM_REQUESTS)
    ]


def alone(runtime: Runtime) -> Answers:
    """Each by itself, with caching off."""
    answers: Answers = {}
    for one in conversations():
        answers |= Served(runtime).answer(one)
    return answers


def test_an_answer_is_the_same_alone_among_others_and_behind_what_is_cached(runtime: Runtime, tmp_path: Path) -> None:
    expected = alone(runtime)
    assert Served(runtime).answer(*conversations()) == expected
    settings = {"ram_budget_bytes": 1 << 26, "disk_budget_bytes": 1 << 26, "root": tmp_path}
    with open_block_store(binding="b", **settings) as store:  # type: ignore[arg-type]
        served = Served(runtime, store)
        assert served.answer(*conversations()) == expected
        assert served.answer(*reversed(conversations())) == expected
        lengths = {one.request_id: len(one.prompt_token_ids) for one in conversations()}
        assert served.num_cached == {name: (length - 1) // 64 * 64 for name, length in lengths.items()}
    with open_block_store(binding="b", **settings) as store:  # type: ignore[arg-type]
        served = Served(runtime, store)
        assert served.answer(*conversations()) == expected
        assert min(served.num_cached.values()) >= 128


def test_the_next_turn_of_a_conversation_is_the_same_whether_the_turn_before_was_served_here(runtime: Runtime) -> None:
    first = replace(conversations()[0], max_tokens=100)
    served = Served(runtime, BlockStore(ram_budget_bytes=1 << 26))
    answer = [token_id for token_id, _ in served.answer(first)["r0"]]
    turn = replace(first, request_id="next", prompt_token_ids=[*first.prompt_token_ids, *answer, *prompt(5, 30)])
    assert served.answer(turn) == Served(runtime).answer(turn)
    assert served.num_cached["next"] == len(first.prompt_token_ids) // 64 * 64


def test_the_fingerprint_tells_the_modes_apart(model_file: ModelFiles) -> None:
    fingerprints = set()
    for deterministic in (False, True):
        with open_runtime(model_file(Architecture.QWEN2), replace(SETTINGS, deterministic=deterministic)) as runtime:
            fingerprints.add(runtime.info.fingerprint)
    assert len(fingerprints) == 2
