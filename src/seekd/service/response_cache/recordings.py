"""What the engine said to one request, kept to be said again.

A recording holds tokens and not bytes: whichever protocol asks, whole or streamed, gets an answer of its own, with its
own id and date. It is named by all that decides which tokens come, so that two bodies which put the same prompt to the
same model in the same way are one request, and nothing else is:

    model file and build | account and user | prompt tokens | max_tokens, sampling | grammar | stop strings
"""

from __future__ import annotations

import asyncio
import hashlib
from array import array
from collections.abc import AsyncGenerator, Iterator, Sequence

import msgspec

from seekd.engine.types import EngineRequest, EngineUpdate, FinishReason, TokenLogprobs

_MERGED_TOKENS = 64
_FORMAT = "1"  # of the encoding and of the name; another number finds nothing of the older ones


class Step(msgspec.Struct, frozen=True, array_like=True):
    """What one update of the engine brought.

    Attributes:
        at_s: seconds after the first one.
    """

    at_s: float
    token_ids: list[int]
    logprobs: list[TokenLogprobs] | None
    num_cached_tokens: int
    finish_reason: FinishReason | None


class Recording(msgspec.Struct, frozen=True, array_like=True):
    """A whole answer. The last step has a finish reason, unless a stop string ended it."""

    steps: list[Step]

    @property
    def num_completion_tokens(self) -> int:
        """Tokens that the engine made."""
        return sum(len(step.token_ids) for step in self.steps)

    def encode(self) -> bytes:
        """For a store."""
        return msgspec.msgpack.encode(self)

    @staticmethod
    def decode(content: bytes) -> Recording | None:
        """What a store gave; None when it is not whole."""
        try:
            return _decoder.decode(content)
        except ValueError:
            return None

    async def replay(self, request_id: str, *, in_rhythm: bool) -> AsyncGenerator[EngineUpdate, None]:
        """The engine's updates again, for another request.

        Args:
            request_id: of that request.
            in_rhythm: whether they take their time again; else they come at once, and many in one.
        """
        last_s = 0.0
        for step in self.steps if in_rhythm else self._merged():
            # Also where there is nothing to wait for: a long answer must not keep other requests from the loop.
            await asyncio.sleep(step.at_s - last_s if in_rhythm else 0)
            last_s = step.at_s
            yield EngineUpdate(
                request_id=request_id,
                token_ids=step.token_ids,
                logprobs=step.logprobs,
                num_cached_tokens=step.num_cached_tokens,
                finish_reason=step.finish_reason,
            )

    def _merged(self) -> Iterator[Step]:
        """The steps, those of up to `_MERGED_TOKENS` tokens in one: each costs a chunk of the answer."""
        start, num_tokens = 0, 0
        for end, step in enumerate(self.steps, start=1):
            num_tokens += len(step.token_ids)
            if num_tokens >= _MERGED_TOKENS or end == len(self.steps):
                yield _joined(self.steps[start:end])
                start, num_tokens = end, 0


def _joined(steps: Sequence[Step]) -> Step:
    logprobs = [entry for step in steps for entry in step.logprobs or ()]
    return Step(
        at_s=steps[0].at_s,
        token_ids=[token_id for step in steps for token_id in step.token_ids],
        logprobs=logprobs or None,
        num_cached_tokens=steps[0].num_cached_tokens,
        finish_reason=steps[-1].finish_reason,
    )


_decoder = msgspec.msgpack.Decoder(Recording)


class Recorder:
    """Puts a recording together while its request runs."""

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._started_s = 0.0

    def note(self, update: EngineUpdate, *, now_s: float) -> None:
        """Take an update."""
        if not self._steps:
            self._started_s = now_s
        self._steps.append(
            Step(
                at_s=round(now_s - self._started_s, 4),
                token_ids=list(update.token_ids),
                logprobs=None if update.logprobs is None else list(update.logprobs),
                num_cached_tokens=update.num_cached_tokens,
                finish_reason=update.finish_reason,
            )
        )

    def recording(self) -> Recording:
        """Everything so far."""
        return Recording(self._steps)


def recording_name(request: EngineRequest, *, fingerprint: str, stops: Sequence[str], protocol: str) -> str:
    """What equal requests have in common, and no others: hexadecimal, 64 characters.

    Args:
        request: as the engine gets it; its salt keeps accounts and users apart.
        fingerprint: of the model, see `ModelInfo`.
        stops: stop strings, which the engine does not know: they end a recording where they are found.
        protocol: of the body; it says where stop strings are looked for, and matters only with them.
    """
    parts = (
        _FORMAT,
        fingerprint,
        request.cache_salt,
        request.max_tokens,
        request.sampling,
        request.constraint,
        (protocol, *stops) if stops else (),
    )
    digest = hashlib.sha256(msgspec.msgpack.encode(parts))
    digest.update(array("q", request.prompt_token_ids).tobytes())
    return digest.hexdigest()
