"""The way of every request that a model answers: dialect, body, parse, open, answer.

Room: api. May import: wire, service and below.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from seekd import log
from seekd.api.connection import AnswerResponse, ClientLeft, read_body
from seekd.api.gate import Gate
from seekd.api.settings import ServerSettings
from seekd.errors import SeekdError, UnsupportedMedia
from seekd.prompt.types import Renderable
from seekd.service.generation import Generation, GenerationService
from seekd.wire.calls import Call
from seekd.wire.dialect import DIALECT_HEADER, DIALECTS, Dialect, dialect_named
from seekd.wire.failures import JSON, Failure, failure_response
from seekd.wire.sse import KEEP_ALIVE_FRAME, STREAM_CONTENT_TYPE

BLANK_LINE = b"\n"

WARNING_HEADER = "x-seekd-warning"
"""Says which parts of a tool's schema are not enforced."""


class Parse(Protocol):
    """Validates a body of one protocol, as `wire.chat.parse_chat` does."""

    def __call__(self, body: bytes, *, dialect: Dialect, models: Collection[str]) -> Call:
        """Raises a `RequestError` for a body that breaks the protocol's rules."""


class ParseCountable(Protocol):
    """Validates a body whose tokens are to be counted, as `wire.tokenize.parse_tokenize` does."""

    def __call__(self, body: bytes, *, dialect: Dialect, models: Collection[str]) -> Renderable:
        """Raises a `RequestError` for a body that breaks the protocol's rules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """What answering needs, and is the same for every request.

    Attributes:
        gate: knows who calls.
        service: opens generations.
        settings: limits and the default dialect.
        models: names that this server answers to besides the official ones.
    """

    gate: Gate
    service: GenerationService
    settings: ServerSettings
    models: Collection[str] = ()

    async def answer(self, request: Request, parse: Parse) -> ASGIApp:
        """The response to one request."""
        dialect = DIALECTS[self.settings.dialect]
        try:
            dialect = requested_dialect(request, default=dialect)
            caller = await self.gate.admit(request)
            call = parse(await self._body(request), dialect=dialect, models=self.models)
            log.model_name.set(call.request.model)
            generation = await self.service.open(
                call.request, caller=caller, response_id=dialect.response_id(uuid.uuid4())
            )
        except SeekdError as error:
            return failed(error, dialect)
        except ClientLeft:
            return _nobody()
        return self._respond(call, generation, dialect)

    async def count(self, request: Request, parse: ParseCountable, write: Callable[[Sequence[int]], bytes]) -> Response:
        """The response to a request that only counts tokens."""
        dialect = DIALECTS[self.settings.dialect]
        try:
            dialect = requested_dialect(request, default=dialect)
            await self.gate.admit(request)
            countable = parse(await self._body(request), dialect=dialect, models=self.models)
            return Response(write(await self.service.encode(countable)), media_type=JSON)
        except SeekdError as error:
            return failed(error, dialect)
        except ClientLeft:
            return _nobody()

    async def _body(self, request: Request) -> bytes:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != JSON and not media_type.endswith("+json"):
            raise UnsupportedMedia
        return await read_body(request, self.settings)

    def _respond(self, call: Call, generation: Generation, dialect: Dialect) -> ASGIApp:
        warnings = {WARNING_HEADER: " ".join(generation.warnings)} if generation.warnings else {}
        if call.request.stream:
            return AnswerResponse(
                _stream(call, generation),
                headers={"content-type": STREAM_CONTENT_TYPE, "cache-control": "no-cache"} | warnings,
                failure=lambda error: failed(error, dialect),
                error_frame=call.encoder.encode_error,
                keep_alive=KEEP_ALIVE_FRAME,
                keep_alive_s=self.settings.keep_alive_s,
            )
        return AnswerResponse(
            _whole(call, generation),
            headers={"content-type": JSON} | warnings,
            failure=lambda error: failed(error, dialect),
            error_frame=lambda error: failure_response(error, dialect).body,
            keep_alive=BLANK_LINE if dialect.pads_waiting else None,
            keep_alive_s=self.settings.keep_alive_s,
        )


def requested_dialect(request: Request, *, default: Dialect) -> Dialect:
    """The dialect that a request names, and note it for the response's headers. Raises `InvalidParameter`."""
    named = request.headers.get(DIALECT_HEADER)
    dialect = default if named is None else dialect_named(named)
    request.state.dialect = dialect.name
    return dialect


def failed(error: SeekdError, dialect: Dialect) -> Response:
    """The response to a request that failed before its first byte."""
    return as_response(failure_response(error, dialect))


def as_response(failure: Failure) -> Response:
    """A failure of the wire's table as a response; without a content type where it has none."""
    response = Response(failure.body, status_code=failure.status, headers=dict(failure.headers))
    if failure.content_type is not None:
        response.headers["content-type"] = failure.content_type
    return response


def _nobody() -> Response:
    # The client has left, so nobody reads this; the number is the field's convention in logs.
    return Response(status_code=499)


async def _stream(call: Call, generation: Generation) -> AsyncGenerator[bytes, None]:
    async with aclosing(generation.chunks()) as batches:
        async for chunks in batches:
            # One write for all that one engine step brought.
            yield b"".join(map(call.encoder.encode_chunk, chunks))
    yield call.encoder.encode_end()


async def _whole(call: Call, generation: Generation) -> AsyncGenerator[bytes, None]:
    async with aclosing(generation.chunks()) as batches:
        async for _ in batches:
            pass
    yield call.encoder.encode_response(generation.response_json())
