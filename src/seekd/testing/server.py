"""A seekd server inside the test process, answering by script: real HTTP, no model, any fault on demand."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from seekd.accounts.settings import AccountsSettings
from seekd.api.server import http_server, stop_server
from seekd.api.settings import ServerSettings
from seekd.app import Application, open_server_books
from seekd.engine.scripted import Script, ScriptedEngine
from seekd.guard.settings import GuardSettings
from seekd.models.settings import FormatName, LongConversationName, ModelSettings
from seekd.service.metrics import Metrics
from seekd.service.model_pool import Member, ModelPool
from seekd.service.response_cache.settings import ResponseCacheSettings
from seekd.service.served_model import ServedModel
from seekd.service.settings import ContextSettings
from seekd.service.telemetry import TelemetrySettings
from seekd.settings import NamedModelSettings, Settings

START_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedServer:
    """A running server.

    Attributes:
        url: `http://127.0.0.1:PORT`; clients use it with or without `/v1`.
        engine: what plays the script; remembers every request, but for those to own models.
    """

    url: str
    engine: ScriptedEngine


@contextlib.contextmanager
def serve_script(
    script: Script,
    *,
    data_dir: Path,
    server: ServerSettings | None = None,
    accounts: AccountsSettings | None = None,
    guard: GuardSettings | None = None,
    response_cache: ResponseCacheSettings | None = None,
    prompt_format: FormatName = "deepseek-v4.1",
    context_length: int = 8192,
    long_conversations: LongConversationName = "refuse",
    context: ContextSettings | None = None,
    own_models: Sequence[str] = (),
    router: str | None = None,
    telemetry: TelemetrySettings | None = None,
) -> Iterator[ScriptedServer]:
    """Serve until the block ends.

    Args:
        script: what the engine does for each request.
        data_dir: for books and caches; a temporary folder.
        server: limits and dialect; host, port and data_dir are chosen here.
        accounts: prices, limits and the like.
        guard: sensitive data and what else is not let through.
        response_cache: whether and where answers are kept for repeats.
        prompt_format: the chat layout that the script speaks.
        context_length: of the scripted model, in tokens (its tokens are bytes).
        long_conversations: what becomes of conversations that do not fit.
        context: how they are summarised.
        own_models: names of further models, which play the same script on engines of their own.
        router: name of the extension that chooses among them.
        telemetry: whether traces and metrics are sent.
    """
    settings = Settings(
        server=replace(server or ServerSettings(), host="127.0.0.1", port=0, data_dir=data_dir),
        accounts=accounts or AccountsSettings(),
        guard=guard or GuardSettings(),
        model=ModelSettings(
            source="script",
            prompt_format=prompt_format,
            temperature_mapping="none",
            long_conversations=long_conversations,
            router=router,
        ),
        models={name: NamedModelSettings(source=name) for name in own_models},
        context=context or ContextSettings(),
        response_cache=response_cache or ResponseCacheSettings(),
        telemetry=telemetry or TelemetrySettings(),
    )
    engines = {name: ScriptedEngine(script, context_length=context_length) for name in ("default", *own_models)}
    members = [
        Member(
            key=name,
            names=() if name == "default" else (name,),
            model=_served(engine, settings.model),
            is_preloaded=True,
        )
        for name, engine in engines.items()
    ]
    application = Application(
        settings, models=ModelPool(members), books=open_server_books(settings), metrics=Metrics(engines=engines)
    )
    with serve_application(application, application.asgi, settings.server) as (url, _):
        yield ScriptedServer(url=url, engine=engines["default"])


@contextlib.contextmanager
def serve_application(
    application: Application, asgi: ASGIApp, settings: ServerSettings
) -> Iterator[tuple[str, uvicorn.Server]]:
    """Serve an application on a free port of this machine, in a thread of its own, until the block ends.

    Args:
        application: not started yet.
        asgi: its own, or what stands around that.
        settings: of the server.

    Yields:
        The address, and the server.

    Raises:
        RuntimeError: it did not start, or failed.
    """
    # The protocol is named since asyncio sends without delay only where it is: else each answer takes 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # from now on a client waits for the server instead of being refused
        running = _Running(application, http_server(asgi, settings), listener)
        running.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", running.server
        finally:
            running.stop()


def _served(engine: ScriptedEngine, settings: ModelSettings) -> ServedModel:
    return ServedModel(engine, open_vocabulary=lambda: contextlib.nullcontext(engine.vocabulary), settings=settings)


class _Running:
    # The server's own thread with its own event loop: the tests' loop stays theirs.

    def __init__(self, application: Application, server: uvicorn.Server, listener: socket.socket) -> None:
        self.server = server
        self._application = application
        self._listener = listener
        self._is_up = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._serving: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="seekd-scripted-server", daemon=True)

    def start(self) -> None:
        self._thread.start()
        if not self._is_up.wait(START_LIMIT_S) or self._error is not None:
            raise RuntimeError("The scripted server did not start.") from self._error

    def stop(self) -> None:
        if self._serving is not None and not self._serving.done():
            # No grace: a test that has seen what it wants does not wait for the rest.
            stopping = stop_server(self.server, self._serving, interrupt=self._application.interrupt, grace_s=0)
            asyncio.run_coroutine_threadsafe(stopping, self._loop)
        self._thread.join(START_LIMIT_S)
        if self._error is not None:
            raise RuntimeError("The scripted server failed.") from self._error

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # handed to the thread that waits
            self._error = error
            self._is_up.set()

    async def _serve(self) -> None:
        try:
            await self._application.start()
            self._serving = asyncio.create_task(self.server.serve(sockets=[self._listener]))
            self._is_up.set()
            await self._serving
        finally:
            await self._application.close()
