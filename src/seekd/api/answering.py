"""The way of every request that a model answers: dialect, body, parse, open, answer."""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from seekd import log
from seekd.accounts.idempotency import IdempotencyClaims
from seekd.accounts.types import Answer, Caller, Claim, Twin, format_exact
from seekd.api.caching import CACHE_HEADER, cache_wish
from seekd.api.connection import AnswerResponse, ClientLeft, read_body, while_connected
from seekd.api.gate import Gate
from seekd.api.interruption import Interruption
from seekd.api.retries import IDEMPOTENCY_HEADER, DetachedRuns, KeptAnswer, TwinResponse, replay
from seekd.api.screening import REDACT_HEADER, RESTORE_HEADER, Parse, screened
from seekd.api.settings import ServerSettings
from seekd.errors import Overloaded, SeekdError, StoreError, UnsupportedMedia
from seekd.prompt.types import Renderable
from seekd.service.generation import TOOK_TOO_LONG, Generation
from seekd.service.long_conversations.summaries import Waiting
from seekd.service.opening import GenerationService
from seekd.service.response_cache.cache import NO_WISH
from seekd.service.routing import Routes
from seekd.service.screening import Screening
from seekd.wire.calls import Call
from seekd.wire.context import CONTEXT_HEADER, PENDING, context_edit, context_header, requested_context
from seekd.wire.dialect import DIALECT_HEADER, DIALECTS, Dialect, dialect_named
from seekd.wire.failures import JSON, Failure, failure_response
from seekd.wire.model_names import served_name
from seekd.wire.requests import decoded_object, text_or_none
from seekd.wire.sse import KEEP_ALIVE_FRAME, STREAM_CONTENT_TYPE, comment

_log = logging.getLogger(__name__)

BLANK_LINE = b"\n"

