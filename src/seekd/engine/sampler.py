"""Logits and parameters in, a token and its log-probabilities out.

Pure but for the generator that each sequence owns.

The order is: penalties, mask, temperature, top_p, draw. Nothing sorts the whole vocabulary: a sort costs 12 ms a token
at 150,000 entries, a partition 1.8 ms, one pass of arithmetic 0.05 ms. So whole rows get passes only, and what has to
be ordered is first narrowed down to candidates by a bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seekd.engine.types import Sampling, TokenLogprobs

Logits = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# Below this temperature the draw is greedy: the next best token's weight underflows for any gap that matters.
_GREEDY_TEMPERATURE = 1e-4
_FEW = 8  # of so many entries one is allowed: gathering them costs less than passes over whole rows
_LIKELY = 1e-3  # weight, where the likeliest token has 1
_RUN = 512  # entries that are summed, or compared, at once

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledToken:
    """A chosen token; `logprobs` is None when the request asked for none."""

    token_id: int
    logprobs: TokenLogprobs | None = None


class Sampler:
    """Chooses the tokens of one sequence.

    A draw depends on the logits, the parameters and the sequence's own generator only, so what else is in a batch
    never changes it. One uniform number is drawn a token, whatever the parameters are.
    """

    def __init__(self, params: Sampling) -> None:
        self._params = params
        # The generator takes no negative seed, which the API allows.
        self._random = np.random.Generator(np.random.PCG64(None if params.seed is None else params.seed % (1 << 64)))
        self._counts: dict[int, int] = {}

    def sample(self, logits: Logits, *, allowed: Mask | None = None) -> SampledToken:
        """Choose the next token; it counts for later penalties.

        Args:
            logits: the model's own, shape `(vocab_size,)`; not changed.
            allowed: which tokens may be chosen, same shape, at least one; None allows all.
        """
        scores = self._penalised(logits)
        token_id = self._choose(scores) if allowed is None else self._choose_allowed(scores, allowed)
        self.count(token_id)
        num_top = self._params.num_top_logprobs
        return SampledToken(
            token_id=token_id,
            logprobs=None if num_top is None else token_logprobs(logits, token_id, num_top=num_top),
        )

    def count(self, token_id: int) -> None:
        """Let a token that was not drawn here (a forced one) count for later penalties."""
        self._counts[token_id] = self._counts.get(token_id, 0) + 1

    def _penalised(self, logits: Logits) -> Logits:
        presence, frequency = self._params.presence_penalty, self._params.frequency_penalty
        if not self._counts or (presence == 0 and frequency == 0):
            return logits
        scores = logits.copy()
        ids = np.fromiter(self._counts.keys(), dtype=np.int64, count=len(self._counts))
        counts = np.fromiter(self._counts.values(), dtype=np.float32, count=len(self._counts))
        scores[ids] -= np.float32(presence) + np.float32(frequency) * counts
        return scores

    def _choose_allowed(self, scores: Logits, allowed: Mask) -> int:
        if np.count_nonzero(allowed) > len(allowed) // _FEW:
            return self._choose(np.where(allowed, scores, np.float32(-np.inf)))
        ids = np.flatnonzero(allowed)
        return int(ids[self._choose(scores[ids])])

    def _choose(self, scores: Logits) -> int:
        if self._params.temperature <= _GREEDY_TEMPERATURE:
            return int(scores.argmax())  # the lowest id of equals
        draw = self._random.random()
        weights = _weights(scores, self._params.temperature)
        if self._params.top_p >= 1:
            return _at(weights, draw)
        ids = _nucleus(weights, self._params.top_p)
        return int(ids[_at(weights[ids], draw)])


def token_logprobs(logits: Logits, token_id: int, *, num_top: int) -> TokenLogprobs:
    """The log-softmax of the raw logits at one token and at the `num_top` best, ties by lower id first."""
    log_total = float(logits.max()) + math.log(float(_weights(logits, 1.0).sum(dtype=np.float64)))
    return TokenLogprobs(
        logprob=float(logits[token_id]) - log_total,
        top=tuple((int(i), float(logits[i]) - log_total) for i in _best(logits, num_top)),
    )


def _best(logits: Logits, count: int) -> npt.NDArray[np.int64]:
    """The ids of the `count` largest values, best first, ties by lower id first."""
    if count == 0:
        return np.empty(0, dtype=np.int64)
    num_runs = len(logits) // _RUN
    if num_runs > count:
        # The `count` runs with the largest maxima hold `count` values at least as large as the last of those maxima.
        peaks = logits[: num_runs * _RUN].reshape(num_runs, _RUN).max(axis=1)
        candidates = np.flatnonzero(logits >= np.partition(peaks, -count)[-count])
    else:
        candidates = np.arange(len(logits))
    return candidates[np.lexsort((candidates, -logits[candidates]))][:count]


def _weights(scores: Logits, temperature: float) -> Weights:
    """Unnormalised probabilities at a temperature; the largest is 1."""
    scaled: Weights = (scores - scores.max()) * np.float32(1 / temperature)
    np.exp(scaled, out=scaled)
    return scaled


def _nucleus(weights: Weights, top_p: float) -> npt.NDArray[np.int64]:
    """The fewest most likely tokens whose share of the sum reaches `top_p`, by id; of equals the lower ids."""
    total = float(weights.sum(dtype=np.float64))
    # Everything below the second bound adds up to less than what the nucleus may leave out. The first leaves far fewer
    # to sort, and mostly they are enough: what they add up to says so.
    for bound in (_LIKELY, total * (1 - top_p) / len(weights)):
        candidates = np.flatnonzero(weights >= bound)
        values = weights[candidates]
        descending = np.sort(values)[::-1]  # of plain values, which numpy sorts with vector instructions
        reached = np.cumsum(descending, dtype=np.float64)
        if reached[-1] >= top_p * total:
            break
    count = min(int(np.searchsorted(reached, top_p * total)) + 1, len(values))
    smallest = descending[count - 1]
    above = values > smallest
    equal = np.flatnonzero(values == smallest)[: count - int(np.count_nonzero(above))]
    above[equal] = True
    chosen: npt.NDArray[np.int64] = candidates[above]
    return chosen


def _at(weights: Weights, draw: float) -> int:
    """The index at which the running sum of `weights` passes `draw`, in [0, 1), of their total; its weight is not 0."""
    num_runs = len(weights) // _RUN
    rest = num_runs * _RUN
    sums = weights[:rest].reshape(num_runs, _RUN).sum(axis=1, dtype=np.float64)
    reached = np.cumsum(np.append(sums, weights[rest:].sum(dtype=np.float64)))
    target = draw * reached[-1]
    run = min(int(np.searchsorted(reached, target, side="right")), num_runs)
    before = float(reached[run - 1]) if run else 0.0
    part = weights[run * _RUN : (run + 1) * _RUN]
    index = int(np.searchsorted(before + np.cumsum(part, dtype=np.float64), target, side="right"))
    if index == len(part):  # rounding at the end of the run
        held = np.flatnonzero(part)
        return run * _RUN + int(held[-1]) if len(held) else int(weights.argmax())
    return run * _RUN + index
