from __future__ import annotations

import random

import pytest

from seekd.engine.fairness import Rotation
from seekd.engine.sequence import Sequence
from seekd.engine.step_budget import SchedulerLimits, plan_step
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


def shares_of(sequences: list[Sequence], limits: SchedulerLimits, turns: Rotation | None = None) -> dict[int, int]:
    plan = plan_step(sequences, limits, turns or Rotation())
    for chunk in plan.chunks:
        assert chunk.start == chunk.sequence.num_computed
        assert chunk.wants_logits == (chunk.end == chunk.sequence.num_tokens)
    return {chunk.sequence.arrival: chunk.num_tokens for chunk in plan.chunks}


def new_limits(**changes: int) -> SchedulerLimits:
    values = {"num_slots": 8, "num_cells": 10_000, "context_length": 10_000, "step_tokens": 100}
    values |= {"prompt_tokens_beside_streams": 30, "burst_tokens": 10}
    return SchedulerLimits(**(values | changes))


def test_a_prompt_alone_gets_the_whole_step() -> None:
    assert shares_of([new_sequence(0, prompt=500, computed=0)], new_limits()) == {0: 100}


def test_a_prompt_beside_streams_gets_its_cap() -> None:
    streams = [new_sequence(i, prompt=10, computed=10, completion=1) for i in range(3)]
    assert shares_of([*streams, new_sequence(3, prompt=500, computed=0)], new_limits()) == {0: 1, 1: 1, 2: 1, 3: 30}


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
        new_sequence(0, prompt=500, computed=0, key="a"),
        new_sequence(1, prompt=500, computed=0, key="a"),
        new_sequence(2, prompt=500, computed=0, key="b"),
    ]
    turns = Rotation()
    assert [shares_of(sequences, new_limits(), turns) for _ in range(3)] == [{0: 100}, {2: 100}, {0: 100}]


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
    limits = new_limits(step_tokens=source.choice([8, 20, 100]), burst_tokens=source.choice([1, 10]))
    shares = shares_of(sequences, limits)
    assert 0 < sum(shares.values()) <= limits.step_tokens
    streams = {s.arrival for s in sequences if s.num_computed >= s.num_prompt_tokens}
    others = {s.arrival for s in sequences} - streams
    assert streams <= set(shares)
    assert not others or others & set(shares)
    assert not streams or sum(shares.get(arrival, 0) for arrival in others) <= limits.prompt_tokens_beside_streams
