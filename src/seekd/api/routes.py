"""Every route of the server.

Each route of the service is there bare, under `/v1`, and under `/beta`, which has the beta features; the
service documents the first, the classic API the second.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from seekd import __version__
from seekd.accounts.types import Caller
from seekd.api.admin import CSV, AdminApi, wants_csv
from seekd.api.answering import Answering, as_response, failed, requested_dialect
from seekd.engine.types import EngineHealth
from seekd.errors import SeekdError
from seekd.service.metrics import CONTENT_TYPE, Metrics
from seekd.wire.balance import balance_body
from seekd.wire.chat import parse_chat
from seekd.wire.completions import parse_completion
from seekd.wire.dialect import DIALECTS, Dialect
from seekd.wire.failures import JSON, Failure, method_not_allowed, not_found
from seekd.wire.messages import count_tokens_body, parse_messages
from seekd.wire.models import ModelCard, model_body, models_body
from seekd.wire.openapi import openapi_body
from seekd.wire.openapi_page import docs_page
from seekd.wire.responses import parse_responses
from seekd.wire.tokenize import parse_tokenize, tokenize_body

PLAIN_BASES = ("/v1", "")
BETA_BASES = ("/beta", "/beta/v1")
MESSAGES_BASES = ("/anthropic", "/anthropic/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The routes and what they need.

    Attributes:
        answering: serves what a model answers.
        health: whether a request would be answered now.
        num_refused: settlements that the accounts database refuses.
        model_cards: the models that can be asked for; raises `Overloaded` while none is known.
        metrics: what `/metrics` shows.
        admin: what `/admin` does.
        pages: what is shown to people; tried last.
    """

    answering: Answering
    health: Callable[[], Awaitable[EngineHealth]]
    num_refused: Callable[[], int]
    model_cards: Callable[[], Sequence[ModelCard]]
    metrics: Metrics
    admin: AdminApi
    pages: Sequence[BaseRoute] = ()

    def as_asgi(self) -> Starlette:
        """The ASGI application."""
        # Tried in order, one regular expression each: what answers comes before what manages.
        routes: list[BaseRoute] = []
        for base in (*PLAIN_BASES, *BETA_BASES):
            beta = base in BETA_BASES
            routes += [
                Route(f"{base}/chat/completions", self._answer(partial(parse_chat, beta=beta)), methods=["POST"]),
                Route(f"{base}/completions", self._answer(partial(parse_completion, beta=beta)), methods=["POST"]),
                Route(f"{base}/responses", self._answer(parse_responses), methods=["POST"]),
                Route(f"{base}/tokenize", self._count_text, methods=["POST"]),
                Route(f"{base}/user/balance", self._balance, methods=["GET"]),
                Route(f"{base}/user/usage", self._usage, methods=["GET"]),
                Route(f"{base}/models", self._models, methods=["GET"]),
                Route(f"{base}/models/{{model_id:path}}", self._model, methods=["GET"]),
            ]
        for base in MESSAGES_BASES:
            routes += [
                Route(f"{base}/messages", self._answer(parse_messages), methods=["POST"]),
                Route(f"{base}/messages/count_tokens", self._count_messages, methods=["POST"]),
            ]
        routes += [
            Route("/healthz", self._health, methods=["GET"]),
            Route("/livez", _alive, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
            *self.admin.routes(),
            Route("/openapi.json", _openapi, methods=["GET"]),
            Route("/docs", _docs, methods=["GET"]),
            *self.pages,
        ]
        app = Starlette(routes=routes, exception_handlers={404: self._no_route, 405: self._no_method})
        app.router.redirect_slashes = False  # a path with a slash too many is not found, as with the service
        return app

    def _answer(self, parse: Callable[..., object]) -> Callable[[Request], Awaitable[ASGIApp]]:
        async def endpoint(request: Request) -> ASGIApp:
            return await self.answering.answer(request, parse)  # type: ignore[arg-type]  # partial hides the signature

        return endpoint

    async def _count_text(self, request: Request) -> Response:
        return await self.answering.count(request, parse_tokenize, tokenize_body)

    async def _count_messages(self, request: Request) -> Response:
        return await self.answering.count(
            request,
            lambda body, *, dialect, models: parse_messages(body, dialect=dialect, models=models).request.body,
            lambda token_ids: count_tokens_body(len(token_ids)),
        )

    async def _models(self, request: Request) -> Response:
        async def body(caller: Caller) -> bytes:
            return models_body([card for card in self.model_cards() if caller.may_use(card.model_id)])

        return await self._admitted(request, body)

    async def _model(self, request: Request) -> Response:
        async def body(caller: Caller) -> bytes:
            wanted = request.path_params["model_id"]
            for card in self.model_cards():
                if card.model_id == wanted and caller.may_use(wanted):
                    return model_body(card)
            raise HTTPException(404)

        return await self._admitted(request, body)

    async def _balance(self, request: Request) -> Response:
        async def body(caller: Caller) -> bytes:
            return balance_body(await self.answering.gate.books.balance(caller.account_id))

        return await self._admitted(request, body)

    async def _usage(self, request: Request) -> Response:
        async def body(caller: Caller) -> bytes:
            return await self.admin.usage_of(caller, request)

        return await self._admitted(request, body, media_type=CSV if wants_csv(request) else JSON)

    async def _health(self, _: Request) -> Response:
        now = await self.health()
        body: dict[str, object] = {"status": "ok"} if now.ready else {"status": "not ready", "reason": now.reason}
        if num_refused := self.num_refused():
            body["refused_settlements"] = num_refused
        return Response(msgspec.json.encode(body), status_code=200 if now.ready else 503, media_type=JSON)

    async def _metrics(self, request: Request) -> Response:
        async def body(_: Caller) -> bytes:
            return self.metrics.exposition()

        return await self._admitted(request, body, media_type=CONTENT_TYPE)

    async def _admitted(
        self, request: Request, body: Callable[[Caller], Awaitable[bytes]], *, media_type: str = JSON
    ) -> Response:
        dialect = DIALECTS[self.answering.settings.dialect]
        try:
            dialect = requested_dialect(request, default=dialect)
            caller = await self.answering.gate.admit(request)
            return Response(await body(caller), media_type=media_type)
        except SeekdError as error:
            return failed(error, dialect)

    async def _no_route(self, request: Request, _: Exception) -> Response:
        return await self._refused(request, partial(not_found, path=request.url.path))

    async def _no_method(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        allowed = (error.headers or {}).get("Allow", "")
        return await self._refused(request, partial(method_not_allowed, allowed=allowed))

    async def _refused(self, request: Request, failure: Callable[[Dialect], Failure]) -> Response:
        dialect = DIALECTS[self.answering.settings.dialect]
        try:
            dialect = requested_dialect(request, default=dialect)
            await self.answering.gate.admit(request)  # who has no key learns nothing about routes
            return as_response(failure(dialect))
        except SeekdError as error:
            return failed(error, dialect)


async def _alive(_: Request) -> Response:
    # Asks nothing of anybody: who restarts a server because its database is away makes nothing better.
    return Response(b'{"status":"ok"}', media_type=JSON)


async def _openapi(_: Request) -> Response:
    return Response(openapi_body(version=__version__), media_type=JSON)


async def _docs(_: Request) -> Response:
    return Response(docs_page(version=__version__), media_type="text/html; charset=utf-8")
