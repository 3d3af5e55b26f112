"""Every route of the server.

Room: api. Each route of the service is there bare, under `/v1`, and under `/beta`, which has the beta features; the
service documents the first, the founding document the second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from seekd.api.answering import Answering, as_response, failed, requested_dialect
from seekd.engine.types import EngineHealth
from seekd.errors import SeekdError
from seekd.wire.chat import parse_chat
from seekd.wire.dialect import DIALECTS, Dialect
from seekd.wire.failures import JSON, Failure, method_not_allowed, not_found
from seekd.wire.models import ModelCard, model_body, models_body

PLAIN_BASES = ("", "/v1")
BETA_BASES = ("/beta", "/beta/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The routes and what they need.

    Attributes:
        answering: serves what a model answers.
        health: whether a request would be answered now.
        model_cards: the models that can be asked for; raises `EngineError` while none is loaded.
    """

    answering: Answering
    health: Callable[[], EngineHealth]
    model_cards: Callable[[], Sequence[ModelCard]]

    def as_asgi(self) -> Starlette:
        """The ASGI application."""
        routes = [Route("/healthz", self._health, methods=["GET"])]
        for base in (*PLAIN_BASES, *BETA_BASES):
            routes += [
                Route(f"{base}/chat/completions", self._chat, methods=["POST"]),
                Route(f"{base}/models", self._models, methods=["GET"]),
                Route(f"{base}/models/{{model_id:path}}", self._model, methods=["GET"]),
            ]
        return Starlette(routes=routes, exception_handlers={404: self._no_route, 405: self._no_method})

    async def _chat(self, request: Request) -> ASGIApp:
        return await self.answering.answer(request, parse_chat, beta=request.url.path.startswith("/beta"))

    async def _models(self, request: Request) -> Response:
        return self._json(request, lambda: models_body(self.model_cards()))

    async def _model(self, request: Request) -> Response:
        def body() -> bytes:
            wanted = request.path_params["model_id"]
            for card in self.model_cards():
                if card.model_id == wanted:
                    return model_body(card)
            raise HTTPException(404)

        return self._json(request, body)

    async def _health(self, _: Request) -> Response:
        now = self.health()
        body = {"status": "ok"} if now.ready else {"status": "not ready", "reason": now.reason}
        return Response(msgspec.json.encode(body), status_code=200 if now.ready else 503, media_type=JSON)

    def _json(self, request: Request, body: Callable[[], bytes]) -> Response:
        dialect = DIALECTS[self.answering.settings.dialect]
        try:
            dialect = requested_dialect(request, default=dialect)
            return Response(body(), media_type=JSON)
        except SeekdError as error:
            return failed(error, dialect)

    async def _no_route(self, request: Request, _: Exception) -> Response:
        return self._refused(request, not_found)

    async def _no_method(self, request: Request, _: Exception) -> Response:
        return self._refused(request, method_not_allowed)

    def _refused(self, request: Request, failure: Callable[[Dialect], Failure]) -> Response:
        dialect = DIALECTS[self.answering.settings.dialect]
        try:
            return as_response(failure(requested_dialect(request, default=dialect)))
        except SeekdError as error:  # an unknown dialect is named first
            return failed(error, dialect)
