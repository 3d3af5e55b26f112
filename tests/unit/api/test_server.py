"""How long a client may leave unread what was sent to it, with a transport and a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

from seekd.api.server import Connection
from seekd.api.settings import ServerSettings

KIB = 1024


class Clock:
    """The part of an event loop that sets timers; time passes when told to."""

    def __init__(self) -> None:
        self.timers: list[asyncio.TimerHandle] = []

    def call_later(self, delay_s: float, callback: Callable[..., Any], *arguments: Any) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(delay_s, callback, arguments, asyncio.get_running_loop())
        self.timers.append(timer)
        return timer

    def pass_time(self) -> None:
        due, self.timers = self.timers, []
        for timer in due:
            if not timer.cancelled():
                timer._run()


class Transport(asyncio.Transport):
    """Holds so many unread bytes as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.unread_bytes = 100 * KIB
        self.is_cut = False

    def get_write_buffer_size(self) -> int:
        return self.unread_bytes

    def abort(self) -> None:
        self.is_cut = True


@pytest.fixture
async def parts() -> tuple[Connection, Transport, Clock]:
    class Tested(Connection):
        write_timeout_s = ServerSettings().write_timeout_s

    config = uvicorn.Config(Starlette(), http=Tested, log_config=None, lifespan="off")
    connection = Tested(config=config, server_state=uvicorn.Server(config).server_state, app_state={})
    transport, clock = Transport(), Clock()
    connection.connection_made(transport)
    connection.loop = clock  # type: ignore[assignment]  # all that is used of it here
    return connection, transport, clock


Parts = tuple[Connection, Transport, Clock]


async def test_a_client_that_reads_nothing_is_cut(parts: Parts) -> None:
    connection, transport, clock = parts
    connection.pause_writing()
    assert not transport.is_cut
    clock.pass_time()
    assert transport.is_cut


async def test_a_client_that_reads_a_byte_now_and_then_is_cut(parts: Parts) -> None:
    connection, transport, clock = parts
    connection.pause_writing()
    transport.unread_bytes -= 1
    clock.pass_time()
    assert transport.is_cut


async def test_a_client_that_reads_on_slowly_gets_all_of_a_large_answer(parts: Parts) -> None:
    connection, transport, clock = parts
    transport.unread_bytes = 10_000 * KIB
    connection.pause_writing()
    while transport.unread_bytes > 32 * KIB:
        transport.unread_bytes -= 32 * KIB
        clock.pass_time()
        assert not transport.is_cut
    connection.resume_writing()
    clock.pass_time()
    assert not transport.is_cut


async def test_nothing_is_left_of_a_connection_that_is_lost(parts: Parts) -> None:
    connection, transport, clock = parts
    connection.pause_writing()
    connection.connection_lost(ConnectionResetError())
    clock.pass_time()
    assert not transport.is_cut
