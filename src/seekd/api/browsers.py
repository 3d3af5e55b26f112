"""Web pages of other origins: those that the settings name may read answers, all others may not."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

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
    """
    if not allowed_origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=allowed_origins,
        allow_methods=("GET", "POST"),
        allow_headers=("*",),
        expose_headers=_READABLE,
        max_age=600,
    )
