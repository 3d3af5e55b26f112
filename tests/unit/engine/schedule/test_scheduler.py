"""The scheduler against a naive twin: a memory that knows its tokens and a model that is a function of them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from seekd.engine.cache.block_hash import BLOCK_SIZE
from seekd.engine.cache.block_store import BlockStore
from seekd.engine.cache.prefix_cache import BlockPrefixCache, Match, MissReason, NullPrefixCache, PrefixCache
from seekd.engine.cache.snapshot_cache import SnapshotPrefixCache
from seekd.engine.cache.tier_index import Tier
from seekd.engine.schedule.plan import Admission, Moves, Save, StepPlan
from seekd.engine.schedule.scheduler import Scheduler, SchedulerLimits
from seekd.engine.schedule.sequence import Parked, SequenceState
from seekd.engine.schedule.sequence import Sequence as TokenSequence
from seekd.engine.types import EngineRequest, EngineUpdate, FinishReason
from seekd.errors import ContextTooLong, EngineError, Overloaded

END = 0
VOCAB = 300


def next_token(token_ids: Sequence[int]) -> int:
    """The twin's model: any wrong, missing or doubled token before the position changes the answer."""
    digest = hashlib.blake2b(repr(list(token_ids)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") % VOCAB


def naive_completion(prompt: Sequence[int], max_tokens: int, context_length: int) -> tuple[list[int], FinishReason]:
    """What a machine that serves one request at a time and caches nothing answers."""
    token_ids = list(prompt)
    limit = min(len(prompt) + max_tokens, context_length)
    while True:
        token = next_token(token_ids)
        if token == END:
            return token_ids[len(prompt) :], FinishReason.STOP
        token_ids.append(token)
        if len(token_ids) >= limit:
            return token_ids[len(prompt) :], FinishReason.LENGTH


def encode(token_ids: Sequence[int]) -> bytes:
    return b"".join(token.to_bytes(4, "little") for token in token_ids)


def decode(payload: memoryview | bytes | bytearray) -> list[int]:
    data = bytes(payload)
    return [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]


@dataclass
class Loop:
    """The engine loop of plan.py over a memory that holds token ids in place of keys and values."""

    limits: SchedulerLimits
    cache: PrefixCache
    damage: Callable[[], bool] = lambda: False
    seconds_of: Callable[[int, int], float] = lambda _num_tokens, _num_cells: 0.0
    now_s: float = 0.0
    slots: dict[int, list[int]] = field(default_factory=dict)
    outputs: dict[str, list[int]] = field(default_factory=dict)
    ends: dict[str, FinishReason] = field(default_factory=dict)
    num_computed: int = 0
    steps: int = 0
    matches: dict[str, Match] = field(default_factory=dict)
    unserved: dict[str, int] = field(default_factory=dict)
    last_plan: StepPlan = field(default_factory=StepPlan)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.limits, self.cache)

    def add(self, request_id: str, prompt: Sequence[int], max_tokens: int = 4, **extra: object) -> TokenSequence:
        request = EngineRequest(request_id=request_id, prompt_token_ids=prompt, max_tokens=max_tokens, **extra)  # type: ignore[arg-type]
        sequence = self.scheduler.add(request, self.now_s)
        self.outputs[request_id] = []
        return sequence

    def step(self) -> None:
        self.steps += 1
        self.now_s += 1.0
        while True:
            moves = self.scheduler.arrange(self.now_s)
            self.move(moves)
            self.scheduler.check_integrity()
            if not moves.admissions:
                break
        plan = self.scheduler.plan()
        self.last_plan = plan
        assert plan.num_tokens <= self.limits.batch_tokens
        assert bool(plan.chunks) == bool(self.scheduler.running)
        self.check_progress(plan)
        num_cells = self.scheduler.stats().num_cells_used
        results = [self.run(plan, index) for index in range(len(plan.chunks))]
        outcome = self.scheduler.commit(plan, results, seconds=self.seconds_of(plan.num_tokens, num_cells))
        for save in outcome.saves:
            self.save(save)
        for release in outcome.releases:
            del self.slots[release.slot]
        for update in outcome.updates:
            self.outputs[update.request_id].extend(update.token_ids)
            if update.finish_reason is not None:
                self.end(update.request_id, update.finish_reason)
        self.scheduler.check_integrity()

    def check_progress(self, plan: StepPlan) -> None:
        """Every stream is in every step; every key with prompt tokens left within as many steps as there are keys."""
        served = {chunk.sequence.request_id for chunk in plan.chunks}
        keys: dict[str, bool] = {}
        for sequence in self.scheduler.running:
            if sequence.num_completion_tokens and sequence.num_computed >= sequence.num_prompt_tokens:
                assert sequence.request_id in served
            else:
                key = sequence.request.fairness_key
                keys[key] = keys.get(key, False) or sequence.request_id in served
        self.unserved = {key: 0 if got else self.unserved.get(key, 0) + 1 for key, got in keys.items()}
        assert all(count <= 1 for count in self.unserved.values()), "two keys take turns"

    def move(self, moves: Moves) -> None:
        for release in moves.releases:
            held = self.slots.pop(release.slot)
            if release.parks and release.park_end > release.park_start:
                payload = encode(held[release.park_start : release.park_end])
                release.sequence.parked = Parked(start=release.park_start, end=release.park_end, payload=payload)
        for sequence in moves.finished:
            assert sequence.finish_reason is not None
            self.end(sequence.request_id, sequence.finish_reason)
        for admission in moves.admissions:
            self.scheduler.adopt(admission, num_tokens=self.fill(admission))

    def fill(self, admission: Admission) -> int:
        match, sequence = admission.match, admission.sequence
        self.matches[sequence.request_id] = match
        assert admission.slot not in self.slots
        held: list[int] = []
        if match.slot is not None:
            held = self.slots[match.slot][: match.num_slot_tokens]
            assert len(held) == match.num_slot_tokens
        for payload in self.cache.read(match.stored_keys):
            if payload is None or self.damage():
                break
            held += decode(payload)[: match.num_tokens - len(held)]
        else:
            if sequence.parked is not None and sequence.parked.start == len(held):
                held += decode(sequence.parked.payload)
        self.slots[admission.slot] = held
        assert held == sequence.token_ids[: len(held)]
        return len(held)

    def run(self, plan: StepPlan, index: int) -> EngineUpdate:
        chunk = plan.chunks[index]
        request_id = chunk.sequence.request_id
        slot = chunk.sequence.slot
        assert slot is not None
        held = self.slots[slot]
        assert len(held) == chunk.start
        held += chunk.sequence.token_ids[chunk.start : chunk.end]
        self.num_computed += chunk.num_tokens
        if not chunk.wants_logits:
            return EngineUpdate(request_id=request_id)
        token = next_token(held)
        if token == END:
            return EngineUpdate(request_id=request_id, finish_reason=FinishReason.STOP)
        tokens = [token]
        while len(tokens) < 40 and tokens[-1] % 7 == 3:  # stands for tokens that a constraint forces
            following = next_token(held + tokens)
            if following == END:
                break
            tokens.append(following)
        return EngineUpdate(request_id=request_id, token_ids=tokens)

    def save(self, save: Save) -> None:
        payload = encode(self.slots[save.slot][save.start : save.end])
        assert len(payload) == 4 * (save.end - save.start)
        token_ids = save.sequence.token_ids[save.start : save.end]
        self.cache.insert(save.key, payload, save.parent, token_ids=token_ids, salt=save.sequence.request.cache_salt)

    def end(self, request_id: str, reason: FinishReason) -> None:
        assert request_id not in self.ends, "a request ends exactly once"
        self.ends[request_id] = reason

    def drain(self, most_steps: int = 5000) -> None:
        start = self.steps
        while self.scheduler.has_work:
            self.step()
            assert self.steps - start < most_steps, "no progress"
        assert not self.slots
        assert self.scheduler.stats().num_cells_used == 0


def limits(*, is_canonical: bool = False, **changes: int) -> SchedulerLimits:
    values = {"max_sequences": 4, "num_cells": 2048, "context_length": 1024, "batch_tokens": 256} | changes
    return SchedulerLimits(**values, is_canonical=is_canonical)


def new_loop(ram_bytes: int = 1 << 20, **changes: int) -> Loop:
    return Loop(limits(is_canonical=False, **changes), BlockPrefixCache(BlockStore(ram_budget_bytes=ram_bytes)))


def prompt(seed: int, length: int) -> list[int]:
    source = random.Random(seed)
    return [source.randrange(1, VOCAB) for _ in range(length)]


CACHES: dict[str, Callable[[BlockStore], PrefixCache]] = {
    "blocks": BlockPrefixCache,
    "snapshots": SnapshotPrefixCache,
    "null": lambda _: NullPrefixCache(),
}


@pytest.mark.parametrize("kind", CACHES)
@pytest.mark.parametrize("seed", range(12))
def test_answers_equal_those_of_serving_one_by_one_whatever_happens(kind: str, seed: int) -> None:
    source = random.Random(f"{kind} {seed}")
    num_cells = source.choice([200, 400, 1000, 3000])
    values = limits(
        max_sequences=source.randrange(1, 7),
        num_cells=num_cells,
        context_length=source.choice([num_cells, num_cells * 3 // 4]),
        batch_tokens=source.choice([8, 40, 130, 512]),
        chunk_tokens=source.choice([1, 16, 64]),
        burst_tokens=source.choice([1, 5, 32]),
        queue_limit=10,
    )
    store = BlockStore(ram_budget_bytes=source.choice([0, 2000, 20_000, 1 << 20]))
    cache = CACHES[kind](store)
    loop = Loop(values, cache, damage=lambda: source.random() < 0.02)
    roots = [prompt(seed * 10 + i, min(400, num_cells * 2 // 3)) for i in range(3)]
    requests: dict[str, tuple[list[int], int]] = {}
    refused = 0
    for turn in range(150):
        action = source.random()
        if action < 0.45:
            root = source.choice([*roots, *(p for p, _ in list(requests.values())[-3:])])
            tokens = root[: source.randrange(1, len(root) + 1)] + prompt(turn, source.choice([0, 1, 30, 70]))
            max_tokens = source.choice([1, 20, 300])
            name = f"r{turn}"
            try:
                salt, deadline_s = source.choice(["", "", "", "x"]), source.choice([None] * 8 + [90.0])
                key = source.choice("ab")
                loop.add(name, tokens, max_tokens, fairness_key=key, cache_salt=salt, deadline_s=deadline_s)
            except (Overloaded, ContextTooLong):
                refused += 1
            else:
                requests[name] = (tokens, max_tokens)
        elif action < 0.5 and requests:
            loop.scheduler.abort(source.choice(list(requests)))
        elif action < 0.52:
            cache.clear()
        elif action < 0.55:
            cache.evict(5000)
        elif action < 0.58 and (moves := loop.scheduler.relieve()) is not None:
            loop.move(moves)
        else:
            loop.step()
    loop.drain()
    assert set(loop.ends) == set(requests)
    for name, (tokens, max_tokens) in requests.items():
        expected, reason = naive_completion(tokens, max_tokens, values.context_length)
        if loop.ends[name] in (FinishReason.ABORT, FinishReason.DEADLINE):
            assert loop.outputs[name] == expected[: len(loop.outputs[name])]
        else:
            assert (loop.outputs[name], loop.ends[name]) == (expected, reason)
    assert requests
    store.evict(1 << 30)
    assert not list(store.held_keys()), "nothing stays locked"


def test_requests_with_a_common_prefix_cost_one_prefill_of_it() -> None:
    loop = new_loop(max_sequences=8, num_cells=8192, context_length=4096)
    shared = prompt(1, 2000)
    for i in range(8):
        loop.add(f"r{i}", shared + prompt(100 + i, 50), max_tokens=3)
    loop.drain()
    computed = loop.scheduler.stats().total_prompt_tokens_computed
    assert computed == 2050 + 7 * 50
    assert loop.scheduler.stats().total_prompt_tokens_cached == 7 * 2000


@pytest.mark.parametrize("kind", ["blocks", "snapshots"])
def test_twins_in_flight_cost_one_prefill(kind: str) -> None:
    loop = Loop(
        limits(max_sequences=8, num_cells=8192, context_length=1024), CACHES[kind](BlockStore(ram_budget_bytes=1 << 20))
    )
    for i in range(5):
        loop.add(f"r{i}", prompt(1, 500), max_tokens=3)
    loop.drain()
    rest = 500 - 499 // BLOCK_SIZE * BLOCK_SIZE if kind == "snapshots" else 1
    assert loop.scheduler.stats().total_prompt_tokens_computed == 500 + 4 * rest


def test_without_a_cache_nobody_waits_for_a_twin() -> None:
    loop = Loop(limits(), NullPrefixCache())
    loop.add("a", prompt(1, 300))
    loop.add("b", prompt(1, 300))
    loop.step()
    assert len(loop.scheduler.running) == 2
    loop.drain()
    assert loop.scheduler.stats().total_prompt_tokens_computed == 600


def test_each_prompt_token_that_was_computed_is_said_once_and_whoever_waits_for_it_computed_nothing() -> None:
    loop = new_loop()
    leader = loop.add("leader", prompt(1, 1000))
    follower = loop.add("follower", prompt(1, 1000))
    loop.step()
    loop.step()
    assert leader.num_prompt_computed == loop.num_computed > 0
    loop.scheduler.abort("leader")
    loop.scheduler.abort("follower")
    loop.drain()
    assert (leader.num_prompt_computed, follower.num_prompt_computed) == (loop.num_computed, 0)
    again = loop.add("again", prompt(1, 1000))
    loop.drain()
    assert again.num_cached is not None
    assert again.num_cached + again.num_prompt_computed == 1000
    assert again.num_cached <= leader.num_prompt_computed, "a hit was paid as a miss before"


def test_a_preemption_lets_nobody_pay_twice() -> None:
    loop = Loop(limits(), NullPrefixCache())
    loop.add("a", prompt(1, 200), max_tokens=500)
    young = loop.add("b", prompt(2, 300))
    while not young.num_prompt_computed:
        loop.step()
    before = young.num_prompt_computed
    moves = loop.scheduler.relieve()
    assert moves is not None
    loop.move(moves)
    young.parked = None  # it is computed again
    loop.step()
    assert before <= young.num_prompt_computed <= 300
    loop.drain()
    assert young.num_prompt_computed == 300
    assert loop.scheduler.stats().total_prompt_tokens_computed >= 500 + before


def test_a_follower_takes_over_when_the_leader_is_aborted() -> None:
    loop = new_loop(batch_tokens=64, num_cells=4096)
    for name in "abc":
        loop.add(name, prompt(1, 600), max_tokens=2)
    loop.step()
    loop.step()
    assert [sequence.request_id for sequence in loop.scheduler.running] == ["a"]
    loop.scheduler.abort("a")
    loop.step()
    assert [sequence.request_id for sequence in loop.scheduler.running] == ["b"]
    assert loop.ends == {"a": FinishReason.ABORT}
    loop.drain()
    assert loop.scheduler.stats().total_prompt_tokens_computed == 600 + 1


def test_a_conversation_that_goes_on_computes_only_what_is_new() -> None:
    loop = new_loop()
    first = prompt(1, 200)
    loop.add("a", first, max_tokens=100)
    loop.drain()
    second = [*first, *loop.outputs["a"], *prompt(2, 20)]
    before = loop.num_computed
    loop.add("b", second, max_tokens=1)
    loop.drain()
    assert loop.ends["a"] is FinishReason.STOP  # with LENGTH the last token would not be computed yet
    known = len(first) + len(loop.outputs["a"])
    assert loop.num_computed - before == len(second) - known


def test_salts_share_nothing() -> None:
    loop = new_loop()
    loop.add("a", prompt(1, 200), cache_salt="x")
    loop.drain()
    loop.add("b", prompt(1, 200), cache_salt="y")
    loop.drain()
    assert (loop.matches["b"].num_tokens, loop.matches["b"].reason) == (0, MissReason.UNKNOWN)


def test_a_preempted_sequence_resumes_without_computing_anything_again() -> None:
    for kind in CACHES:
        cache = CACHES[kind](BlockStore(ram_budget_bytes=1 << 20))
        loop = Loop(limits(max_sequences=2, num_cells=420, context_length=400), cache)
        loop.add("old", prompt(1, 150), max_tokens=200)
        loop.add("young", prompt(2, 130), max_tokens=100)
        loop.drain()
        assert loop.scheduler.stats().total_preemptions >= 1
        num_uncounted = 0
        for name, seed, length, most in (("old", 1, 150, 200), ("young", 2, 130, 100)):
            assert loop.outputs[name] == naive_completion(prompt(seed, length), most, 400)[0]
            # The token behind the last one is never computed, except to find that the end is next.
            num_uncounted += loop.ends[name] is FinishReason.LENGTH
        assert loop.num_computed == 150 + 130 + sum(map(len, loop.outputs.values())) - num_uncounted


def test_the_youngest_is_preempted_and_resumed_before_a_newcomer() -> None:
    loop = new_loop(max_sequences=3, num_cells=600, context_length=500)
    loop.add("a", prompt(1, 120), max_tokens=300)
    loop.add("b", prompt(2, 120), max_tokens=50)
    loop.step()
    moves = loop.scheduler.relieve()
    assert moves is not None
    assert [release.sequence.request_id for release in moves.releases] == ["b"]
    loop.move(moves)
    assert moves.releases[0].sequence.state is SequenceState.PREEMPTED
    loop.add("c", prompt(3, 300))
    loop.step()
    assert [sequence.request_id for sequence in loop.scheduler.running] == ["a", "b"]
    loop.drain()


def test_a_newcomer_does_not_take_the_room_that_a_preempted_sequence_waits_for() -> None:
    loop = new_loop(max_sequences=3, num_cells=420, context_length=400)
    loop.add("old", prompt(1, 150), max_tokens=240)
    loop.add("young", prompt(2, 130), max_tokens=100)
    while not loop.scheduler.stats().num_preempted:
        loop.step()
    loop.add("small", [1, 2, 3], max_tokens=1)
    loop.step()
    assert [sequence.request_id for sequence in loop.scheduler.running] == ["old"]
    loop.drain()


def test_a_large_request_is_not_overtaken_for_ever_by_small_ones() -> None:
    loop = new_loop(max_sequences=4, num_cells=1000, context_length=1000)
    loop.add("first", prompt(1, 400), max_tokens=100)
    loop.step()
    loop.add("large", prompt(2, 700), max_tokens=1)
    loop.add("small", [1, 2, 3], max_tokens=1)
    loop.step()
    assert [sequence.request_id for sequence in loop.scheduler.running] == ["first"]
    loop.drain()
    assert next(iter(loop.ends)) == "first"


def test_two_that_enter_together_share_what_the_store_holds() -> None:
    loop = new_loop()
    loop.add("a", prompt(1, 300))
    loop.drain()
    loop.add("b", prompt(1, 300))
    loop.add("c", prompt(1, 300))
    loop.step()
    assert loop.matches["b"].num_tokens_in(Tier.RAM) == 299
    assert loop.matches["c"].num_tokens_in(Tier.SLOT) == 299
    loop.drain()


def test_a_snapshot_is_taken_where_a_follower_departs_from_its_leader() -> None:
    loop = Loop(limits(), SnapshotPrefixCache(BlockStore(ram_budget_bytes=1 << 20)))
    shared = prompt(1, 300)
    loop.add("a", shared + prompt(2, 200), max_tokens=1)
    follower = loop.add("b", shared + prompt(3, 200), max_tokens=1)
    loop.drain()
    assert follower.num_cached == 256


def test_a_preempted_sequence_that_is_aborted_leaves_nothing_locked() -> None:
    store = BlockStore(ram_budget_bytes=1 << 20)
    loop = Loop(limits(), BlockPrefixCache(store))
    loop.add("a", prompt(1, 150), max_tokens=500)
    loop.add("b", prompt(2, 150), max_tokens=500)
    loop.step()
    moves = loop.scheduler.relieve()
    assert moves is not None
    loop.move(moves)
    loop.scheduler.abort("b")
    loop.scheduler.abort("a")
    loop.drain()
    store.evict(1 << 30)
    assert not list(store.held_keys())


def test_a_single_sequence_is_never_preempted() -> None:
    loop = new_loop()
    loop.add("a", prompt(1, 100))
    loop.step()
    assert loop.scheduler.relieve() is None


def test_a_long_prompt_leaves_every_stream_a_token_each_step() -> None:
    loop = new_loop(num_cells=8192, context_length=5000, batch_tokens=512, chunk_tokens=128)
    seed = next(s for s in range(100) if naive_completion(prompt(s, 10), 200, 5000)[1] is FinishReason.LENGTH)
    loop.add("stream", prompt(seed, 10), max_tokens=200)
    loop.step()
    loop.add("long", prompt(2, 4000), max_tokens=1)
    for _ in range(4):
        loop.step()
        shares = {chunk.sequence.request_id: chunk.num_tokens for chunk in loop.last_plan.chunks}
        assert 64 <= shares["long"] <= 128
        assert shares["stream"] >= 1
    loop.scheduler.abort("stream")
    loop.step()
    assert 448 < loop.last_plan.num_tokens <= 512


def test_chunks_beside_a_stream_shrink_where_the_measured_cost_of_a_token_grows() -> None:
    loop = new_loop(num_cells=8192, context_length=5000, batch_tokens=512, chunk_tokens=128)
    loop.seconds_of = lambda num_tokens, num_cells: num_tokens * (1 + num_cells / 1000)
    seed = next(s for s in range(100) if naive_completion(prompt(s, 10), 300, 5000)[1] is FinishReason.LENGTH)
    loop.add("before", prompt(1, 4000), max_tokens=1)
    loop.drain()
    loop.add("stream", prompt(seed, 10), max_tokens=300)
    loop.step()
    long = loop.add("long", prompt(2, 4000), max_tokens=1)
    shares = []
    while loop.scheduler.has_work and long.num_completion_tokens == 0 and not long.is_finished:
        loop.step()
        shares += [chunk.num_tokens for chunk in loop.last_plan.chunks if chunk.sequence is long]
    assert shares[0] > 192
    assert shares[-1] < 128
    seconds = [num * (1 + sum(shares[:i]) / 1000) for i, num in enumerate(shares)]
    assert max(seconds) < sum(seconds) / 20


def test_prompts_of_two_keys_take_turns() -> None:
    loop = new_loop(num_cells=8192, context_length=4096, batch_tokens=128)
    loop.add("a", prompt(1, 3200), fairness_key="a")
    loop.add("a2", prompt(2, 3200), fairness_key="a")
    loop.add("b", prompt(3, 384), fairness_key="b")
    for _ in range(6):
        loop.step()
    progress = {sequence.request_id: sequence.num_computed for sequence in loop.scheduler.running}
    assert progress["a"] == 384
    assert progress["a2"] == 0
    assert len(loop.outputs["b"]) > 0


def test_queued_requests_of_two_keys_take_turns() -> None:
    loop = new_loop(max_sequences=1)
    for i in range(4):
        loop.add(f"a{i}", prompt(i, 20), max_tokens=1, fairness_key="a")
    loop.add("b0", prompt(9, 20), max_tokens=1, fairness_key="b")
    loop.drain()
    assert list(loop.ends)[:3] == ["a0", "b0", "a1"]


def test_a_full_queue_refuses_at_once() -> None:
    loop = new_loop(max_sequences=1, queue_limit=2)
    for i in range(3):
        loop.add(f"r{i}", [1])
    with pytest.raises(Overloaded):
        loop.add("r3", [1])
    loop.drain()
    assert set(loop.ends) == {"r0", "r1", "r2"}


def test_a_prompt_that_fills_the_context_is_refused() -> None:
    loop = new_loop(context_length=100)
    with pytest.raises(ContextTooLong) as caught:
        loop.add("r", [1] * 100)
    assert (caught.value.context_length, caught.value.num_prompt_tokens) == (100, 100)
    loop.add("fits", [1] * 99)
    loop.drain()
    assert loop.ends["fits"] in {FinishReason.LENGTH, FinishReason.STOP}


def test_an_id_in_use_and_an_empty_prompt_are_refused() -> None:
    loop = new_loop()
    loop.add("r", [1])
    for name, tokens in (("r", [1]), ("empty", [])):
        with pytest.raises(EngineError):
            loop.add(name, tokens)


def test_an_abort_frees_its_slot_in_the_next_step() -> None:
    loop = new_loop(max_sequences=1)
    loop.add("a", prompt(1, 30), max_tokens=500)
    loop.add("b", prompt(2, 30), max_tokens=500)
    loop.step()
    loop.scheduler.abort("a")
    loop.scheduler.abort("a")
    loop.scheduler.abort("unknown")
    loop.step()
    assert [sequence.request_id for sequence in loop.scheduler.running] == ["b"]


def test_an_abort_while_the_batch_runs_ends_the_request_once() -> None:
    loop = new_loop()
    loop.add("a", prompt(1, 30), max_tokens=500)
    loop.move(loop.scheduler.arrange(1.0))
    plan = loop.scheduler.plan()
    results = [loop.run(plan, 0)]
    loop.scheduler.abort("a")
    outcome = loop.scheduler.commit(plan, results)
    assert not outcome.updates
    assert not outcome.releases
    loop.drain()
    assert loop.ends == {"a": FinishReason.ABORT}


def test_deadlines_end_running_waiting_and_preempted_sequences() -> None:
    loop = new_loop(max_sequences=2)
    loop.add("running", prompt(1, 30), max_tokens=500, deadline_s=5.0)
    loop.add("preempted", prompt(2, 30), max_tokens=500, deadline_s=1.5)
    loop.step()
    moves = loop.scheduler.relieve()
    assert moves is not None
    loop.move(moves)
    loop.add("waiting", prompt(3, 30), max_tokens=500, deadline_s=1.0)
    loop.step()
    assert loop.ends == {"preempted": FinishReason.DEADLINE, "waiting": FinishReason.DEADLINE}
    loop.drain()
    assert loop.ends["running"] is FinishReason.DEADLINE


def test_an_error_of_one_chunk_ends_that_sequence_alone() -> None:
    loop = new_loop()
    loop.add("a", prompt(1, 30))
    loop.add("b", prompt(2, 30))
    loop.move(loop.scheduler.arrange(1.0))
    plan = loop.scheduler.plan()
    results = [EngineUpdate(request_id="a", finish_reason=FinishReason.ERROR, error="matcher"), loop.run(plan, 1)]
    outcome = loop.scheduler.commit(plan, results)
    assert outcome.updates[0].finish_reason is FinishReason.ERROR
    assert outcome.updates[0].error == "matcher"
    for release in outcome.releases:
        del loop.slots[release.slot]
    loop.drain()
    assert set(loop.ends) == {"b"}


def test_what_cannot_be_read_is_computed_and_not_counted_as_cached() -> None:
    loop = new_loop()
    loop.add("a", prompt(1, 200))
    loop.drain()
    loop.damage = lambda: True
    sequence = loop.add("b", prompt(1, 200))
    loop.drain()
    assert loop.matches["b"].num_tokens_in(Tier.RAM) == 199
    assert loop.matches["b"].reason is MissReason.COMPLETE
    assert sequence.num_cached == 0
    assert loop.outputs["b"] == loop.outputs["a"]


def test_bursts_never_exceed_the_step() -> None:
    loop = new_loop(max_sequences=4, batch_tokens=5, burst_tokens=32, num_cells=4096)
    for i in range(4):
        loop.add(f"r{i}", [1 + i] * 3, max_tokens=200)
    loop.step()
    while loop.scheduler.has_work:
        loop.step()
    for i in range(4):
        assert loop.outputs[f"r{i}"] == naive_completion([1 + i] * 3, 200, 1024)[0]
