"""The outermost layer: ids, the summary line of each request, and the last word on what went wrong.

Pure ASGI, so that streams pass through untouched.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seekd import log
from seekd.api.interruption import Interruption
from seekd.wire.dialect import HOSTED

_log = logging.getLogger(__name__)

TRACE_HEADER = b"x-ds-trace-id"
REQUEST_ID_HEADER = b"x-request-id"
# Source: docs/reference/wire.md §3.1. Left out: what only makes sense behind its TLS, `strict-transport-security`.
_SERVICE_HEADERS = (
    (b"vary", b"origin, access-control-request-method, access-control-request-headers"),
    (b"access-control-allow-credentials", b"true"),
    (b"x-content-type-options", b"nosniff"),
)


class Edge:
    """Gives every request an id, and every response the headers that carry it.

    Args:
        app: what answers.
        internal_error: body of a 500, for a bug that nothing below turned into an answer.
        failed: the response to a request that was interrupted before its own began, in a dialect; None is the default.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        internal_error: bytes,
        failed: Callable[[Exception, str | None], ASGIApp],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._internal_error = internal_error
        self._failed = failed
        self._clock = clock
        self._running: set[Interruption] = set()
        self._end: Exception | None = None

    def interrupt(self, cause: Exception) -> None:
        """End every request, also those that still come; their clients are told why."""
        self._end = cause
        for interruption in list(self._running):
            interruption.interrupt(cause)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id
        token = log.request_id.set(request_id)
        facts: dict[str, object] = {}
        facts_token = log.request_facts.set(facts)
        started_s = self._clock()
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                headers.append((TRACE_HEADER, request_id.encode()))
                if scope["state"].get("dialect") == HOSTED.name:
                    headers += _SERVICE_HEADERS
                else:
                    headers.append((REQUEST_ID_HEADER, request_id.encode()))
                await send({**message, "headers": headers})
                status = message["status"]
            else:
                await send(message)

        interruption = scope["state"]["interruption"] = Interruption()
        self._running.add(interruption)
        if self._end is not None:
            interruption.interrupt(self._end)
        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:
            cause = interruption.caught()
            if status is None:
                await self._failed(cause, scope["state"].get("dialect"))(scope, receive, send_with_id)
        except Exception:
            _log.exception("request failed", extra={"action": "request_failed", "path": scope["path"]})
            if status is not None:
                raise
            headers = [(b"content-type", b"application/json")]
            await send_with_id({"type": "http.response.start", "status": 500, "headers": headers})
            await send_with_id({"type": "http.response.body", "body": self._internal_error})
        finally:
            self._running.discard(interruption)
            interruption.close()
            _log.info(
                "request",
                extra={
                    "action": "request",
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "ms": round((self._clock() - started_s) * 1000, 1),
                    **facts,
                },
            )
            log.request_facts.reset(facts_token)
            log.request_id.reset(token)
