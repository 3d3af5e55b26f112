"""Requests with an `Idempotency-Key`: answered once, charged once, and sent again to whoever asks again.

Room: api. May import: wire, service and below.

    first request ──> claim ──> runs to its end, also when its client leaves ──> answer kept
    a twin meanwhile ──> waits for that end ──> the kept answer
    a retry later ──> the kept answer; with another body: 409
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

from seekd.accounts.types import Answer, Claim
from seekd.prompt.types import OutputChunk
from seekd.service.generation import Generation
from seekd.wire.calls import Call

IDEMPOTENCY_HEADER = "idempotency-key"


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
            self._last = b"".join(map(self._call.encoder.encode_chunk, last)) + self._call.encoder.encode_end()
        else:
            self._last = self._call.encoder.encode_response(self._generation.response_json())
        return Answer(status=200, headers=self._headers, body=bytes(self._body + self._last))

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The answer as it comes."""
        self._generation.keep_answer(self)
        async for chunks in self._generation.chunks():
            if self._last:
                yield self._last
            elif self._call.request.stream:
                data = b"".join(map(self._call.encoder.encode_chunk, chunks))
                self._body += data
                yield data


class DetachedRuns:
    """Generations that go on without their client. Owned by the application, which ends them before the books close."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Run `frames` in a task of its own; closing what is returned does not end it."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        task = asyncio.create_task(self._pump(frames, queue))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return self._follow(task, queue)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen: the generation has logged it, and a client that is still there is told

    async def wait(self) -> None:
        """Wait for all of them to end; the engine must have been closed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pump(self, frames: AsyncGenerator[bytes, None], queue: asyncio.Queue[bytes | None]) -> None:
        try:
            async for data in frames:
                queue.put_nowait(data)
        finally:
            queue.put_nowait(None)

    async def _follow(
        self, task: asyncio.Task[None], queue: asyncio.Queue[bytes | None]
    ) -> AsyncGenerator[bytes, None]:
        while (data := await queue.get()) is not None:
            yield data
        await task  # raises what ended it
