"""Prompts to token ids: short ones at once, long ones by a few threads and in turns.

    short ──> at once
    long ──size, limits, balance──> (its caller's turn ──> a slice in a thread) ... until all is read, or too much

What is tokenized at the same time is so bounded by the threads and not by the requests; who has sent megabytes waits
for others after each slice, and nothing is left running for long when its client leaves.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

from seekd.accounts.types import Caller
from seekd.errors import LimitExceeded
from seekd.prompt.render.segments import encode_pieces
from seekd.prompt.types import Renderable, Segment
from seekd.service.billing import Billing
from seekd.service.fair_semaphore import FairSemaphore
from seekd.service.served_model import ServedModel

LONG_PROMPT_CHARS = 20_000
"""Prompts above this many characters are tokenized in a thread: below it the switch costs more than the work."""

MAX_TOKENIZED_BYTES = 4 * 1024**2

_STACK_BYTES = 16 * 1024**2
"""A piece takes up to 5.2 MB, and some systems give a thread only two; see `engine.text_pieces`."""


class PromptEncoder:
    """Tokenizes for all requests and models of a server.

    Args:
        billing: knows who may have a long prompt read.
        max_bytes: of a text that no context bounds.
        num_threads: that tokenize at the same time; None for half of the processors, four at most.
        slice_s: after which others have their turn; long beside a switch of threads, short beside what a caller waits
            for a first token.
    """

    def __init__(
        self,
        billing: Billing,
        *,
        max_bytes: int = MAX_TOKENIZED_BYTES,
        num_threads: int | None = None,
        slice_s: float = 0.05,
    ) -> None:
        self._billing = billing
        self._max_bytes = max_bytes
        self._slice_s = slice_s
        number = num_threads or max(1, min(4, (os.cpu_count() or 1) // 2))
        self._threads = ThreadPoolExecutor(number, thread_name_prefix="seekd-tokenize")
        self._places = FairSemaphore(number)

    async def encode(
        self, body: Renderable, model: ServedModel, *, caller: Caller, model_name: str, stop_after: int | None = None
    ) -> list[int]:
        """The prompt of a request that was not admitted yet.

        Args:
            body: of the request.
            model: will read the prompt.
            caller: who asks.
            model_name: decides limits and price.
            stop_after: tokens after which the rest does not matter; None reads all.

        Returns:
            Token ids, shape `(num_prompt_tokens,)`; of a long prompt with more than `stop_after`, more than these.

        Raises:
            LimitExceeded: all is to be read, and it is more text than is taken.
            RateLimited, InsufficientBalance: the prompt is long, and its request would be refused in the end.
        """
        segments = body.render(model.chat_format)
        pieces = encode_pieces(segments, model.vocabulary)
        if not _is_long(segments):
            return list(chain.from_iterable(pieces))
        if stop_after is None:
            self._check_size(segments)
        await self._billing.check(caller, model_name)
        return await self.in_turns(pieces, caller, stop_after=stop_after)

    async def encode_admitted(self, body: Renderable, model: ServedModel, *, caller: Caller) -> list[int]:
        """The prompt of a request that was admitted. Raises `LimitExceeded` for more text than is taken."""
        segments = body.render(model.chat_format)
        pieces = encode_pieces(segments, model.vocabulary)
        if not _is_long(segments):
            return list(chain.from_iterable(pieces))
        self._check_size(segments)
        return await self.in_turns(pieces, caller)

    async def in_turns(
        self, pieces: Iterator[Iterable[int]], caller: Caller, *, stop_after: int | None = None
    ) -> list[int]:
        """Iterate in threads; what was yielded, joined. Each piece should take some milliseconds."""
        token_ids: list[int] = []
        while stop_after is None or len(token_ids) <= stop_after:
            async with self._places.place(caller.account_id):
                part = await self._in_thread(pieces)
            token_ids += part.token_ids
            if part.is_last:
                break
        return token_ids

    def _in_thread(self, pieces: Iterator[Iterable[int]]) -> asyncio.Future[_Slice]:
        former = threading.stack_size(_STACK_BYTES)
        try:
            return asyncio.get_running_loop().run_in_executor(self._threads, _next_slice, pieces, self._slice_s)
        finally:
            threading.stack_size(former)

    def _check_size(self, segments: Sequence[Segment]) -> None:
        num_bytes = sum(len(segment.text.encode()) for segment in segments)
        if num_bytes > self._max_bytes:
            raise LimitExceeded(
                what="bytes of text", value=num_bytes, limit=self._max_bytes, setting="server.max_tokenized_bytes"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    token_ids: list[int]
    is_last: bool


def _next_slice(pieces: Iterator[Iterable[int]], slice_s: float) -> _Slice:
    end_s = time.monotonic() + slice_s
    token_ids: list[int] = []
    for piece in pieces:
        token_ids += piece
        if time.monotonic() >= end_s:
            return _Slice(token_ids=token_ids, is_last=False)
    return _Slice(token_ids=token_ids, is_last=True)


def _is_long(segments: Sequence[Segment]) -> bool:
    return sum(len(segment.text) for segment in segments) > LONG_PROMPT_CHARS
