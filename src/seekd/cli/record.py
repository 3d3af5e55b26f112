"""`seekd record`: a proxy that keeps what passes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from seekd import log
from seekd.api.server import http_server, stop_server
from seekd.cli.serve import listen, new_loop, stop_on_signal
from seekd.settings import Settings
from seekd.testing.recorder import Recorder


def run_recorder(settings: Settings, *, folder: Path, base_url: str, rules: Sequence[str]) -> int:
    """Record until SIGINT or SIGTERM; the process's exit status.

    Raises:
        ConfigError: a taken port, an address that is none, or a rule that does not exist.
    """
    log.set_up(settings.log)
    recorder = Recorder(base_url=base_url, folder=folder, rules=tuple(rules))
    with (
        listen(settings.server.host, settings.server.port) as listener,
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        runner.run(_serve(recorder, settings, listener))
    return 0


async def _serve(recorder: Recorder, settings: Settings, listener: socket.socket) -> None:
    server = http_server(recorder, settings.server)
    stop = asyncio.Event()
    stop_on_signal(stop)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    host, port = listener.getsockname()[:2]
    line = f"seekd records {recorder.base_url} at http://{host}:{port}, into {recorder.folder}"
    Console(stderr=True, soft_wrap=True, highlight=False).print(log.printable(line), markup=False)
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        await stop_server(server, serving, interrupt=lambda: None, grace_s=settings.server.shutdown_grace_s)
        await recorder.close()
