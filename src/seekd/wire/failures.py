"""The one table from an error to its status, body and headers.

Two columns, one a dialect. The envelope is `{"error":{"message","type","param","code"}}`, `param` always null.
Sources: docs/reference/classic-api.md for `classic`, docs/reference/wire.md §4 and §5 for `hosted`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import cast

from seekd.errors import (
    AccessError,
    BodyTimeout,
    BodyTooLarge,
    CapacityError,
    ConfigError,
    ContentRefused,
    ContextTooLong,
    DownloadError,
    EngineError,
    ForbiddenOrigin,
    IdempotencyConflict,
    InsufficientBalance,
    InvalidParameter,
    LimitExceeded,
    MalformedBody,
    ModerationUnavailable,
    Overloaded,
    RateLimited,
    RequestCancelled,
    RequestError,
    SeekdError,
    SensitiveContent,
    ShuttingDown,
    StoreError,
    Unauthenticated,
    UnknownModel,
    UnpricedModel,
    UnsupportedMedia,
)
from seekd.wire.dialect import Dialect

JSON = "application/json"
OCTETS = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"

_INVALID = "invalid_request_error"
_UNAVAILABLE = "service_unavailable_error"
_INTERNAL = "internal_error"
_HOSTED_BUSY = "Service is too busy. We advise users to temporarily switch to alternative LLM API service providers."
_INSTEAD_OF_TOOLS: Mapping[str, str] = MappingProxyType(
    {
        "/v1/tools/tts": "seekd has no text to speech: give the answer's text to a speech server of your own, "
        "such as Piper or Kokoro.",
        "/v1/tools/asr": "seekd has no speech to text: send what a speech server of your own, such as whisper.cpp, "
        "has written down.",
        "/v1/tools/ocr": "seekd has no text recognition: send the text that a program of your own, such as Tesseract, "
        "has read.",
        "/v1/tools/search": "seekd has no web search: offer the model a function in `tools` that asks "
        "a search service of your own, such as SearXNG.",
        "/v1/tools/fetch": "seekd reads no web pages: offer the model a function in `tools` that reads the page, "
        "or send its text.",
    }
)
"""Routes of the service that are no part of seekd. Source: docs/reference/wire.md §2."""

_OLLAMA = (
    "seekd does not speak Ollama's API: set the client to an OpenAI-compatible server with the base URL of this one "
    "and /v1."
)
_INSTEAD_OF_OTHER_SERVERS: Mapping[str, str] = MappingProxyType(
    {
        "/api/chat": _OLLAMA,
        "/api/generate": _OLLAMA,
        "/api/tags": _OLLAMA,
        "/infill": "seekd does not speak llama-server's /infill: fill in the middle is POST /beta/completions "
        "with prompt and suffix.",
        "/v1/embeddings": "seekd makes no embeddings: run a server for them beside it, such as "
        "llama-server --embeddings.",
    }
)
"""Routes that clients of other local servers ask for. See docs/decisions/other-servers.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What goes to the client instead of an answer.

    Attributes:
        status: HTTP status.
        body: may be empty.
        content_type: None for no such header.
        headers: beyond the content type.
    """

    status: int
    body: bytes
    content_type: str | None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    # How one dialect says one error.
    error_type: str
    code: str
    content_type: str | None = JSON
    has_envelope: bool = True
    message: Callable[[SeekdError], str] = lambda error: error.message


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    status: int
    classic: _Shape
    hosted: _Shape


def failure_response(error: BaseException, dialect: Dialect) -> Failure:
    """The answer to a request that failed.

    Args:
        error: any error; those that are not seekd's own tell the client nothing but a 500.
        dialect: of the request.
    """
    known = _known(error)
    row = _row(known)
    shape = _shape(row, known, dialect)
    message = shape.message(known)
    return Failure(
        status=row.status,
        body=_envelope(message, shape).encode() if shape.has_envelope else message.encode(),
        content_type=shape.content_type,
        headers=_hints(known, dialect),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFacts:
    """What an error says to the client."""

    message: str
    error_type: str
    code: str


def error_facts(error: BaseException, dialect: Dialect) -> ErrorFacts:
    """What an error says, for formats with an envelope of their own."""
    known = _known(error)
    shape = _shape(_row(known), known, dialect)
    return ErrorFacts(message=shape.message(known), error_type=shape.error_type, code=shape.code)


def error_data(error: BaseException, dialect: Dialect) -> str:
    """The envelope of an error as one line of JSON, for a stream that has begun."""
    known = _known(error)
    shape = _shape(_row(known), known, dialect)
    return _envelope(shape.message(known), shape)


def not_found(dialect: Dialect, *, path: str = "") -> Failure:
    """No such route; where the service has one, or another local server, the answer says what to use."""
    instead = _INSTEAD_OF_TOOLS.get(path)
    if instead is None and dialect.has_json_errors:
        instead = _INSTEAD_OF_OTHER_SERVERS.get(path)
    return _route_failure(404, "Not Found", dialect) if instead is None else _simple(404, instead)


def method_not_allowed(dialect: Dialect, *, allowed: str) -> Failure:
    """The route is there, the method is not; `allowed` is the value of the `Allow` header."""
    return replace(_route_failure(405, "Method Not Allowed", dialect), headers={"allow": allowed})


def _known(error: BaseException) -> SeekdError:
    return error if isinstance(error, SeekdError) else EngineError("Internal Server Error")


def _row(error: SeekdError) -> _Row:
    for error_class in type(error).__mro__:
        row = FAILURES.get(error_class)
        if row is not None:
            return row
    raise AssertionError(f"no row for {type(error)}")  # unreachable: SeekdError has one


def _shape(row: _Row, error: SeekdError, dialect: Dialect) -> _Shape:
    if dialect.has_classic_errors:
        return row.classic
    if isinstance(error, MalformedBody) and not error.is_syntax:
        return _HOSTED_DATA
    if isinstance(error, Unauthenticated) and error.key_tail is None:
        return _HOSTED_GOVERNOR
    return row.hosted


def _envelope(message: str, shape: _Shape) -> str:
    error = {"message": message, "type": shape.error_type, "param": None, "code": shape.code}
    return json.dumps({"error": error}, ensure_ascii=False, separators=(",", ":"))


def _hints(error: SeekdError, dialect: Dialect) -> Mapping[str, str]:
    if not dialect.sends_hints:
        return {}
    if isinstance(error, RateLimited):
        return dict(error.headers) | _when_to_retry(error)
    return {"retry-after": "1"} if isinstance(error, Overloaded) else {}


def _when_to_retry(error: RateLimited) -> dict[str, str]:
    if not error.can_pass_later:
        return {"x-should-retry": "false"}  # the official SDKs repeat a 429 unless this says no
    if error.retry_after_s is None:
        return {}
    return {"retry-after": str(max(1, math.ceil(error.retry_after_s)))}


def _route_failure(status: int, message: str, dialect: Dialect) -> Failure:
    if dialect.has_json_errors:
        return _simple(status, message)
    return Failure(status=status, body=b"", content_type=None)


def _simple(status: int, message: str) -> Failure:
    shape = _Shape(error_type=_INVALID, code=_INVALID)
    return Failure(status=status, body=_envelope(message, shape).encode(), content_type=JSON)


def _classic_context(error: SeekdError) -> str:
    facts = cast("ContextTooLong", error)
    wanted = f" and {facts.num_requested_tokens} were asked for" if facts.num_requested_tokens else ""
    at_least = "at least " if facts.is_minimum else ""
    return (
        f"{facts.message}: this model's maximum context length is {facts.context_length} tokens, "
        f"the prompt has {at_least}{facts.num_prompt_tokens}{wanted}. Shorten the messages or lower max_tokens."
    )


def _hosted_context(error: SeekdError) -> str:
    facts = cast("ContextTooLong", error)
    total = facts.num_prompt_tokens + facts.num_requested_tokens
    return (
        f"This model's maximum context length is {facts.context_length} tokens. However, you requested {total} tokens "
        f"({facts.num_prompt_tokens} in the messages, {facts.num_requested_tokens} in the completion). "
        "Please reduce the length of the messages or completion."
    )


def _classic_model(error: SeekdError) -> str:
    facts = cast("UnknownModel", error)
    return f"{facts.message}: {facts.model!r}. This server answers to {', '.join(facts.known_models)}."


def _hosted_model(error: SeekdError) -> str:
    facts = cast("UnknownModel", error)
    names = ", ".join(sorted(facts.known_models))
    return f"The supported API model names are {names}, but you passed {facts.model}."


def _classic_key(error: SeekdError) -> str:
    facts = cast("Unauthenticated", error)
    if facts.key_tail is None:
        return f"{facts.message}: send your API key in the header `Authorization: Bearer <key>`."
    return _hosted_key(error)


def _hosted_key(error: SeekdError) -> str:
    facts = cast("Unauthenticated", error)
    return f"{facts.message}, Your api key: ****{facts.key_tail} is invalid"


def _classic_rate(error: SeekdError) -> str:
    sentence = "Rate limit exceeded"
    return error.message if error.message.startswith(sentence) else f"{sentence}: {error.message}"


def _hosted_rate(error: SeekdError) -> str:
    facts = cast("RateLimited", error)
    if facts.concurrency is not None:
        reason = " based on your remaining balance. Please top up your balance to restore your concurrency"
        return (
            f"Too many requests. Your current concurrency is {facts.concurrency}, which exceeds your concurrency "
            f"limit of {facts.concurrency_limit}{reason if facts.is_balance_derived else ''}."
        )
    if facts.window is not None:
        return f"Rate limit reached for {'TPM' if facts.window == 'tokens' else 'RPM'}: {facts.message}"
    return facts.message


def _hosted_busy(_error: SeekdError) -> str:
    return _HOSTED_BUSY


def _hosted_internal(_error: SeekdError) -> str:
    return "Internal Server Error"


_HOSTED_DATA = _Shape(error_type=_INVALID, code=_INVALID)
_HOSTED_GOVERNOR = _Shape(
    error_type="authentication_error",
    code=_INVALID,
    content_type=None,
    has_envelope=False,
    message=lambda error: f"{error.message} (governor)",
)
_CLASSIC_INVALID = _Shape(error_type=_INVALID, code=_INVALID)
_HOSTED_INVALID = _Shape(error_type=_INVALID, code=_INVALID, content_type=OCTETS)
_CLASSIC_BUSY = _Shape(error_type=_UNAVAILABLE, code=_UNAVAILABLE)
_HOSTED_BUSY_SHAPE = _Shape(error_type=_UNAVAILABLE, code=_UNAVAILABLE, message=_hosted_busy)
_CLASSIC_INTERNAL = _Shape(error_type=_INTERNAL, code=_INTERNAL)
_HOSTED_INTERNAL = _Shape(error_type=_INTERNAL, code=_INTERNAL, message=_hosted_internal)
_DENIED = _Shape(error_type="authentication_error", code=_INVALID)

_INVALID_ROW = _Row(status=400, classic=_CLASSIC_INVALID, hosted=_HOSTED_INVALID)
_BUSY_ROW = _Row(status=503, classic=_CLASSIC_BUSY, hosted=_HOSTED_BUSY_SHAPE)
_INTERNAL_ROW = _Row(status=500, classic=_CLASSIC_INTERNAL, hosted=_HOSTED_INTERNAL)

FAILURES: Mapping[type[SeekdError], _Row] = MappingProxyType(
    {
        SeekdError: _INTERNAL_ROW,
        RequestError: _INVALID_ROW,
        MalformedBody: _Row(
            status=400,
            classic=_CLASSIC_INVALID,
            hosted=_Shape(error_type=_INVALID, code=_INVALID, content_type=OCTETS, has_envelope=False),
        ),
        InvalidParameter: _INVALID_ROW,
        SensitiveContent: _INVALID_ROW,
        LimitExceeded: _INVALID_ROW,
        UnpricedModel: _INVALID_ROW,
        ContentRefused: _INVALID_ROW,  # in the service's words: docs/reference/wire.md §5.4
        IdempotencyConflict: _Row(status=409, classic=_CLASSIC_INVALID, hosted=_HOSTED_INVALID),
        BodyTooLarge: _Row(status=413, classic=_CLASSIC_INVALID, hosted=_CLASSIC_INVALID),
        BodyTimeout: _Row(status=408, classic=_CLASSIC_INVALID, hosted=_CLASSIC_INVALID),
        UnsupportedMedia: _Row(
            status=415,
            classic=_CLASSIC_INVALID,
            hosted=_Shape(error_type=_INVALID, code=_INVALID, content_type=TEXT, has_envelope=False),
        ),
        ContextTooLong: _Row(
            status=400,
            classic=_Shape(error_type=_INVALID, code="context_length_exceeded", message=_classic_context),
            hosted=_Shape(error_type=_INVALID, code=_INVALID, content_type=OCTETS, message=_hosted_context),
        ),
        UnknownModel: _Row(
            status=400,
            classic=_Shape(error_type=_INVALID, code="model_not_found", message=_classic_model),
            hosted=_Shape(error_type=_INVALID, code=_INVALID, content_type=OCTETS, message=_hosted_model),
        ),
        AccessError: _Row(status=403, classic=_DENIED, hosted=_DENIED),
        ForbiddenOrigin: _Row(status=403, classic=_DENIED, hosted=_DENIED),
        Unauthenticated: _Row(
            status=401,
            classic=_Shape(error_type="authentication_error", code="invalid_api_key", message=_classic_key),
            hosted=_Shape(error_type="authentication_error", code=_INVALID, message=_hosted_key),
        ),
        InsufficientBalance: _Row(
            status=402,
            classic=_Shape(error_type="unknown_error", code=_INVALID),
            hosted=_Shape(error_type="unknown_error", code=_INVALID),
        ),
        RateLimited: _Row(
            status=429,
            classic=_Shape(error_type="rate_limit_error", code="rate_limit_exceeded", message=_classic_rate),
            hosted=_Shape(error_type="rate_limit_error", code=_INVALID, message=_hosted_rate),
        ),
        CapacityError: _BUSY_ROW,
        Overloaded: _BUSY_ROW,
        ModerationUnavailable: _BUSY_ROW,
        ShuttingDown: _BUSY_ROW,
        # Of the statuses that the official SDKs do not repeat by themselves.
        RequestCancelled: _Row(
            status=403,
            classic=_Shape(error_type=_INVALID, code="request_cancelled"),
            hosted=_HOSTED_INVALID,
        ),
        EngineError: _INTERNAL_ROW,
        StoreError: _BUSY_ROW,
        DownloadError: _INTERNAL_ROW,
        ConfigError: _INTERNAL_ROW,
    }
)
