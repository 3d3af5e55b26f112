"""A stream is never a broken 200: early errors get a status, late ones a frame; a client that leaves ends the work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Message

from seekd.api.connection import AnswerResponse, ClientLeft, read_body
from seekd.api.interruption import Interruption
from seekd.api.settings import ServerSettings
from seekd.config import ByteSize
from seekd.errors import BodyTimeout, BodyTooLarge, EngineError, Overloaded

KEEP_ALIVE = b": keep-alive\n\n"


class Client:
    """The other side of an ASGI connection: keeps what was sent, and leaves when told to."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.leave = asyncio.Event()

    async def receive(self) -> Message:
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


async def _answer(
    client: Client,
    frames: AsyncGenerator[bytes, None],
    keep_alive_s: float = 60.0,
    *,
    is_admitted: bool = True,
    made: list[Interruption] | None = None,
    trailer: bytes = b"",
) -> None:
    interruption = Interruption()
    if made is not None:
        made.append(interruption)
    response = AnswerResponse(
        frames,
        headers=lambda: {"content-type": "text/event-stream"},
        failure=lambda error: PlainTextResponse(error.message, status_code=503),
        error_frame=lambda error: f"error: {error.message}\n\n".encode(),
        trailer=lambda: trailer,
        keep_alive=KEEP_ALIVE,
        keep_alive_s=keep_alive_s,
        is_admitted=lambda: is_admitted,
        interruption=interruption,
    )
    async with asyncio.timeout(10):
        await response({"type": "http", "method": "POST", "headers": []}, client.receive, client.send)


async def test_frames_arrive_one_by_one_and_the_stream_ends() -> None:
    async def frames() -> AsyncGenerator[bytes, None]:
        yield b"a"
        yield b"b"

    client = Client()
    await _answer(client, frames(), trailer=b"end")
    assert client.status == 200
    assert [message.get("body") for message in client.sent[1:]] == [b"a", b"b", b"end"]
    assert client.sent[-1]["more_body"] is False


async def test_an_error_before_the_first_frame_is_a_real_status() -> None:
    async def frames() -> AsyncGenerator[bytes, None]:
        raise Overloaded("busy")
        yield b""

    client = Client()
    await _answer(client, frames())
    assert (client.status, client.body) == (503, b"busy")


async def test_an_error_after_the_first_frame_is_the_last_frame() -> None:
    async def frames() -> AsyncGenerator[bytes, None]:
        yield b"a"
        raise EngineError("died")

    client = Client()
    await _answer(client, frames())
    assert (client.status, client.body) == (200, b"aerror: died\n\n")
    assert client.sent[-1]["more_body"] is False


async def test_a_client_that_leaves_closes_the_generation() -> None:
    closed = asyncio.Event()

    async def frames() -> AsyncGenerator[bytes, None]:
        try:
            yield b"a"
            await asyncio.Event().wait()
        finally:
            closed.set()

    client = Client()
    answering = asyncio.create_task(_answer(client, frames()))
    while not client.sent:
        await asyncio.sleep(0)
    client.leave.set()
    await answering
    assert closed.is_set()


async def test_silence_is_filled_with_comments() -> None:
    go_on = asyncio.Event()

    async def frames() -> AsyncGenerator[bytes, None]:
        await go_on.wait()
        yield b"a"

    client = Client()
    answering = asyncio.create_task(_answer(client, frames(), keep_alive_s=0.01))
    while KEEP_ALIVE not in client.body:
        await asyncio.sleep(0.001)
    go_on.set()
    await answering
    assert client.status == 200
    assert client.body.replace(KEEP_ALIVE, b"") == b"a"


