from __future__ import annotations

import random

import pytest

from seekd.engine.schedule.fairness import Rotation
from seekd.engine.schedule.sequence import Sequence
from seekd.engine.schedule.step_budget import TILE_TOKENS, SchedulerLimits, plan_canonical_step, plan_step
from seekd.engine.types import EngineRequest


def new_sequence(arrival: int, *, prompt: int, computed: int, completion: int = 0, key: str = "") -> Sequence:
    request = EngineRequest(request_id=f"r{arrival}", prompt_token_ids=[1] * prompt, max_tokens=1000, fairness_key=key)
    return Sequence(
        request=request,
        arrival=arrival,
        arrival_s=0.0,
        max_num_tokens=10_000,
        token_ids=[1] * (prompt + completion),
        num_computed=computed,
        slot=arrival,
    )


def shares_of(
    sequences: list[Sequence], limits: SchedulerLimits, turns: Rotation | None = None, *, relative_cost: float = 1.0
) -> dict[int, int]:
    plan = plan_step(sequences, limits, turns or Rotation(), relative_cost=relative_cost)
    for chunk in plan.chunks:
        assert chunk.start == chunk.sequence.num_computed
        assert chunk.wants_logits == (chunk.end == chunk.sequence.num_tokens)
    return {chunk.sequence.arrival: chunk.num_tokens for chunk in plan.chunks}


def new_limits(*, is_canonical: bool = False, **changes: int) -> SchedulerLimits:
    values = {"max_sequences": 8, "num_cells": 10_000, "context_length": 10_000, "batch_tokens": 100}
    values |= {"chunk_tokens": 30, "burst_tokens": 10}
    return SchedulerLimits(**(values | changes), is_canonical=is_canonical)


def test_a_prompt_alone_gets_the_whole_step() -> None:
    assert shares_of([new_sequence(0, prompt=640, computed=0)], new_limits(batch_tokens=128)) == {0: 128}


def chunks_of(num_tokens: int, limits: SchedulerLimits, *, num_streams: int) -> list[int]:
    """The chunks that a prompt is cut into."""
    streams = [new_sequence(i, prompt=10, computed=10, completion=1) for i in range(num_streams)]
    prompt = new_sequence(num_streams, prompt=num_tokens, computed=0)
    chunks = []
    while prompt.num_uncomputed:
        chunks.append(shares_of([*streams, prompt], limits)[prompt.arrival])
        prompt.num_computed += chunks[-1]
    return chunks


def test_what_a_prompt_has_beyond_whole_tiles_is_computed_first_and_every_later_batch_fills_tiles() -> None:
    limits = new_limits(batch_tokens=512, chunk_tokens=128)
    assert chunks_of(1000, limits, num_streams=0) == [488, 512]
    assert chunks_of(500, limits, num_streams=1) == [122, 126, 126, 126]
    assert chunks_of(500, limits, num_streams=8) == [108, 112, 112, 112, 56]
    assert chunks_of(300, new_limits(batch_tokens=512, chunk_tokens=64), num_streams=1) == [
        63,
        63,
        63,
        111,
    ]


@pytest.mark.parametrize("num_tokens", [1, 63, 64, 65, 127, 200, 999])
@pytest.mark.parametrize("num_streams", [0, 1, 8])
def test_no_long_prompt_ends_in_a_batch_below_a_tile(num_tokens: int, num_streams: int) -> None:
    limits = new_limits(batch_tokens=512, chunk_tokens=128)
    chunks = chunks_of(num_tokens, limits, num_streams=num_streams)
    assert sum(chunks) == num_tokens
    assert num_streams + chunks[-1] >= min(TILE_TOKENS, num_streams + num_tokens)


def test_dear_tokens_are_fewer_and_cheap_ones_more_between_half_and_twice_as_many() -> None:
    stream = new_sequence(0, prompt=10, computed=10, completion=1)
    prompt = new_sequence(1, prompt=63 * 100, computed=0)
    limits = new_limits(batch_tokens=512, chunk_tokens=128)
    shares = [
        shares_of([stream, prompt], limits, relative_cost=relative_cost)[1]
        for relative_cost in (9.0, 1.4, 1.0, 0.6, 0.01)
    ]
    assert shares == [63, 63, 126, 189, 252]


def test_streams_that_nearly_fill_a_tile_do_not_keep_a_prompt_from_its_share() -> None:
    streams = [new_sequence(i, prompt=10, computed=10, completion=1) for i in range(60)]
    prompt = new_sequence(60, prompt=500, computed=0)
    limits = new_limits(max_sequences=64, batch_tokens=512, chunk_tokens=60)
    assert shares_of([*streams, prompt], limits)[60] >= 30


def test_a_prompt_beside_streams_gets_its_cap() -> None:
    streams = [new_sequence(i, prompt=10, computed=10, completion=1) for i in range(3)]
    assert shares_of([*streams, new_sequence(3, prompt=500, computed=0)], new_limits()) == {0: 1, 1: 1, 2: 1, 3: 30}


