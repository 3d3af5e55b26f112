"""Logits and parameters in, a token and its log-probabilities out.

Room: engine. May import: engine.types, numpy. Pure but for the generator that each sequence owns.

The order is: penalties, mask, temperature, top_p, draw. Nothing sorts the whole vocabulary: a sort costs 12 ms a token
at 150,000 entries, a partition 1.8 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seekd.engine.types import SamplingParams, TokenLogprobs

Logits = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# Below this temperature the draw is greedy: the next best token's weight underflows for any gap that matters.
_GREEDY_TEMPERATURE = 1e-4
_FIRST_NUCLEUS_GUESS = 64
_NUCLEUS_GROWTH = 8


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

    def __init__(self, params: SamplingParams) -> None:
        self._params = params
        self._random = np.random.Generator(np.random.PCG64(params.seed))
        self._counts: dict[int, int] = {}

    def sample(self, logits: Logits, *, allowed: Mask | None = None) -> SampledToken:
        """Choose the next token; it counts for later penalties.

        Args:
            logits: the model's own, shape `(vocab_size,)`; not changed.
            allowed: which tokens may be chosen, same shape, at least one; None allows all.
        """
        scores = self._penalised(logits)
        if allowed is not None:
            scores = np.where(allowed, scores, np.float32(-np.inf))
        token_id = self._choose(scores)
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

    def _choose(self, scores: Logits) -> int:
        if self._params.temperature <= _GREEDY_TEMPERATURE:
            return int(scores.argmax())  # the lowest id of equals
        draw = self._random.random()
        weights = _softmax(scores, self._params.temperature)
        if self._params.top_p >= 1:
            return _at(weights, draw)
        ids = _nucleus(weights, self._params.top_p)
        return int(ids[_at(weights[ids], draw)])


def token_logprobs(logits: Logits, token_id: int, *, num_top: int) -> TokenLogprobs:
    """The log-softmax of the raw logits at one token and at the `num_top` best, ties by lower id first."""
    largest = logits.max()
    log_total = float(largest) + float(np.log(np.exp((logits - largest).astype(np.float64)).sum()))
    top: tuple[tuple[int, float], ...] = ()
    if num_top:
        num_top = min(num_top, len(logits))
        threshold = np.partition(logits, -num_top)[-num_top]
        ids = np.flatnonzero(logits >= threshold)
        ids = ids[np.lexsort((ids, -logits[ids]))][:num_top]
        top = tuple((int(i), float(logits[i]) - log_total) for i in ids)
    return TokenLogprobs(logprob=float(logits[token_id]) - log_total, top=top)


def _softmax(scores: Logits, temperature: float) -> npt.NDArray[np.float64]:
    """Probabilities at a temperature; in 64 bits, so that sums over a large vocabulary keep their tail."""
    scaled: npt.NDArray[np.float64] = (scores - scores.max()).astype(np.float64) / temperature
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum()
    return scaled


def _nucleus(weights: npt.NDArray[np.float64], top_p: float) -> npt.NDArray[np.int64]:
    """The fewest most likely tokens whose probabilities reach `top_p`, best first, ties by lower id first."""
    size = len(weights)
    count = min(_FIRST_NUCLEUS_GUESS, size)
    while True:
        threshold = np.partition(weights, size - count)[size - count] if count < size else 0.0
        ids = np.flatnonzero(weights >= threshold)  # with everything that ties with the last one
        ids = ids[np.lexsort((ids, -weights[ids]))]
        reached = np.cumsum(weights[ids])
        if reached[-1] >= top_p or count == size:
            return ids[: int(np.searchsorted(reached, top_p)) + 1]
        count = min(size, count * _NUCLEUS_GROWTH)


def _at(weights: npt.NDArray[np.float64], draw: float) -> int:
    """The index at which the running sum of `weights` passes `draw`, in [0, 1), of their total; its weight is not 0."""
    reached = np.cumsum(weights)
    index = int(np.searchsorted(reached, draw * reached[-1], side="right"))
    if index == len(weights):  # rounding at the very end
        index = int(np.flatnonzero(weights)[-1])
    return index
