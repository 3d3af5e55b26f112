"""`POST /beta/completions`: fill-in-the-middle and plain completion, body bytes to a `Call`.

The protocol package does not know this format. The members that it shares with Chat Completions are put into a chat
body, so that the package judges them in its own words; the rest is checked here in the same words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from seekd.engine.types import Sampling
from seekd.errors import InvalidParameter, MalformedBody
from seekd.prompt.recipe import ReadBody, RecipeBody, WireProtocol
from seekd.prompt.render.fim import CompletionBody
from seekd.request import GenerationRequest
from seekd.wire.calls import Call, ChatEncoder
from seekd.wire.dialect import Dialect
from seekd.wire.foreign_fields import foreign_warnings
from seekd.wire.json_locator import Path
from seekd.wire.malformed import located, wrong_member
from seekd.wire.model_names import accepted_names, answer_name, known_name
from seekd.wire.requests import PENALTIES, decoded_object

DEFAULT_MAX_TOKENS = 4096
"""Source: docs/reference/wire.md §12."""

OFF_BETA = 'completions api is only available when using beta api (set base_url="https://api.deepseek.com/beta")'

_SHARED = (
    "model",
    "max_tokens",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "stop",
    "stream",
    "stream_options",
    "seed",
    "n",
)

_CALLERS_PATHS: Mapping[Path, Path] = {("top_logprobs",): ("logprobs",)}
"""Where the caller wrote what the chat body has under another name."""


def parse_completion(body: bytes, *, dialect: Dialect, beta: bool, models: Collection[str] = ()) -> Call:
    """Validate a completion body.

    Args:
        body: as received.
        dialect: of the request.
        beta: whether the request came to a `/beta` route; elsewhere the service has no completions.
        models: names that this server answers to besides the official ones.

    Raises:
        MalformedBody: not JSON, or not of the shape of the protocol.
        UnknownModel: no such model name.
        InvalidParameter: a rule of the protocol is broken.
    """
    if not beta:
        raise InvalidParameter(OFF_BETA)
    fields = decoded_object(body)
    shared = _shared_body(body, fields)
    names = accepted_names(models)
    try:
        read = ReadBody(WireProtocol.CHAT, shared)
    except MalformedBody as error:
        raise located(
            error,
            WireProtocol.CHAT,
            body=body,
            rewritten=shared,
            callers_path=lambda path: _CALLERS_PATHS.get(path, path),
        ) from error
    _check_own_members(body, fields)
    model = known_name(read.model, names)
    try:
        parsed = read.convert(models=names, thinking_by_default=False, requires_reasoning=False)
    except InvalidParameter as error:
        raise InvalidParameter(error.message.replace("top_logprobs", "logprobs")) from error
    request = _request(model, parsed, fields, dialect)
    return Call(
        request=request,
        encoder=ChatEncoder(dialect),
        id_prefix="cmpl-",
        warnings=foreign_warnings(fields),
    )


def _shared_body(body: bytes, fields: Mapping[str, Any]) -> bytes:
    if not fields and body.strip() != b"{}":
        return body
    if fields.get("prompt") is None:
        raise wrong_member(body, (), "missing field `prompt`")
    shared = {name: fields[name] for name in _SHARED if name in fields}
    if fields.get("logprobs") is not None:
        shared |= {"logprobs": True, "top_logprobs": fields["logprobs"]}
    return msgspec.json.encode(
        {**shared, "messages": [{"role": "user", "content": ""}], "thinking": {"type": "disabled"}}
    )


def _check_own_members(body: bytes, fields: Mapping[str, Any]) -> None:
    for name, kinds, expected in (
        ("prompt", str, "a string"),
        ("suffix", str, "a string"),
        ("echo", bool, "a boolean"),
    ):
        value = fields.get(name)
        if value is not None and not isinstance(value, kinds):
            raise wrong_member(body, (name,), f"invalid type: {_serde_name(value)}, expected {expected}")


def _serde_name(value: object) -> str:
    match value:
        case bool():
            return f"boolean `{str(value).lower()}`"
        case int():
            return f"integer `{value}`"
        case float():
            return f"floating point `{value}`"
        case str():
            return f'string "{value}"'
        case list():
            return "sequence"
        case _:
            return "map"


def _request(model: str, parsed: RecipeBody, fields: Mapping[str, Any], dialect: Dialect) -> GenerationRequest:
    stream_options = fields.get("stream_options")
    sampled = ("temperature", "top_p", "seed", *(PENALTIES if dialect.samples_as_asked else ()))
    return GenerationRequest(
        model=model if dialect.echoes_model else answer_name(model),
        requested_model=model,
        served_model=model,
        stream=parsed.stream,
        thinking=False,
        body=CompletionBody(
            prompt=fields["prompt"],
            suffix=fields.get("suffix"),
            echo=bool(fields.get("echo")),
            stops=parsed.stops,
            include_usage=bool(stream_options and stream_options.get("include_usage")),
        ),
        max_tokens=parsed.max_tokens,
        default_max_tokens=DEFAULT_MAX_TOKENS,
        cache_hit_unit=dialect.cache_hit_unit,
        lower_max_tokens=dialect.lowers_max_tokens,
        sampling=Sampling(
            **{name: fields[name] for name in sampled if fields.get(name) is not None},
            num_top_logprobs=parsed.num_top_logprobs,
        ),
        user_id=None,
        rule=None,
    )
