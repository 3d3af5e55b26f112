"""One operation of the OpenAPI document, as data."""

from __future__ import annotations

from dataclasses import dataclass

SERVICE_BASES = ("/", "/v1", "/beta", "/beta/v1")
"""Where the routes of the service are; `/beta` has prefix completion, strict tools and completions."""

ROOT = ("/",)
COMMON_REFUSALS = (401, 403, 429)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One route.

    Attributes:
        method: in lower case.
        path: behind the base.
        bases: where it is.
        summary: one line.
        response: name of the schema of a good answer; None where it is no JSON.
        request: name of the schema of the body; None where there is none.
        streams: whether a good answer may be a stream of events.
        refusals: statuses of errors.
        query: names of the parameters behind the question mark, none required.
        security: what it asks for: `key`, `admin_token`, or None for nothing.
    """

    method: str
    path: str
    bases: tuple[str, ...]
    summary: str
    response: str | None
    request: str | None = None
    streams: bool = False
    refusals: tuple[int, ...] = COMMON_REFUSALS
    query: tuple[str, ...] = ()
    security: str | None = "key"
