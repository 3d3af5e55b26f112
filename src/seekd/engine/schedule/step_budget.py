"""Shares the tokens of one batch between running sequences.

Pure.

    | streams: one token each, then bursts, oldest first | prompts: keys in turn, oldest first | rests of bursts |
    |<---------------------------------------- batch_tokens at most ----------------------------------------->|
                                                         |<------------ chunk_tokens, about ------------->|

A stream is a sequence whose completion has begun: somebody reads along. While there are streams prompts get about
`chunk_tokens`, so that the streams' gap is bounded, and at least one token, so that no burst holds up
a prompt.

About: what bounds the gap is time, and a token late in a long prompt costs more than an early one. So the number is
divided by the relative cost of a token now (step_cost.py), between half and twice of it. Then batches are made of whole
tiles, and what a long prompt has beyond whole tiles goes into its first chunk, where the memory holds least, not its
last:

    beside one stream      | 13 + 2 * 63 | 3 * 63 | 2 * 63 | ... | 1 * 63 | 1 * 63 |
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

from seekd.engine.cache.block_hash import BLOCK_SIZE
from seekd.engine.schedule.fairness import Rotation
from seekd.engine.schedule.plan import Chunk, StepPlan
from seekd.engine.schedule.sequence import Sequence

TILE_TOKENS = 64
"""llama.cpp computes attention in tiles of this many tokens of a batch. One token beyond a tile costs another whole
tile; a batch below one tile goes row by row, which is slower a token. Source: GGML_FA_TILE_Q in ggml's src/ggml-cpu."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerLimits:
    """What a context can hold and what a step may take.

    Attributes:
        max_sequences: most running sequences.
        num_cells: cells of the unified memory, shared by all slots.
        context_length: most tokens of one sequence, prompt and completion; at most `num_cells`.
        batch_tokens: most tokens of one batch; at least `max_sequences`.
        chunk_tokens: tokens per step beyond the streams' own while there are streams, where a token
            costs what it costs at 2,048 tokens of context. Smaller bounds their gap tighter and makes prompts slower.
        burst_tokens: most tokens of one stream in its own share (tokens that a constraint forces come in bursts).
        queue_limit: most requests in the queue beyond the free slots.
        is_canonical: whether chunks depend on positions only, and nothing else is shared or saved than what was
            computed in such chunks of prompts; see `plan_canonical_step`.
    """

    max_sequences: int
    num_cells: int
    context_length: int
    batch_tokens: int = 512
    chunk_tokens: int = 128
    burst_tokens: int = 32
    queue_limit: int = 256
    is_canonical: bool = False

    def __post_init__(self) -> None:
        assert 0 < self.max_sequences <= self.batch_tokens
        assert 0 < self.context_length <= self.num_cells
        assert self.chunk_tokens > 0
        assert self.burst_tokens > 0


def plan_step(
    sequences: SequenceOf[Sequence], limits: SchedulerLimits, turns: Rotation, *, relative_cost: float = 1.0
) -> StepPlan:
    """Fill one batch.

    Args:
        sequences: running and not finished, oldest first.
        limits: what the batch may take.
        turns: whose prompts are next; the keys that are served go to its end.
        relative_cost: what a prompt token costs now, see `StepCost`.

    Returns:
        A chunk for each stream and for some of the others; empty only when there are no sequences.
    """
    if all(_is_stream(sequence) and sequence.num_uncomputed == 1 for sequence in sequences):
        turns.order(())  # nobody's prompt waits
        return StepPlan(chunks=[_chunk(sequence, 1) for sequence in sequences])  # most steps: nothing to share out
    streams = [sequence for sequence in sequences if _is_stream(sequence)]
    others = [sequence for sequence in sequences if not _is_stream(sequence)]
    room = limits.batch_tokens
    prompt_tokens = _prompt_tokens(limits.chunk_tokens, relative_cost)
    if streams and others:  # what bursts may not take: at least one token, as max_sequences <= batch_tokens
        room -= min(prompt_tokens, room - len(streams))
    shares = dict.fromkeys((sequence.arrival for sequence in sequences), 0)
    _share_streams(streams, shares, room, limits.burst_tokens)
    num_taken = sum(shares.values())
    room = limits.batch_tokens - num_taken
    left = min(room, _fill_tiles(num_taken, prompt_tokens)) if streams else room
    for index, sequence in enumerate((*_in_turn(others, turns), *streams)):
        rest = sequence.num_uncomputed - shares[sequence.arrival]
        extra = min(_whole_tiles(rest, left, num_taken), room) if index == 0 and others else min(left, rest)
        if extra and not _is_stream(sequence):
            turns.serve(sequence.request.fairness_key)
        shares[sequence.arrival] += extra
        left = max(0, left - extra)
    return StepPlan(
        chunks=[_chunk(sequence, shares[sequence.arrival]) for sequence in sequences if shares[sequence.arrival]]
    )


def plan_canonical_step(sequences: SequenceOf[Sequence], limits: SchedulerLimits, turns: Rotation) -> StepPlan:
    """Fill one step with chunks whose borders depend on positions only, for a model that computes each by itself.

    A chunk goes to the next border of a block, or to the end of the known tokens:

        prompt of 150 tokens   | 0 .. 63 | 64 .. 127 | 128 .. 149 |   then one token each

    So a prompt's whole blocks are always computed in the same shapes, whoever runs beside it and whatever was cached.

    Args:
        sequences: running and not finished, oldest first.
        limits: what the step may take; one prompt's chunk is taken in any case.
        turns: whose prompts are next; the keys that are served go to its end.
    """
    streams = [sequence for sequence in sequences if _is_stream(sequence)]
    chunks = [_canonical_chunk(sequence) for sequence in streams]
    room = limits.chunk_tokens if streams else limits.batch_tokens
    num_taken = 0
    for sequence in _in_turn([sequence for sequence in sequences if not _is_stream(sequence)], turns):
        chunk = _canonical_chunk(sequence)
        if num_taken and num_taken + chunk.num_tokens > room:
            break
        turns.serve(sequence.request.fairness_key)
        chunks.append(chunk)
        num_taken += chunk.num_tokens
    return StepPlan(chunks=chunks)


def _canonical_chunk(sequence: Sequence) -> Chunk:
    border = (sequence.num_computed // BLOCK_SIZE + 1) * BLOCK_SIZE
    return _chunk(sequence, min(border, sequence.num_tokens) - sequence.num_computed)


def _prompt_tokens(wanted: int, relative_cost: float) -> int:
    return round(min(max(wanted / relative_cost, wanted / 2), wanted * 2))


def _fill_tiles(num_taken: int, wanted: int) -> int:
    """Up to `wanted` tokens beside those taken, so that whole tiles are filled; `wanted` where that would halve it."""
    filled = (num_taken + wanted) // TILE_TOKENS * TILE_TOKENS - num_taken
    return filled if 2 * filled >= wanted else wanted


def _whole_tiles(rest: int, left: int, num_taken: int) -> int:
    """How many of a prompt's `rest` tokens go into this batch, so that the last of them will fill a tile as well.

    Args:
        rest: tokens that are not computed yet.
        left: what the batch should take; a tile more is returned rather than that a last one would not be filled.
        num_taken: tokens of streams, in this batch and likely in the next ones.
    """
    unit = TILE_TOKENS - num_taken % TILE_TOKENS
    num_tiles = left // unit
    if rest <= left or num_tiles == 0:
        return min(rest, left)
    if num_tiles == 1:
        return rest if rest < 2 * unit else unit
    return num_tiles * unit - -rest % unit


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
