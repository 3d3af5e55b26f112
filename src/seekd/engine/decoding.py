"""One sequence's choice of tokens: its sampler, and the constraint that limits it.

A constraint is never given up: when its matcher fails, the sequence ends with ERROR. Tokens that a grammar leaves no
choice about are appended at once, and the next step evaluates them as one batch, so they cost next to nothing. Where
log-probabilities are wanted they are decoded one by one instead, because each needs the logits before it.
"""

from __future__ import annotations

from seekd.engine.sampler import Logits, SampledToken, Sampler
from seekd.engine.types import Constraint, EngineRequest, EngineUpdate, FinishReason, TokenLogprobs
from seekd.errors import EngineError


class TokenChooser:
    """Chooses the tokens of one sequence, in order. Used by one thread.

    Args:
        request: its sampling parameters.
        end_token_ids: the tokens that end a generation.
        constraint: the matcher of the request's grammar; None when it has none.
    """

    def __init__(
        self, request: EngineRequest, *, end_token_ids: frozenset[int], constraint: Constraint | None = None
    ) -> None:
        self._request_id = request.request_id
        self._sampler = Sampler(request.sampling)
        self._end_token_ids = end_token_ids
        self._wants_logprobs = request.sampling.num_top_logprobs is not None
        self._constraint = constraint

    def choose(self, logits: Logits) -> EngineUpdate:
        """Choose what follows the last known token: one token, then those that the grammar leaves no choice about.

        Args:
            logits: behind that token, shape `(vocab_size,)`; not changed.

        Returns:
            The tokens, or the end of the sequence with STOP or ERROR; nothing of its progress.
        """
        try:
            return self._choose(logits)
        except EngineError as error:
            return EngineUpdate(request_id=self._request_id, finish_reason=FinishReason.ERROR, error=error.message)

    def _choose(self, logits: Logits) -> EngineUpdate:
        limit = self._constraint
        sampled = self._sampler.sample(logits, allowed=None if limit is None else limit.allowed())
        if sampled.token_id in self._end_token_ids:
            return EngineUpdate(request_id=self._request_id, finish_reason=FinishReason.STOP)
        token_ids = [sampled.token_id]
        if limit is not None:
            limit.accept(sampled.token_id)
        if limit is not None and not self._wants_logprobs:
            token_ids += self._force(limit)
        stops = limit is not None and limit.is_complete()
        return EngineUpdate(
            request_id=self._request_id,
            token_ids=token_ids,
            logprobs=_logprobs(sampled),
            finish_reason=FinishReason.STOP if stops else None,
        )

    def _force(self, constraint: Constraint) -> list[int]:
        """Accept what the grammar leaves no choice about. An end-of-generation token is left to `is_complete`."""
        accepted: list[int] = []
        for token_id in constraint.forced_token_ids():
            if token_id in self._end_token_ids:
                break
            constraint.accept(token_id)
            self._sampler.count(token_id)
            accepted.append(token_id)
        return accepted


def _logprobs(sampled: SampledToken) -> list[TokenLogprobs] | None:
    return None if sampled.logprobs is None else [sampled.logprobs]
