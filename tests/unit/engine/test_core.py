"""The engine loop over a model whose logits are a hash of everything that the slot really holds.

Whatever sharing, restoring, preempting or waiting gets wrong in a slot shows up as another token.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest

from seekd.engine.cache.block_store import BlockStore
from seekd.engine.cache.prefix_cache import BlockPrefixCache, NullPrefixCache, PrefixCache
from seekd.engine.cache.snapshot_cache import SnapshotPrefixCache
from seekd.engine.cache.tier_index import Payload
from seekd.engine.core import EngineCore
from seekd.engine.sampler import Sampler
from seekd.engine.schedule.plan import Chunk
from seekd.engine.schedule.scheduler import Scheduler, SchedulerLimits
from seekd.engine.scripted import ScriptedVocabulary
from seekd.engine.types import Constraint, ConstraintSpec, EngineRequest, EngineUpdate, FinishReason, Sampling
from seekd.errors import ContextTooLong, EngineError, InvalidParameter, Overloaded
from seekd.vocabulary import Vocabulary

VOCABULARY = ScriptedVocabulary()
END = min(VOCABULARY.end_token_ids)
GREEDY = Sampling(temperature=0)


def logits_after(token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
    """The fake model: another row for every history. The end of generation is likely enough to happen."""
    seed = hash(tuple(token_ids)) & 0xFFFFFFFF
    row = np.random.default_rng(seed).standard_normal(VOCABULARY.size, dtype=np.float32)
    row[END] = -10.0 if seed % 40 else 10.0
    return row


class FakeMemory:
    """Slots as lists of tokens."""

    def __init__(self, *, is_cuttable: bool = True) -> None:
        self.is_cuttable = is_cuttable
        self.slots: dict[int, list[int]] = {}

    def share(self, source: int, target: int, num_tokens: int) -> None:
        assert not self.slots.get(target)
        assert self.is_cuttable
        self.slots[target] = self.slots[source][:num_tokens]

    def save(self, slot: int, start: int, end: int) -> bytes:
        held = self.slots[slot]
        assert end <= len(held)
        assert self.is_cuttable or end == len(held)
        return np.array(held[start:end] if self.is_cuttable else held, dtype=np.int32).tobytes()

    def restore(self, slot: int, start: int, end: int, payload: Payload) -> bool:
        held = self.slots.setdefault(slot, [])
        assert len(held) == start
        held += np.frombuffer(payload, dtype=np.int32).tolist()[: end - start]
        assert len(held) == end
        return True

    def clear(self, slot: int) -> None:
        self.slots[slot] = []


class FakeModel:
    """Computes by appending to the memory's slots."""

    def __init__(self, memory: FakeMemory) -> None:
        self._memory = memory
        self._rows: list[npt.NDArray[np.float32]] = []
        self.num_computed = 0
        self.batches: list[list[tuple[str, int, bool]]] = []
        self.refuse_next = False

    def run(self, chunks: Sequence[Chunk]) -> bool:
        if self.refuse_next:
            self.refuse_next = False
            return False
        self._rows = []
        for chunk in chunks:
            assert chunk.sequence.slot is not None
            held = self._memory.slots.setdefault(chunk.sequence.slot, [])
            assert len(held) == chunk.start
            held += chunk.sequence.token_ids[chunk.start : chunk.end]
            self.num_computed += chunk.num_tokens
            self._rows.append(logits_after(held) if chunk.wants_logits else np.empty(0, dtype=np.float32))
        self.batches.append([(chunk.sequence.request_id, chunk.num_tokens, chunk.wants_logits) for chunk in chunks])
        return True

    def borrowed_logits(self, index: int) -> npt.NDArray[np.float32]:
        return self._rows[index]


