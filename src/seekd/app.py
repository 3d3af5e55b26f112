"""Composition root of the API process: settings in, an application that answers out.

Above every room but cli and testing; the only module that knows which classes stand behind the Protocols.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import closing

from starlette.types import ASGIApp

from seekd.accounts.access import AccessState, allows_open, start_refusal
from seekd.accounts.books import Books, open_books
from seekd.accounts.keys import load_admin_token
from seekd.accounts.limiter import Limiter
from seekd.accounts.store import open_connection
from seekd.api.admin import AdminApi
from seekd.api.answering import Answering
from seekd.api.edge import Edge
from seekd.api.gate import Gate
from seekd.api.retries import DetachedRuns
from seekd.api.routes import Api
from seekd.engine.llama.vocabulary import open_vocabulary
from seekd.engine.messages import CacheExplanation
from seekd.engine.process import EngineProcess
from seekd.engine.types import EngineHealth
from seekd.errors import ConfigError
from seekd.models.locate import find_model_file
from seekd.models.store import ModelStore
from seekd.service.metrics import Metrics
from seekd.service.opening import GenerationService
from seekd.service.served_model import ServedModel
from seekd.service.tab import Counter
from seekd.settings import Settings
from seekd.wire.dialect import CLASSIC
from seekd.wire.failures import failure_response
from seekd.wire.model_names import accepted_names
from seekd.wire.models import ModelCard


class Application:
    """The server without its socket.

    Args:
        settings: of every room.
        model: answers; not started yet.
        books: know who may call and who pays; not started yet. Closed with the application.
        metrics: take note of every generation.
        explain: what the prefix cache gave to a recent request.

    Raises:
        ConfigError: the admin token's file cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        model: ServedModel,
        books: Books,
        metrics: Metrics,
        explain: Callable[[str], CacheExplanation | None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._model = model
        self._books = books
        self._access = AccessState.ENFORCED
        self._is_stopping = False
        limit_s = settings.server.request_timeout_s
        self._limiter = Limiter(settings.accounts, total_micros=books.total_micros)
        self._detached = DetachedRuns()
        service = GenerationService(
            model=model, counter=Counter(books, self._limiter), metrics=metrics, deadline_s=limit_s or None
        )
        gate = Gate(books=books, settings=settings.accounts)
        api = Api(
            answering=Answering(gate=gate, service=service, settings=settings.server, detached=self._detached),
            health=self.health,
            model_cards=self._model_cards,
            metrics=metrics,
            admin=AdminApi(
                token=load_admin_token(settings.server.data_dir / "admin-token"),
                open_connection=lambda: closing(open_connection(settings.accounts, settings.server.data_dir)),
                explain=explain,
                settings=settings.server,
            ),
        )
        internal_error = failure_response(RuntimeError(), CLASSIC).body
        self.asgi: ASGIApp = Edge(api.as_asgi(), internal_error=internal_error)

    async def start(self) -> None:
        """Open the books for writing and load the model.

        Raises:
            ConfigError: the model file cannot be used, or the address is refused (see `accounts.access`).
            StoreError: the books cannot be used.
        """
        await self._books.start()
        server = self._settings.server
        refusal = start_refusal(server.host, is_insecure=server.insecure, any_key_ever=await self._books.any_key_ever())
        if refusal is not None:
            raise ConfigError(refusal)
        self._access = await self._books.access()
        await self._model.start()

    async def close(self) -> None:
        """Free everything."""
        await self._model.close()
        await self._detached.wait()
        await self._limiter.close()
        await self._books.close()

    def stop_accepting(self) -> None:
        """Say by `/healthz` that no new request should come."""
        self._is_stopping = True

    def health(self) -> EngineHealth:
        """Whether a request would be answered now."""
        if self._is_stopping:
            return EngineHealth(ready=False, reason="The server is shutting down.")
        return self._model.health

    def model_line(self) -> str:
        """The model, for the ready line."""
        name = self._model.info.name
        return f"{name} (a demonstration model)" if self._model.profile.is_demonstration else name

    def access_line(self) -> str:
        """Who may call, for the ready line."""
        if self._access is AccessState.ENFORCED:
            return "keys required"
        return (
            "open to everybody" if self._settings.server.insecure else "open to programs on this machine, no key needed"
        )

    def _model_cards(self) -> Sequence[ModelCard]:
        info, profile = self._model.info, self._model.profile
        return tuple(
            ModelCard(
                model_id=name,
                display_name=self.model_line(),
                context_window=info.context_length,
                max_output_tokens=info.context_length,
                owned_by="seekd",
                is_demonstration=profile.is_demonstration,
            )
            for name in accepted_names(())
        )


def build(settings: Settings) -> Application:
    """The application for these settings.

    Raises:
        ConfigError: there is no such model file, or the books cannot be opened.
        StoreError: the books' database is away.
    """
    model_file = find_model_file(settings.model.source, ModelStore(settings.server.models_folder))
    settings.server.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = EngineProcess(
        model_file,
        settings.engine,
        cache_dir=settings.server.cache_dir,
        log_level=settings.log.level,
    )
    vocabulary = functools.partial(open_vocabulary, model_file)
    model = ServedModel(engine, open_vocabulary=vocabulary, settings=settings.model)

    def queue_s(request_id: str) -> float | None:
        explanation = engine.explain(request_id)
        return None if explanation is None else explanation.queue_s

    metrics = Metrics(engine_stats=lambda: engine.stats, num_restarts=lambda: engine.num_restarts, queue_s=queue_s)
    return Application(
        settings, model=model, books=open_server_books(settings), metrics=metrics, explain=engine.explain
    )


def open_server_books(settings: Settings) -> Books:
    """The books of a server with these settings. Raises `ConfigError` or `StoreError` as `open_books` does."""
    server = settings.server
    return open_books(
        settings.accounts, server.data_dir, allows_open=allows_open(server.host, is_insecure=server.insecure)
    )
