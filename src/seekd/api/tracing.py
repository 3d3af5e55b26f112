"""One span for each HTTP request, under the trace that its caller names in `traceparent`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_SERVER_ERROR = 500


def traced(app: ASGIApp, tracer: Tracer) -> ASGIApp:
    """The application with a span around each request.

    Args:
        app: what answers; spans that it makes are inside.
        tracer: makes the spans.
    """
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind, Status, StatusCode

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {
            "http.request.method": scope["method"],
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
        }
        with tracer.start_as_current_span(
            scope["method"], context=extract(carrier), kind=SpanKind.SERVER, attributes=attributes
        ) as span:

            async def send_noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= _SERVER_ERROR:
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            await app(scope, receive, send_noting)

    return answer