@pytest.mark.parametrize(("first", "status", "body"), [(b"", 503, b"late"), (b"a", 200, b"aerror: late\n\n")])
async def test_an_interruption_closes_the_generation_and_then_says_why(first: bytes, status: int, body: bytes) -> None:
    order: list[str] = []
    interruptions: list[Interruption] = []

    async def frames() -> AsyncGenerator[bytes, None]:
        try:
            if first:
                yield first
            interruptions[0].interrupt(Overloaded("late"))
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            order.append("settled")

    class Listener(Client):
        async def send(self, message: Message) -> None:
            if b"late" in message.get("body", b""):
                order.append("told")
            await super().send(message)

    client = Listener()
    await _answer(client, frames(), made=interruptions)
    assert (client.status, client.body, order) == (status, body, ["settled", "told"])


async def test_a_client_that_does_not_read_its_frame_is_interrupted_while_it_is_sent() -> None:
    closed = asyncio.Event()
    interruptions: list[Interruption] = []

    class Deaf(Client):
        async def send(self, message: Message) -> None:
            await super().send(message)
            if message.get("body") == b"a":
                asyncio.get_running_loop().call_soon(interruptions[0].interrupt, Overloaded("late"))
                await asyncio.Event().wait()

    async def frames() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"a"
        finally:
            closed.set()

    await _answer(Deaf(), frames(), made=interruptions)
    assert closed.is_set()


def _request(*messages: Message, headers: dict[str, str] | None = None) -> Request:
    return _request_of(list(messages), headers)


def _request_of(queue: list[Message], headers: dict[str, str] | None = None) -> Request:
    async def receive() -> Message:
        if not queue:
            await asyncio.Event().wait()
        return queue.pop(0)

    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


def _part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_parts_is_read_whole() -> None:
    request = _request(_part(b"ab", more=True), _part(b"c", more=False))
    assert await read_body(request, ServerSettings()) == b"abc"


@pytest.mark.parametrize("headers", [{}, {"content-length": "9"}])
async def test_a_body_over_the_limit_is_refused(headers: dict[str, str]) -> None:
    request = _request(_part(b"12345", more=True), _part(b"6789", more=False), headers=headers)
    with pytest.raises(BodyTooLarge) as caught:
        await read_body(request, ServerSettings(max_body_bytes=ByteSize(8)))
    assert caught.value.limit_bytes == 8


async def test_a_body_over_the_limit_is_read_to_its_end_so_that_the_answer_arrives() -> None:
    end = _part(b"6789", more=False)
    queue = [_part(b"12345", more=True), _part(b"12345", more=True), end]
    with pytest.raises(BodyTooLarge):
        await read_body(_request_of(queue), ServerSettings(max_body_bytes=ByteSize(8)))
    assert queue == []


@pytest.mark.parametrize("headers", [{"content-length": "33"}, {"content-length": "9", "expect": "100-continue"}])
async def test_a_body_far_over_the_limit_or_not_yet_sent_is_not_waited_for(headers: dict[str, str]) -> None:
    with pytest.raises(BodyTooLarge):
        await read_body(_request(headers=headers), ServerSettings(max_body_bytes=ByteSize(8)))


async def test_a_body_without_length_is_read_up_to_four_limits() -> None:
    endless = [_part(b"12345678", more=True)] * 9
    with pytest.raises(BodyTooLarge):
        await read_body(_request_of(endless), ServerSettings(max_body_bytes=ByteSize(8)))
    assert len(endless) == 4


async def test_a_body_that_never_ends_is_given_up() -> None:
    with pytest.raises(BodyTimeout):
        await read_body(_request(_part(b"a", more=True)), ServerSettings(body_timeout_s=0.01))


async def test_a_client_that_leaves_within_its_body_is_noticed() -> None:
    with pytest.raises(ClientLeft):
        await read_body(_request(_part(b"a", more=True), {"type": "http.disconnect"}), ServerSettings())


async def test_a_wait_for_admission_is_not_filled_so_that_a_refusal_keeps_its_status() -> None:
    async def frames() -> AsyncGenerator[bytes, None]:
        await asyncio.sleep(0.1)
        raise Overloaded
        yield b""

    client = Client()
    await _answer(client, frames(), keep_alive_s=0.01, is_admitted=False)
    assert client.status == 503
    assert KEEP_ALIVE not in client.body