def test_a_key_whose_prompts_are_done_has_left_the_circle_of_turns() -> None:
    turns, limits = Rotation(), new_limits(batch_tokens=128)
    plan = [new_sequence(0, prompt=640, computed=0, key="a")]
    assert shares_of(plan, limits, turns) == {0: 128}
    assert shares_of([new_sequence(0, prompt=640, computed=640, completion=1, key="a")], limits, turns) == {0: 1}
    waiting = [new_sequence(1, prompt=640, computed=0, key="b"), new_sequence(2, prompt=640, computed=0, key="a")]
    assert shares_of(waiting, limits, turns) == {1: 128}


def test_forced_tokens_go_in_bursts_and_their_rest_only_where_prompts_leave_room() -> None:
    stream = new_sequence(0, prompt=10, computed=10, completion=60)
    assert shares_of([stream], new_limits()) == {0: 40}
    assert shares_of([stream, new_sequence(1, prompt=500, computed=0)], new_limits()) == {0: 10, 1: 30}
    assert shares_of([stream, new_sequence(1, prompt=20, computed=0)], new_limits()) == {0: 20, 1: 20}


def test_a_short_prompt_beside_a_long_one_shares_the_step() -> None:
    sequences = [new_sequence(0, prompt=40, computed=0), new_sequence(1, prompt=500, computed=0)]
    assert shares_of(sequences, new_limits()) == {0: 40, 1: 60}


def test_keys_take_turns_and_within_a_key_the_oldest_is_first() -> None:
    sequences = [
        new_sequence(0, prompt=640, computed=0, key="a"),
        new_sequence(1, prompt=640, computed=0, key="a"),
        new_sequence(2, prompt=640, computed=0, key="b"),
    ]
    turns, limits = Rotation(), new_limits(batch_tokens=128)
    assert [shares_of(sequences, limits, turns) for _ in range(3)] == [{0: 128}, {2: 128}, {0: 128}]


def test_a_chunk_ends_where_a_snapshot_is_wanted() -> None:
    sequence = new_sequence(0, prompt=500, computed=10)
    sequence.stops = [10, 64, 90]
    assert shares_of([sequence], new_limits()) == {0: 54}


@pytest.mark.parametrize("seed", range(30))
def test_every_stream_and_one_prompt_advance_and_the_step_is_never_exceeded(seed: int) -> None:
    source = random.Random(seed)
    sequences = []
    for arrival in range(source.randrange(1, 9)):
        length, completion = source.randrange(1, 200), source.choice([0, 0, 1, 5, 50])
        computed = length if completion and source.random() < 0.7 else source.randrange(length)
        sequences.append(new_sequence(arrival, prompt=length, computed=computed, completion=completion))
    limits = new_limits(batch_tokens=source.choice([8, 20, 100]), burst_tokens=source.choice([1, 10]))
    shares = shares_of(sequences, limits)
    assert 0 < sum(shares.values()) <= limits.batch_tokens
    streams = {s.arrival for s in sequences if s.num_computed >= s.num_prompt_tokens}
    others = {s.arrival for s in sequences} - streams
    assert streams <= set(shares)
    assert not others or others & set(shares)
    assert not streams or sum(shares.get(arrival, 0) for arrival in others) <= limits.chunk_tokens


def canonical_shares(sequences: list[Sequence], limits: SchedulerLimits) -> dict[int, tuple[int, int]]:
    plan = plan_canonical_step(sequences, limits, Rotation())
    return {chunk.sequence.arrival: (chunk.start, chunk.end) for chunk in plan.chunks}


def test_canonical_chunks_go_to_the_borders_of_blocks_whoever_runs_beside() -> None:
    limits = new_limits(is_canonical=True, batch_tokens=512, chunk_tokens=128)
    prompt = new_sequence(0, prompt=150, computed=0)
    streams = [new_sequence(i, prompt=10, computed=12, completion=3) for i in range(1, 5)]
    forced = new_sequence(5, prompt=60, computed=60, completion=10)
    borders = []
    while prompt.num_uncomputed:
        alone = canonical_shares([prompt], limits)[0]
        shares = canonical_shares([prompt, *streams, forced], limits)
        assert shares[0] == alone
        assert shares[1] == (12, 13)
        assert shares[5] == (60, 64)
        borders.append(alone)
        prompt.num_computed = alone[1]
    assert borders == [(0, 64), (64, 128), (128, 150)]


def test_canonical_steps_beside_streams_take_as_many_prompts_as_chunk_tokens_hold_and_one_at_least() -> None:
    prompts = [new_sequence(i, prompt=200, computed=0) for i in range(4)]
    stream = new_sequence(4, prompt=10, computed=10, completion=1)
    for chunk_tokens, expected in ((16, {0, 4}), (128, {0, 1, 4})):
        limits = new_limits(is_canonical=True, batch_tokens=512, chunk_tokens=chunk_tokens)
        assert set(canonical_shares([*prompts, stream], limits)) == expected
