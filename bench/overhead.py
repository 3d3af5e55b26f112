"""What seekd itself costs: HTTP, wire, service, books and the engine's messages, without a model.

    python bench/overhead.py [--seconds 5] [--priced]

An engine process that plays a script, behind the real supervisor and socket, against a bare Starlette echo under the
same server. Client, server and engine share the machine; both are measured in one run, by turns.

With `--priced` the model has a price and the caller a balance: a request then waits for two durable commits.

Bars (free, the default): overhead, which is seekd minus echo at one connection, p50 <= 2 ms, p99 <= 8 ms; at 32
connections >= 800 whole answers/s and >= 100 streams/s of 50 chunks.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seekd.accounts.registry import Registry
from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.accounts.store import open_connection
from seekd.accounts.types import OPEN_ACCOUNT_ID
from seekd.api.settings import ServerSettings
from seekd.app import Application, open_server_books
from seekd.cli.serve import calm_collector
from seekd.engine.link.messages import Loaded
from seekd.engine.link.process import EngineProcess
from seekd.engine.link.serving import Connection, receive_job, serve
from seekd.engine.scripted import ScriptedVocabulary
from seekd.engine.types import (
    CacheExplanation,
    Constraint,
    EngineRequest,
    EngineStats,
    EngineUpdate,
    FinishReason,
    ModelInfo,
)
from seekd.models.settings import ModelSettings
from seekd.service.metrics import Metrics
from seekd.service.model_pool import single_model
from seekd.service.response_cache.settings import ResponseCacheSettings
from seekd.service.served_model import ServedModel
from seekd.settings import Settings

NUM_CHUNKS = 50
WHOLE = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 8}
STREAM = {**WHOLE, "stream": True, "max_tokens": NUM_CHUNKS}
TOKEN = ord("a")


class ScriptedCore:
    """Writes `max_tokens` letters: one a step where they are `NUM_CHUNKS`, else all in one."""

    def __init__(self) -> None:
        self._left: dict[str, int] = {}
        self._streamed: set[str] = set()

    @property
    def has_work(self) -> bool:
        return bool(self._left)

    def compile_constraint(self, _: EngineRequest) -> Constraint | None:
        return None

    def add(self, request: EngineRequest, _: Constraint | None = None) -> None:
        self._left[request.request_id] = request.max_tokens
        if request.max_tokens == NUM_CHUNKS:
            self._streamed.add(request.request_id)

    def abort(self, request_id: str) -> None:
        self._left.pop(request_id, None)
        self._streamed.discard(request_id)

    def step(self) -> list[EngineUpdate]:
        updates = []
        for request_id, left in list(self._left.items()):
            num_new = 1 if request_id in self._streamed else left
            left -= num_new
            self._left[request_id] = left
            if not left:
                self.abort(request_id)
            updates.append(
                EngineUpdate(
                    request_id=request_id,
                    token_ids=[TOKEN] * num_new,
                    finish_reason=None if left else FinishReason.STOP,
                )
            )
        return updates

    def take_explanations(self) -> list[CacheExplanation]:
        return []

    def stats(self) -> EngineStats:
        return EngineStats(num_running=len(self._left))


def engine_main() -> None:
    """The engine process."""
    peer = socket.socket(fileno=sys.stdin.fileno())
    receive_job(peer)
    info = ModelInfo(
        name="scripted",
        architecture="scripted",
        context_length=8192,
        vocab_size=ScriptedVocabulary().size,
        size_bytes=0,
        metadata={},
        fingerprint="scripted",
    )
    with Connection(peer) as connection:
        connection.send(Loaded(info))
        serve(ScriptedCore(), connection, clock=time.monotonic)


def _priced(data_dir: Path) -> AccountsSettings:
    settings = AccountsSettings(
        prices=(PriceSetting(model="deepseek-chat", currency="USD", hit="1", miss="1", output="1"),)
    )
    with contextlib.closing(open_connection(settings, data_dir)) as connection:
        Registry(connection).top_up(OPEN_ACCOUNT_ID, currency="USD", micros=10**12)
    return settings


async def _seekd_main(port: int, data_dir: Path, *, is_priced: bool, is_cached: bool) -> None:
    settings = Settings(
        server=ServerSettings(host="127.0.0.1", port=port, data_dir=data_dir),
        accounts=_priced(data_dir) if is_priced else AccountsSettings(),
        model=ModelSettings(prompt_format="deepseek-v4.1", temperature_mapping="none"),
        response_cache=ResponseCacheSettings(use="on" if is_cached else "asked"),
    )
    engine = EngineProcess(Path("scripted"), command=(sys.executable, __file__, "--role", "engine"))
    model = ServedModel(
        engine, open_vocabulary=lambda: contextlib.nullcontext(ScriptedVocabulary()), settings=settings.model
    )
    application = Application(
        settings, models=single_model(model), books=open_server_books(settings), metrics=Metrics(engines={})
    )
    await application.start()
    calm_collector()
    try:
        await _serve(application.asgi, port)
    finally:
        await application.close()


async def _echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/json")


async def _serve(app: object, port: int) -> None:
    config = uvicorn.Config(app, port=port, log_config=None, access_log=False, lifespan="off")  # type: ignore[arg-type]
    await uvicorn.Server(config).serve()


@dataclass(slots=True)
class Client:
    """One kept-alive connection. Counts bytes, parses no JSON: the client shares the machine with the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes
    body: bytes

    @classmethod
    async def open(cls, port: int, body: object) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        content = json.dumps(body).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
            f"content-length: {len(content)}\r\n"
        )
        return cls(reader, writer, head.encode(), content)

    async def ask(self, headers: str = "") -> int:
        """Bytes of the answer's body."""
        self.writer.write(self.head + headers.encode() + b"\r\n" + self.body)
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(head.decode())
        if b"transfer-encoding: chunked" not in head:
            num_bytes = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
            await self.reader.readexactly(num_bytes)
            return num_bytes
        total = 0
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            await self.reader.readexactly(size + 2)
            total += size
        await self.reader.readexactly(2)
        return total


