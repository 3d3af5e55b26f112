"""`seekd serve`: the life of the server process.

The port is taken before the model is loaded, so that a taken port is known at once; the ready line is
printed when a request would be answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import json
import logging
import os
import shlex
import signal
import socket
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from rich.console import Console

from seekd import __version__, log
from seekd.accounts.types import OPEN_ACCOUNT_ID
from seekd.api.server import http_server, stop_server
from seekd.api.settings import default_data_dir
from seekd.app import Application, FirstRequest, build
from seekd.errors import ConfigError
from seekd.settings import Settings

if TYPE_CHECKING:
    from seekd.testing.replay import Library

_log = logging.getLogger(__name__)

BACKLOG = 2048

_SIGNALLED = 128  # as shells report a process that a signal ended


def run_server(settings: Settings, *, opens_browser: bool = False) -> int:
    """Serve until SIGINT or SIGTERM; the process's exit status.

    Args:
        settings: of the server.
        opens_browser: show the playground in the user's browser once a request would be answered.

    Raises:
        ConfigError: a taken port, an unusable model file, or a setting that keeps the server from starting.
    """
    log.set_up(settings.log)
    with listen(settings.server.host, settings.server.port) as listener:
        application = build(settings)
        server = http_server(application.asgi, settings.server)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(_serve(application, settings, server, listener, opens_browser=opens_browser))


def run_kit(settings: Settings, *, script: Path | None = None, library: Library | None = None) -> int:
    """Serve a script or recordings in place of a model, as `run_server` does; for tests of other programs.

    Raises:
        ConfigError: as `run_server`, and for a script that cannot be used.
    """
    from seekd.testing.open_kit import kit_server

    log.set_up(settings.log)
    with (
        listen(settings.server.host, settings.server.port) as listener,
        kit_server(settings, script=script, library=library) as served,
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        server = http_server(served.tap, settings.server)
        served.tap.connections.server = server
        return runner.run(_serve(served.application, settings, server, listener))


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop for a server."""
    import uvloop

    return uvloop.new_event_loop()


@contextlib.contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """Take a port. Raises `ConfigError` where it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ConfigError(f"The address {host} is not known: {error.strerror}.") from error
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(
                    f"Port {port} on {host} is taken by another program. Stop it, or choose another port with --port."
                ) from error
            raise ConfigError(f"Cannot listen on {host} port {port}: {error.strerror}.") from error
        listener.setblocking(False)
        yield listener


async def _serve(
    application: Application,
    settings: Settings,
    server: uvicorn.Server,
    listener: socket.socket,
    *,
    opens_browser: bool = False,
) -> int:
    stop = asyncio.Event()
    stop_on_signal(stop)
    _log.info("starting", extra={"action": "starting", "version": __version__})
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    starting = asyncio.create_task(application.start())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            calm_collector()
            await _say_ready(application, settings, listener)
            if opens_browser and not webbrowser.open(f"{address_of(settings, listener)}/"):
                _log.warning("no browser could be opened", extra={"action": "no_browser"})
            await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (starting, stopping):
            task.cancel()
        application.stop_accepting()
        await stop_server(server, serving, interrupt=application.interrupt, grace_s=settings.server.shutdown_grace_s)
        await asyncio.gather(serving, starting, stopping, return_exceptions=True)
        await application.close()
    return 0


def stop_on_signal(stop: asyncio.Event) -> None:
    """Let the first signal set the event, and the next one end the process, whatever it waits for."""

    def heard(number: signal.Signals) -> None:
        if stop.is_set():
            os._exit(_SIGNALLED + number)  # the books are made for a kill
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, heard, number)


def calm_collector() -> None:
    """Leave what lives as long as the server out of garbage collection, and collect less often.

    A request's own objects die by their counts; walking the thousands of the server's after every few requests cost a
    sixth of its time (measured with bench/overhead.py).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def address_of(settings: Settings, listener: socket.socket) -> str:
    """Where a client on this machine reaches the server."""
    host, port = listener.getsockname()[:2]
    scheme = settings.server.scheme
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def _say_ready(application: Application, settings: Settings, listener: socket.socket) -> None:
    url = address_of(settings, listener)
    steps = first_steps(url, await application.first_request(), data_dir=settings.server.data_dir)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    playground = f"playground: {url}/; " if settings.server.pages else ""
    line = f"seekd is ready at {url} with {application.model_line()}, {application.access_line()}; {playground}{steps}"
    console.print(log.printable(line), markup=False)


def first_steps(url: str, first: FirstRequest, *, data_dir: Path) -> str:
    """The commands that lead to a first answer."""
    place = "" if data_dir == default_data_dir() else f" --data-dir {shlex.quote(str(data_dir))}"
    payer = "NAME" if first.needs_key else OPEN_ACCOUNT_ID
    currency = "" if first.needs_balance_in == "USD" else f" --currency {first.needs_balance_in}"
    steps = []
    if first.needs_key:
        steps.append(f"put a key into KEY, which this makes: seekd keys create --account NAME{place}")
    if first.needs_balance_in:
        steps.append(f"requests cost money, so first: seekd accounts top-up {payer} 10{currency}{place}")
    key = '-H "Authorization: Bearer $KEY" ' if first.needs_key else ""
    body = json.dumps(
        {"model": first.model, "messages": [{"role": "user", "content": "Hello!"}]}, separators=(",", ":")
    )
    steps.append(f"try: curl {url}/v1/chat/completions {key}-H 'Content-Type: application/json' -d {shlex.quote(body)}")
    return "; ".join(steps)
