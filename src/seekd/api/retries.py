"""Requests with an `Idempotency-Key`: answered once, charged once, and sent again to whoever asks again.

first request ──> claim ──> opened, admitted ──> runs to its end, also when its client leaves ──> answer kept
└──> failed, or its client left before it was admitted ──> the key is free
a twin meanwhile ──> waits for that end ──> the kept answer
a retry later ──> the kept answer; with another body: 409
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from seekd.accounts.types import Answer, Claim
from seekd.api.connection import ClientLeft, while_connected
from seekd.api.interruption import Interruption
from seekd.errors import SeekdError
from seekd.prompt.types import OutputChunk
from seekd.service.generation import Generation
from seekd.wire.calls import Call

IDEMPOTENCY_HEADER = "idempotency-key"

_LAST_WORDS_S = 1.0
"""How long runs may take to notice that their engine has been closed."""


def replay(answer: Answer) -> Response:
    """A kept answer, as it was sent."""
    return Response(answer.body, status_code=answer.status, headers=dict(answer.headers))


class TwinResponse:
    """Waits for the answer that another request makes, and sends it. Holds nothing of its own request's body.

    Args:
        answer: waits for it; cancelled when the client leaves.
        failure: turns an error into a response.
        interruption: ends the wait early.
    """

    def __init__(
        self,
        answer: Callable[[], Awaitable[Answer]],
        *,
        failure: Callable[[SeekdError], ASGIApp],
        interruption: Interruption,
    ) -> None:
        self._answer = answer
        self._failure = failure
        self._interruption = interruption

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, and send."""
        response: ASGIApp
        try:
            async with while_connected(receive, self._interruption):
                response = replay(await self._answer())
        except ClientLeft:
            return
        except SeekdError as error:
            response = self._failure(error)
        await response(scope, receive, send)


class KeptAnswer:
    """Writes an answer's bytes and keeps them. Implements `service.generation.AnswerKeeper`.

    Args:
        claim: of the request's idempotency key.
        call: knows how the answer is written.
        generation: knows the whole response.
        headers: to repeat with the answer.
    """

    def __init__(self, claim: Claim, *, call: Call, generation: Generation, headers: Mapping[str, str]) -> None:
        self.claim = claim
        self._call = call
        self._generation = generation
        self._headers = tuple(headers.items())
        self._body = bytearray()
        self._last = b""

    def compose(self, last: Sequence[OutputChunk]) -> Answer:
        """The whole answer; its last bytes are written here, once, and handed out by `end`."""
        if self._call.request.stream:
            self._last = self._call.encoder.encode_chunks(last) + self._call.encoder.encode_end()
        else:
            self._last = self._call.encoder.encode_response(self._generation.response())
        return Answer(status=200, headers=self._headers, body=bytes(self._body + self._last))

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The answer as it comes."""
        self._generation.keep_answer(self)
        async for chunks in self._generation.chunks():
            if self._last:
                yield self._last
            elif self._call.request.stream:
                data = self._call.encoder.encode_chunks(chunks)
                self._body += data
                yield data


class DetachedRuns:
    """Generations that go on without their client. Owned by the application, which ends them before the books close."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, frames: AsyncGenerator[bytes, None], *, goes_on: Callable[[], bool]) -> AsyncGenerator[bytes, None]:
        """Run `frames` in a task of its own.

        Args:
            frames: of the answer.
            goes_on: whether the run outlives the closing of what is returned. What no limit counts yet must not, or a
                client that comes and leaves could have any number of them.
        """
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        task = asyncio.create_task(self._pump(frames, queue))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return self._follow(task, queue, goes_on)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: the generation has logged it, and a client that is still there is told

    async def close(self) -> None:
        """End all of them; the engine has been closed, which ends those that use it."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LAST_WORDS_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pump(self, frames: AsyncGenerator[bytes, None], queue: asyncio.Queue[bytes | None]) -> None:
        try:
            async for data in frames:
                queue.put_nowait(data)
        finally:
            queue.put_nowait(None)

    async def _follow(
        self, task: asyncio.Task[None], queue: asyncio.Queue[bytes | None], goes_on: Callable[[], bool]
    ) -> AsyncGenerator[bytes, None]:
        try:
            while (data := await queue.get()) is not None:
                yield data
            await task  # raises what ended it
        finally:
            if not goes_on():
                task.cancel()