async def load(port: int, body: object, *, num_connections: int, seconds: float) -> list[float]:
    """Seconds of each answer, in any order."""
    clients = [await Client.open(port, body) for _ in range(num_connections)]
    end = time.perf_counter() + seconds

    async def run(client: Client) -> list[float]:
        times = []
        while (started := time.perf_counter()) < end:
            await client.ask()
            times.append(time.perf_counter() - started)
        return times

    answers = await asyncio.gather(*map(run, clients))
    for client in clients:
        client.writer.close()
    return [one for times in answers for one in times]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            await (await Client.open(port, WHOLE)).ask()
        except (OSError, RuntimeError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.1)
        else:
            return
    raise RuntimeError("the server ended")


def quantile(times: Sequence[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1000


def cpu_s(process_id: int) -> float:
    """CPU seconds of a process and its children: unlike latencies, they do not depend on what else the machine does."""
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    user, system = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK") + sum(cpu_s(int(child)) for child in children)


async def _measure(seekd: int, echo: int, seconds: float, process_ids: Mapping[int, int]) -> None:
    own: list[float] = []
    bare: list[float] = []
    for _ in range(5):  # by turns: the machine's mood changes
        own += await load(seekd, WHOLE, num_connections=1, seconds=seconds / 5)
        bare += await load(echo, WHOLE, num_connections=1, seconds=seconds / 5)
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        difference = quantile(own, share) - quantile(bare, share)
        print(f"{name}: seekd {quantile(own, share):.2f} ms, echo {quantile(bare, share):.2f} ms, {difference:+.2f} ms")
    for name, port, body in (
        ("whole answers", seekd, WHOLE),
        ("echoes", echo, WHOLE),
        (f"streams of {NUM_CHUNKS} chunks", seekd, STREAM),
    ):
        before_s = cpu_s(process_ids[port])
        counts = [len(await load(port, body, num_connections=32, seconds=seconds / 3)) for _ in range(3)]
        cpu_ms = (cpu_s(process_ids[port]) - before_s) / sum(counts) * 1000
        rate = statistics.median(counts) / (seconds / 3)
        print(f"32 connections: {rate:.0f} {name}/s, {cpu_ms:.2f} ms of CPU each")


@contextlib.contextmanager
def running(ports: Mapping[str, int], *more: str) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    with tempfile.TemporaryDirectory() as data_dir:
        arguments = [sys.executable, __file__, "--data-dir", data_dir, *more]
        processes = {
            role: subprocess.Popen([*arguments, "--role", role, "--port", str(port)]) for role, port in ports.items()
        }
        try:
            yield processes
        finally:
            for process in processes.values():
                process.terminate()
                process.wait(timeout=30)


async def _main(seconds: float, *, is_priced: bool) -> None:
    ports = {"seekd": free_port(), "echo": free_port()}
    with running(ports, *(["--priced"] if is_priced else [])) as processes:
        for role, process in processes.items():
            await wait_for(ports[role], process)
        process_ids = {ports[role]: process.pid for role, process in processes.items()}
        await _measure(ports["seekd"], ports["echo"], seconds, process_ids)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--priced", action="store_true", help="let requests cost something")
    parser.add_argument(
        "--role", choices=["client", "seekd", "echo", "engine"], default="client", help=argparse.SUPPRESS
    )
    parser.add_argument("--cached", action="store_true", help=argparse.SUPPRESS)  # for response_cache.py
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--data-dir", type=Path, default=Path(), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "engine":
        engine_main()
        return
    jobs = {
        "client": lambda: _main(options.seconds, is_priced=options.priced),
        "seekd": lambda: _seekd_main(
            options.port, options.data_dir, is_priced=options.priced, is_cached=options.cached
        ),
        "echo": lambda: _serve(
            Starlette(routes=[Route("/v1/chat/completions", _echo, methods=["POST"])]), options.port
        ),
    }
    uvloop.run(jobs[options.role]())


if __name__ == "__main__":
    main()
