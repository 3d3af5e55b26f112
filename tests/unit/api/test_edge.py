"""The outermost layer: a request that is interrupted before it was answered gets the reason."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seekd.api.edge import Edge
from seekd.errors import ShuttingDown


def _failed(cause: Exception, dialect: str | None) -> ASGIApp:
    return PlainTextResponse(f"{type(cause).__name__} in {dialect}", status_code=503)


async def _ask(edge: Edge) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise NotImplementedError

    async with asyncio.timeout(10):
        await edge({"type": "http", "method": "GET", "path": "/"}, receive, send)
    return sent


async def test_requests_that_run_and_requests_that_still_come_are_told_that_the_server_stops() -> None:
    is_running = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["dialect"] = "hosted"
        is_running.set()
        await asyncio.Event().wait()

    edge = Edge(app, internal_error=b"", failed=_failed)
    running = asyncio.create_task(_ask(edge))
    await is_running.wait()
    edge.interrupt(ShuttingDown())
    for sent in (await running, await _ask(edge)):
        assert sent[0]["status"] == 503
        assert sent[1]["body"].startswith(b"ShuttingDown in ")


async def test_a_cancellation_by_the_server_under_it_is_passed_on() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    running = asyncio.create_task(_ask(Edge(app, internal_error=b"", failed=_failed)))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