class FakeConstraint:
    """Spells one text; only the end may follow. Runs of bytes up to the next `?` are forced; `?` is any digit."""

    def __init__(self, text: bytes) -> None:
        self._rest = text

    def allowed(self) -> npt.NDArray[np.bool_]:
        mask = np.zeros(VOCABULARY.size, dtype=np.bool_)
        if not self._rest:
            mask[END] = True
        elif self._rest[:1] == b"?":
            mask[ord("0") : ord("9") + 1] = True
        elif self._rest[:1] == b"!":
            raise EngineError("the matcher failed")
        else:
            mask[self._rest[0]] = True
        return mask

    def forced_token_ids(self) -> list[int]:
        return list(self._rest.split(b"?")[0].split(b"!")[0])

    def accept(self, token_id: int) -> None:
        assert self.allowed()[token_id]
        self._rest = self._rest[1:]

    def is_complete(self) -> bool:
        return not self._rest


def build_constraint(grammar: str, vocabulary: Vocabulary) -> Constraint:
    if grammar == "bad":
        raise InvalidParameter("no such grammar")
    return FakeConstraint(grammar.encode())


@dataclass
class Bench:
    """An engine core over fakes, driven by hand."""

    max_sequences: int = 4
    num_cells: int = 4096
    context_length: int = 2048
    batch_tokens: int = 256
    queue_limit: int = 64
    kind: str = "block"
    ram_budget_bytes: int = 1 << 20
    share_prefix_cache: bool = False
    now_s: float = 0.0
    updates: dict[str, list[EngineUpdate]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.memory = FakeMemory(is_cuttable=self.kind != "snapshot")
        self.model = FakeModel(self.memory)
        self.store = BlockStore(ram_budget_bytes=self.ram_budget_bytes)
        caches: dict[str, PrefixCache] = {
            "block": BlockPrefixCache(self.store),
            "snapshot": SnapshotPrefixCache(self.store),
            "null": NullPrefixCache(),
        }
        limits = SchedulerLimits(
            max_sequences=self.max_sequences,
            num_cells=self.num_cells,
            context_length=self.context_length,
            batch_tokens=self.batch_tokens,
            queue_limit=self.queue_limit,
        )
        self.scheduler = Scheduler(limits, caches[self.kind])
        self.core = EngineCore(
            scheduler=self.scheduler,
            cache=caches[self.kind],
            memory=self.memory,
            model=self.model,
            vocabulary=VOCABULARY,
            build_constraint=build_constraint,
            clock=lambda: self.now_s,
            store=self.store,
            share_prefix_cache=self.share_prefix_cache,
        )

    def add(self, request_id: str, prompt: Sequence[int], **fields: object) -> EngineRequest:
        values = {"max_tokens": 16, "sampling": GREEDY} | fields
        request = EngineRequest(request_id=request_id, prompt_token_ids=list(prompt), **values)  # type: ignore[arg-type]
        self.core.add(request, self.core.compile_constraint(request))
        return request

    def step(self) -> None:
        for update in self.core.step():
            self.updates.setdefault(update.request_id, []).append(update)

    def run(self) -> None:
        for _ in range(10_000):
            if not self.core.has_work:
                return
            self.step()
        pytest.fail("the engine does not come to an end")

    def tokens(self, request_id: str) -> list[int]:
        return [token_id for update in self.updates.get(request_id, []) for token_id in update.token_ids]

    def finish(self, request_id: str) -> FinishReason | None:
        reasons = [update.finish_reason for update in self.updates[request_id]]
        assert all(reason is None for reason in reasons[:-1])
        return reasons[-1]


def alone(request: EngineRequest, *, context_length: int = 2048) -> tuple[list[int], FinishReason]:
    """What the request must give, computed without any engine."""
    sampler = Sampler(request.sampling)
    known = list(request.prompt_token_ids)
    limit = min(len(known) + request.max_tokens, context_length)
    while len(known) < limit:
        token_id = sampler.sample(logits_after(known)).token_id
        if token_id == END:
            return known[len(request.prompt_token_ids) :], FinishReason.STOP
        known.append(token_id)
    return known[len(request.prompt_token_ids) :], FinishReason.LENGTH


def prompt(seed: int, num_tokens: int) -> list[int]:
    return random.Random(seed).choices(range(256), k=num_tokens)


@pytest.mark.parametrize("kind", ["block", "snapshot", "null"])
def test_one_request_gives_what_the_model_says(kind: str) -> None:
    bench = Bench(kind=kind)
    request = bench.add("a", prompt(1, 200))
    bench.run()
    assert (bench.tokens("a"), bench.finish("a")) == alone(request)
    assert all(not held for held in bench.memory.slots.values())


@pytest.mark.parametrize("kind", ["block", "snapshot", "null"])
@pytest.mark.parametrize("seed", range(5))
def test_any_load_gives_each_request_what_it_would_get_alone(kind: str, seed: int) -> None:
    rng = random.Random(seed)
    # Room for about three sequences: preemption is common.
    bench = Bench(kind=kind, num_cells=1024, context_length=600, ram_budget_bytes=rng.choice([2_000, 20_000, 1 << 20]))
    stems = [prompt(100 + i, 300) for i in range(3)]
    requests: dict[str, EngineRequest] = {}
    aborted: set[str] = set()
    for number in range(30):
        stem = rng.choice(stems)
        request_id = f"r{number}"
        requests[request_id] = bench.add(
            request_id,
            stem[: rng.randrange(1, 300)] + prompt(number, rng.randrange(60)),
            max_tokens=rng.randrange(1, 200),
            sampling=rng.choice([GREEDY, Sampling(temperature=1.5, top_p=0.9, seed=number, presence_penalty=1)]),
            cache_salt=rng.choice(["", "other"]),
            fairness_key=rng.choice("ab"),
        )
        for _ in range(rng.randrange(6)):
            bench.step()
            bench.scheduler.check_integrity()
            bench.store.check_integrity()
        bench.model.refuse_next = rng.random() < 0.1
        if rng.random() < 0.15:
            victim = rng.choice(list(requests))
            bench.core.abort(victim)
            aborted.add(victim)
    bench.run()
    for request_id, request in requests.items():
        expected, reason = alone(request, context_length=600)
        if bench.finish(request_id) is FinishReason.ABORT:
            assert request_id in aborted
            assert bench.tokens(request_id) == expected[: len(bench.tokens(request_id))]
        else:
            assert (bench.tokens(request_id), bench.finish(request_id)) == (expected, reason)
    assert kind == "null" or bench.core.stats().num_preemptions > 0


@pytest.mark.parametrize("num_tokens", [20, 64, 65, 192, 200])
@pytest.mark.parametrize("max_tokens", [1, 5, 100])
def test_the_same_prompt_again_costs_its_last_token(num_tokens: int, max_tokens: int) -> None:
    bench = Bench()
    bench.add("a", prompt(1, num_tokens), max_tokens=max_tokens)
    bench.run()
    before = bench.model.num_computed
    bench.add("b", prompt(1, num_tokens), max_tokens=1)
    bench.run()
    assert bench.model.num_computed - before == 1
    assert bench.updates["b"][0].num_cached_tokens == num_tokens - 1
    assert bench.updates["a"][0].num_cached_tokens == 0


def test_a_prompt_that_departs_inside_a_block_computes_what_differs() -> None:
    bench = Bench()
    bench.add("a", prompt(1, 200), max_tokens=1)
    bench.run()
    known = prompt(1, 200)
    for request_id, common in (("b", 150), ("c", 30), ("d", 197)):
        before = bench.model.num_computed
        bench.add(request_id, [*prompt(1, common), 1 - known[common] % 2, *prompt(2, 20)], max_tokens=1)
        bench.run()
        assert bench.model.num_computed - before == 21


def test_a_running_sequence_shares_what_it_has_computed_to_the_token() -> None:
    bench = Bench()
    bench.add("a", prompt(1, 100), max_tokens=1000)
    for _ in range(10):
        bench.step()
    known = [*prompt(1, 100), *bench.tokens("a")]
    before = bench.model.num_computed
    bench.add("b", [*known[:-1], 1 - known[-1] % 2, 7], max_tokens=1)
    bench.step()
    assert bench.updates["b"][0].num_cached_tokens == len(known) - 1
    assert bench.model.num_computed - before == 2 + 1
    bench.scheduler.check_integrity()


def test_twins_in_flight_cost_one_prefill() -> None:
    bench = Bench(max_sequences=8)
    for i in range(8):
        bench.add(f"r{i}", [*prompt(1, 640), i], max_tokens=1)
    bench.run()
    assert bench.model.num_computed == 640 + 8


def test_a_conversation_that_goes_on_computes_only_what_is_new() -> None:
    bench = Bench()
    request = bench.add("a", prompt(1, 200), max_tokens=100)
    bench.run()
    answer = bench.tokens("a")
    before = bench.model.num_computed
    bench.add("b", [*request.prompt_token_ids, *answer, *prompt(2, 30)], max_tokens=1)
    bench.run()
    assert bench.finish("a") is FinishReason.STOP  # with LENGTH the answer's last token would not be computed yet
    assert bench.model.num_computed - before == 30


def test_salts_keep_caches_apart_unless_sharing_is_set() -> None:
    for share, expected in ((False, 0), (True, 199)):
        bench = Bench(share_prefix_cache=share)
        bench.add("a", prompt(1, 200), max_tokens=1, cache_salt="one")
        bench.run()
        bench.add("b", prompt(1, 200), max_tokens=1, cache_salt="two")
        bench.run()
        assert bench.updates["b"][0].num_cached_tokens == expected


def test_explanations_say_what_was_found_and_where() -> None:
    bench = Bench()
    bench.add("a", prompt(1, 200), max_tokens=1)
    bench.run()
    bench.add("b", prompt(1, 100) + prompt(2, 100), max_tokens=1)
    bench.run()
    first, second = bench.core.take_explanations()
    assert (first.request_id, first.num_used_tokens, first.reason) == ("a", 0, "unknown")
    assert (second.num_ram_tokens, second.num_slot_tokens, second.num_used_tokens, second.reason) == (
        100,
        0,
        100,
        "unknown",
    )
    assert bench.core.take_explanations() == []


def test_explanations_say_how_long_a_request_waited_for_a_slot() -> None:
    bench = Bench(max_sequences=1)
    bench.add("a", prompt(1, 10), max_tokens=1000)
    bench.add("b", prompt(2, 10), max_tokens=1)
    bench.step()
    bench.now_s = 3.0
    bench.core.abort("a")
    bench.run()
    assert [one.queue_s for one in bench.core.take_explanations()] == [0.0, 3.0]


def test_an_unreadable_block_is_computed_again() -> None:
    bench = Bench()
    bench.add("a", prompt(1, 200), max_tokens=4)
    bench.run()
    bench.memory.restore = lambda *_: False  # type: ignore[method-assign]
    bench.add("b", prompt(1, 200), max_tokens=4)
    bench.run()
    assert bench.tokens("b") == bench.tokens("a")
    assert bench.updates["b"][0].num_cached_tokens == 0


def test_streams_go_on_while_a_long_prompt_arrives() -> None:
    bench = Bench()
    bench.add("stream", prompt(1, 10), max_tokens=200)
    bench.step()
    bench.add("long", prompt(2, 1500), max_tokens=1)
    bench.run()
    with_stream = [batch for batch in bench.model.batches if {"stream", "long"} <= {entry[0] for entry in batch}]
    assert len(with_stream) >= 5
    assert all(sum(entry[1] for entry in batch) <= 129 for batch in with_stream)
    assert all(entry[2] for batch in with_stream for entry in batch if entry[0] == "stream")


def test_abort_frees_the_slot_within_a_step() -> None:
    bench = Bench(max_sequences=1)
    bench.add("a", prompt(1, 10), max_tokens=1000)
    bench.add("b", prompt(2, 10), max_tokens=1)
    bench.step()
    bench.core.abort("a")
    bench.step()
    assert bench.finish("a") is FinishReason.ABORT
    assert bench.finish("b") is not None


def test_the_deadline_ends_running_and_waiting_requests() -> None:
    bench = Bench(max_sequences=1)
    bench.add("a", prompt(1, 10), max_tokens=1000, deadline_s=5)
    bench.add("b", prompt(2, 10), max_tokens=1000, deadline_s=6)
    bench.step()
    bench.now_s = 5.5
    bench.step()
    bench.now_s = 6.5
    bench.run()
    assert [bench.finish(request_id) for request_id in "ab"] == [FinishReason.DEADLINE] * 2


def test_what_cannot_work_is_refused_before_work() -> None:
    bench = Bench(max_sequences=1, queue_limit=1, context_length=100)
    with pytest.raises(ContextTooLong):
        bench.add("long", prompt(1, 100))
    with pytest.raises(EngineError):
        bench.add("foreign", [VOCABULARY.size])
    with pytest.raises(InvalidParameter):
        bench.add("grammar", [1], constraint=ConstraintSpec(grammar="bad"))
    bench.add("a", [1])
    bench.add("b", [1])
    with pytest.raises(Overloaded):
        bench.add("c", [1])
    assert bench.model.batches == []
    bench.run()
    assert set(bench.updates) == {"a", "b"}


def test_forced_tokens_come_in_one_step_and_are_evaluated_as_one_batch() -> None:
    bench = Bench()
    bench.add("a", [1], max_tokens=100, constraint=ConstraintSpec(grammar='{"name": ?, "size": ?}'))
    bench.run()
    text = bytes(bench.tokens("a")).decode()
    assert text.startswith('{"name": ')
    assert text.endswith("}")
    assert len(text) == len('{"name": ?, "size": ?}')
    assert bench.finish("a") is FinishReason.STOP
    # The first token, the two digits: each chosen once, with everything forced behind it in the next batch.
    assert len(bench.model.batches) == 3
    assert bench.core.stats().num_forced_tokens == len(text) - 3


def test_a_failing_matcher_ends_the_request_and_nobody_else() -> None:
    bench = Bench()
    request = bench.add("other", prompt(3, 20))
    bench.add("a", [1], constraint=ConstraintSpec(grammar="x?!"))
    bench.run()
    assert bench.finish("a") is FinishReason.ERROR
    assert bench.updates["a"][-1].error == "the matcher failed"
    assert (bench.tokens("other"), bench.finish("other")) == alone(request)


def test_max_tokens_cuts_forced_tokens() -> None:
    bench = Bench()
    bench.add("a", [1], max_tokens=5, constraint=ConstraintSpec(grammar='{"name": ?}'))
    bench.run()
    assert bytes(bench.tokens("a")) == b'{"nam'
    assert bench.finish("a") is FinishReason.LENGTH


def test_forced_tokens_are_decoded_one_by_one_where_logprobs_are_wanted() -> None:
    bench = Bench()
    sampling = Sampling(temperature=0, num_top_logprobs=2)
    bench.add("a", [1], max_tokens=100, sampling=sampling, constraint=ConstraintSpec(grammar="abc?"))
    bench.run()
    assert bytes(bench.tokens("a"))[:3] == b"abc"
    entries = [entry for update in bench.updates["a"] for entry in update.logprobs or ()]
    assert len(entries) == 4
    row = logits_after([1]).astype(np.float64)
    assert entries[0].logprob == pytest.approx(row[ord("a")] - np.log(np.exp(row).sum()), abs=1e-5)


def test_a_memory_without_room_for_one_sequence_is_an_error() -> None:
    bench = Bench()
    bench.add("a", [1])
    bench.model.refuse_next = True
    with pytest.raises(EngineError):
        bench.run()


def test_stats_count_what_happened() -> None:
    bench = Bench()
    bench.add("a", prompt(1, 100), max_tokens=3)
    bench.step()
    assert bench.core.stats().num_running == 1
    bench.run()
    stats = bench.core.stats()
    assert (stats.num_running, stats.num_waiting, stats.num_prompt_tokens) == (0, 0, 100)
    assert stats.num_generation_tokens == len(bench.tokens("a"))
    assert stats.ram_bytes == (64 + 35 + 38) * 4  # a block, the prompt's tail, the answer's