_HEADER_SAFE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")  # others are percent-encoded
USAGE_HEADER = "x-seekd-usage"
COST_HEADER = "x-seekd-cost"
MODEL_HEADER = "x-seekd-model"
"""Names the model that a router chose."""
WARNING_HEADER = "x-seekd-warning"
"""Says what the request asked for and does not get: parts of a schema, fields of other servers."""


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
        screening: keeps what must not pass from everything behind it.
        settings: limits and the default dialect.
        detached: generations that outlive their client.
        routes: choose the model of each request; None where its name alone does.
        models: names that this server answers to besides the official ones.
    """

    gate: Gate
    service: GenerationService
    screening: Screening
    settings: ServerSettings
    detached: DetachedRuns
    routes: Routes | None = None
    models: Collection[str] = ()

    async def answer(self, request: Request, parse: Parse) -> ASGIApp:
        """The response to one request."""
        dialect = DIALECTS[self.settings.dialect]
        interruption: Interruption = request.state.interruption
        if self.settings.request_timeout_s:
            interruption.interrupt_after(self.settings.request_timeout_s, partial(Overloaded, TOOK_TOO_LONG))
        try:
            dialect = requested_dialect(request, default=dialect)
            caller = await self.gate.admit(request)
            body = await self._body(request)
            if IDEMPOTENCY_HEADER in request.headers:
                return await self._answer_once(request, parse, caller, dialect, body)
            opening = await self._opening(request, parse, caller, dialect, body)
            interruption.listener = opening.interrupted
            frames = (
                _frames(opening.call, await opening.finish()) if opening.waiting is None else _frames_later(opening)
            )
            return self._respond(opening, dialect, frames, interruption)
        except SeekdError as error:
            return failed(error, dialect)
        except ClientLeft:
            return _nobody()

    async def _answer_once(
        self, request: Request, parse: Parse, caller: Caller, dialect: Dialect, body: bytes
    ) -> ASGIApp:
        """The answer to an idempotency key. Where it is known, nothing else is done and nothing can be refused."""
        claims = self.gate.books.claims
        taken = await claims.take(
            caller,
            idempotency_key=request.headers[IDEMPOTENCY_HEADER],
            body=_to_repeat(request, caller, dialect, body),
            request_id=request.state.request_id,
        )
        if isinstance(taken, Answer):
            return replay(taken)
        if isinstance(taken, Twin):
            wait = partial(claims.answer_to, taken)
            return TwinResponse(
                wait, failure=lambda error: failed(error, dialect), interruption=request.state.interruption
            )
        async with claims.freed_on_failure(taken):
            opening = await self._opening(request, parse, caller, dialect, body)
        frames = self.detached.start(_frames_to_keep(opening, taken, claims), goes_on=lambda: opening.has_begun)
        return self._respond(opening, dialect, frames, request.state.interruption)

    async def _opening(self, request: Request, parse: Parse, caller: Caller, dialect: Dialect, body: bytes) -> _Opening:
        headers, state = request.headers, request.state
        call = parse(body, dialect=dialect, models=self.models)
        if self.routes is not None:
            call = self._routed(call, self.routes, caller)
        log.model_name.set(call.request.served_model)
        watch = None
        is_screened = not self.screening.is_idle or call.request.must_be_judged
        if is_screened or REDACT_HEADER in headers or RESTORE_HEADER in headers:
            call, watch = await screened(
                self.screening,
                call,
                body,
                parse,
                caller=caller,
                headers=headers,
                dialect=dialect,
                models=self.models,
            )
        if (wanted := headers.get(CONTEXT_HEADER)) is not None:
            call = replace(call, request=replace(call.request, long_conversation=requested_context(wanted)))
        waiting = self.service.would_wait(call.request, caller)
        opening = partial(
            self.service.open,
            call.request,
            caller=caller,
            request_id=state.request_id,
            response_id=dialect.response_id(uuid.uuid4(), prefix=call.id_prefix),
            watch=watch,
            waiting=waiting,
            wish=cache_wish(headers) if CACHE_HEADER in headers or "cache-control" in headers else NO_WISH,
            route=request.scope["path"],  # `request.url` parses the whole address
        )
        return _Opening(call=call, open=opening, waiting=waiting)

    async def count(self, request: Request, parse: ParseCountable, write: Callable[[Sequence[int]], bytes]) -> Response:
        """The response to a request that only counts tokens."""
        dialect = DIALECTS[self.settings.dialect]
        try:
            dialect = requested_dialect(request, default=dialect)
            caller = await self.gate.admit(request)
            body = await self._body(request)
            countable = parse(body, dialect=dialect, models=self.models)
            name = text_or_none(decoded_object(body).get("model"))
            takes_any = dialect.serves_any_name
            model = None if name is None else served_name(name, self.models, takes_any=takes_any)
            async with while_connected(request.receive, request.state.interruption):
                counted = await self.service.count(
                    countable, model=model, caller=caller, request_id=request.state.request_id
                )
            headers = dict(counted.limit_headers) if dialect.sends_hints else None
            return Response(write(counted.token_ids), media_type=JSON, headers=headers)
        except SeekdError as error:
            return failed(error, dialect)
        except ClientLeft:
            return _nobody()

    def _routed(self, call: Call, routes: Routes, caller: Caller) -> Call:
        request = routes.routed(call.request, caller)
        if request is call.request:
            return call
        return replace(call, request=request, headers={**call.headers, MODEL_HEADER: request.served_model})

    async def _body(self, request: Request) -> bytes:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != JSON and not media_type.endswith("+json"):
            raise UnsupportedMedia
        return await read_body(request, self.settings)

    def _respond(
        self, opening: _Opening, dialect: Dialect, frames: AsyncGenerator[bytes, None], interruption: Interruption
    ) -> ASGIApp:
        call = opening.call
        is_stream = call.request.stream
        reports_cost = dialect.sends_hints and self.gate.settings.report_cost_header

        def headers() -> dict[str, str]:
            known, generation = _content_headers(call), opening.generation
            warnings = call.warnings if generation is None else (*call.warnings, *generation.warnings)
            if warnings:
                known[WARNING_HEADER] = quote("; ".join(warnings), safe=_HEADER_SAFE)
            if generation is None:  # a waiting client gets a sign of life before its model is loaded
                if opening.waiting is not None and opening.waiting.making is not None:
                    known[CONTEXT_HEADER] = PENDING
                return known
            if generation.context is not None:
                known[CONTEXT_HEADER] = context_header(generation.context)
            if generation.cache_result is not None:
                known[CACHE_HEADER] = generation.cache_result
            if dialect.sends_hints:
                known |= generation.limit_headers
            if reports_cost:
                known |= _cost_headers(generation)
            return known

        def trailer() -> bytes:
            if not (is_stream and reports_cost) or opening.generation is None:
                return b""
            return b"".join(comment(f"{name}: {value}") for name, value in _cost_headers(opening.generation).items())

        def last_words(error: SeekdError) -> bytes:
            return call.encoder.encode_error(error) if is_stream else failure_response(error, dialect).body

        return AnswerResponse(
            frames,
            headers=headers,
            failure=lambda error: failed(error, dialect),
            error_frame=last_words,
            trailer=trailer,
            keep_alive=KEEP_ALIVE_FRAME if is_stream else BLANK_LINE if dialect.pads_waiting else None,
            keep_alive_s=self.settings.keep_alive_s,
            is_admitted=lambda: opening.is_admitted,
            interruption=interruption,
        )


def requested_dialect(request: Request, *, default: Dialect) -> Dialect:
    """The dialect that a request names, and note it for the response's headers. Raises `InvalidParameter`."""
    named = request.headers.get(DIALECT_HEADER)
    dialect = default if named is None else dialect_named(named)
    request.state.dialect = dialect.name
    return dialect


