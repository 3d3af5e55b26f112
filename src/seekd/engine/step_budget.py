"""Shares the tokens of one batch between running sequences.

Room: engine. May import: engine.sequence, engine.plan, engine.fairness. Pure.

    | streams: one token each, then bursts, oldest first | prompts: keys in turn, oldest first | rests of bursts |
    |<---------------------------------------- step_tokens at most ------------------------------------------>|
                                                         |<--- prompt_tokens_beside_streams at most -------->|

A stream is a sequence whose completion has begun: somebody reads along. While there are streams prompts get at most
`prompt_tokens_beside_streams`, so that the streams' gap is bounded, and at least one token, so that no burst holds up
a prompt.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

from seekd.engine.fairness import Rotation
from seekd.engine.plan import Chunk, StepPlan
from seekd.engine.sequence import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerLimits:
    """What a context can hold and what a step may take.

    Attributes:
        num_slots: most running sequences.
        num_cells: cells of the unified memory, shared by all slots.
        context_length: most tokens of one sequence, prompt and completion; at most `num_cells`.
        step_tokens: most tokens of one batch; at least `num_slots`.
        prompt_tokens_beside_streams: most tokens per step beyond the streams' own while there are streams. Smaller
            bounds their gap tighter and makes prompts slower.
        burst_tokens: most tokens of one stream in its own share (tokens that a constraint forces come in bursts).
        max_waiting: most requests in the queue beyond the free slots.
    """

    num_slots: int
    num_cells: int
    context_length: int
    step_tokens: int = 512
    prompt_tokens_beside_streams: int = 128
    burst_tokens: int = 32
    max_waiting: int = 256

    def __post_init__(self) -> None:
        assert 0 < self.num_slots <= self.step_tokens
        assert 0 < self.context_length <= self.num_cells
        assert self.prompt_tokens_beside_streams > 0
        assert self.burst_tokens > 0


def plan_step(sequences: SequenceOf[Sequence], limits: SchedulerLimits, turns: Rotation) -> StepPlan:
    """Fill one batch.

    Args:
        sequences: running and not finished, oldest first.
        limits: what the batch may take.
        turns: whose prompts are next; the keys that are served go to its end.

    Returns:
        A chunk for each stream and for some of the others; empty only when there are no sequences.
    """
    streams = [sequence for sequence in sequences if _is_stream(sequence)]
    others = [sequence for sequence in sequences if not _is_stream(sequence)]
    room = limits.step_tokens
    if streams and others:  # what bursts may not take: at least one token, as num_slots <= step_tokens
        room -= min(limits.prompt_tokens_beside_streams, room - len(streams))
    shares = dict.fromkeys((sequence.arrival for sequence in sequences), 0)
    _share_streams(streams, shares, room, limits.burst_tokens)
    left = limits.step_tokens - sum(shares.values())
    if streams:
        left = min(left, limits.prompt_tokens_beside_streams)
    for sequence in (*_in_turn(others, turns), *streams):
        extra = min(left, sequence.num_uncomputed - shares[sequence.arrival])
        if extra and not _is_stream(sequence):
            turns.serve(sequence.request.fairness_key)
        shares[sequence.arrival] += extra
        left -= extra
    return StepPlan(
        chunks=[_chunk(sequence, shares[sequence.arrival]) for sequence in sequences if shares[sequence.arrival]]
    )


def _share_streams(streams: list[Sequence], shares: dict[int, int], room: int, burst_tokens: int) -> None:
    """One token for each stream, then bursts, oldest first."""
    for sequence in streams:
        shares[sequence.arrival] = 1
    room -= len(streams)
    for sequence in streams:
        extra = min(room, min(sequence.num_uncomputed, burst_tokens) - 1)
        shares[sequence.arrival] += extra
        room -= extra


def _in_turn(sequences: list[Sequence], turns: Rotation) -> Iterator[Sequence]:
    by_key: dict[str, list[Sequence]] = {}
    for sequence in sequences:
        by_key.setdefault(sequence.request.fairness_key, []).append(sequence)
    for key in turns.order(by_key):
        yield from by_key[key]


def _chunk(sequence: Sequence, num_tokens: int) -> Chunk:
    start = sequence.num_computed
    end = start + num_tokens
    stop = next((stop for stop in sequence.stops if stop > start), None)
    if stop is not None:
        end = min(end, stop)
    return Chunk(sequence=sequence, start=start, end=end, wants_logits=end == sequence.num_tokens)


def _is_stream(sequence: Sequence) -> bool:
    """Whether a reader waits for its next token: the completion has begun and only its own tokens are behind."""
    return sequence.num_completion_tokens > 0 and sequence.num_computed >= sequence.num_prompt_tokens
