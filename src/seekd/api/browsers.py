"""Web pages of other origins: those that the settings name may read answers, all others may not.

Only routes that take keys are open to them. What is for people and for the admin token has no CORS headers, ever.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from seekd.accounts.access import EVERY_ORIGIN, page_origins

_PUBLIC = frozenset(
    {
        "anthropic",
        "beta",
        "chat",
        "completions",
        "docs",
        "healthz",
        "livez",
        "metrics",
        "models",
        "openapi.json",
        "responses",
        "tokenize",
        "user",
        "v1",
    }
)
"""First parts of the paths that pages of other origins may ask."""
_READABLE = (
    "retry-after",
    "x-ds-trace-id",
    "x-request-id",
    "x-seekd-cache",
    "x-seekd-context",
    "x-seekd-cost",
    "x-seekd-model",
    "x-seekd-moderation",
    "x-seekd-redacted",
    "x-seekd-usage",
    "x-seekd-warning",
)


def for_browsers(app: ASGIApp, *, allowed_origins: Sequence[str]) -> ASGIApp:
    """The application with the CORS headers that pages of these origins need; unchanged when there are none.

    A page sends its key in a header of its own making, never a cookie, so no credentials are allowed.

    Args:
        app: the whole application, since a page can read only errors that have these headers, too.
        allowed_origins: as in the settings.
    """
    if not allowed_origins:
        return app
    origins = page_origins(tuple(allowed_origins))
    with_cors = CORSMiddleware(
        app,
        allow_origins=origins - {EVERY_ORIGIN},
        # The origin is echoed and never `*`: a browser refuses that beside the `hosted` header for credentials.
        allow_origin_regex=".*" if EVERY_ORIGIN in origins else None,
        allow_methods=("GET", "POST", "DELETE"),
        allow_headers=("*",),
        allow_private_network=True,
        expose_headers=_READABLE,
        max_age=600,
    )

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        is_public = scope["type"] == "http" and scope["path"][1:].partition("/")[0] in _PUBLIC
        await (with_cors if is_public else app)(scope, receive, send)

    return answer