def failed(error: Exception, dialect: Dialect) -> Response:
    """The response to a request that failed before its first byte."""
    if isinstance(error, StoreError) and error.reason:
        _log.warning("a store failed a request", extra={"action": "store_failed", "reason": error.reason})
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


def _content_headers(call: Call) -> dict[str, str]:
    if call.request.stream:
        return {"content-type": STREAM_CONTENT_TYPE, "cache-control": "no-cache", **call.headers}
    return {"content-type": JSON, **call.headers}


def _cost_headers(generation: Generation) -> dict[str, str]:
    """Usage and cost, once they are known: headers of a whole answer, comments behind a stream."""
    record, charge = generation.record, generation.charge
    if charge is None:
        return {}
    return {
        USAGE_HEADER: (
            f"prompt={record.num_prompt_tokens} cached={record.num_cached_tokens} "
            f"completion={record.num_completion_tokens}"
        ),
        COST_HEADER: f"{format_exact(charge.cost_micros)} {charge.currency}",
    }


def _to_repeat(request: Request, caller: Caller, dialect: Dialect, body: bytes) -> bytes:
    """What must be equal in a repeat: all that decides what is answered. Raises `InvalidParameter`."""
    headers = request.headers
    wanted = headers.get(CONTEXT_HEADER)
    marks = [] if wanted is None else [str(requested_context(wanted))]
    marks += [f"{name}={headers[name]}" for name in (REDACT_HEADER, RESTORE_HEADER) if name in headers]
    if caller.allowed_models is not None:  # a key of other models must not get what was made for this one
        marks.append(f"models={sorted(caller.allowed_models)}")
    return "\n".join((request.url.path, " ".join((dialect.name, *marks)), "")).encode() + body


@dataclass(slots=True, kw_only=True)
class _Opening:
    """A call on its way to its generation.

    Attributes:
        waiting: what may keep it waiting; None for nothing.
        generation: None until it is open.
    """

    call: Call
    open: Callable[[], Awaitable[Generation]]
    waiting: Waiting | None
    generation: Generation | None = None

    async def finish(self) -> Generation:
        self.generation = await self.open()
        report = self.generation.context
        if report is not None and report.action != "whole":
            self.call.encoder.edit_first(context_edit(report))
        return self.generation

    @property
    def is_admitted(self) -> bool:
        # While its model loads a client is kept alive: that may take longer than it would wait in silence.
        if self.generation is not None:
            return self.generation.is_admitted
        return self.waiting is not None and self.waiting.is_admitted

    @property
    def has_begun(self) -> bool:
        """Whether work has begun that limits count and its account pays for."""
        if self.generation is not None and self.generation.is_admitted:
            return True
        return self.waiting is not None and self.waiting.has_begun

    def interrupted(self, cause: Exception) -> None:
        """Tell the generation why it is about to be closed."""
        if self.generation is not None:
            self.generation.interrupted(cause)


async def _frames_later(opening: _Opening) -> AsyncGenerator[bytes, None]:
    """The frames of a request whose model must be loaded first, which may take minutes."""
    async with aclosing(_frames(opening.call, await opening.finish())) as frames:
        async for frame in frames:
            yield frame


async def _frames_to_keep(opening: _Opening, claim: Claim, claims: IdempotencyClaims) -> AsyncGenerator[bytes, None]:
    """The frames of a request with an idempotency key; the claim ends with them."""
    async with claims.freed_on_failure(claim):
        generation = await opening.finish()
    kept = KeptAnswer(claim, call=opening.call, generation=generation, headers=_content_headers(opening.call))
    async with aclosing(kept.frames()) as frames:
        async for frame in frames:
            yield frame


async def _frames(call: Call, generation: Generation) -> AsyncGenerator[bytes, None]:
    async with aclosing(generation.chunks()) as batches:
        async for chunks in batches:
            if call.request.stream:
                # One write for all that one engine step brought.
                yield call.encoder.encode_chunks(chunks)
    yield call.encoder.encode_end() if call.request.stream else call.encoder.encode_response(generation.response())
