"""Drives a parsed request as the service does, with text in place of a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seekd.errors import SeekdError
from seekd.prompt.types import PromptUsage, ResponseIdentity
from seekd.wire.calls import Call
from seekd.wire.chat import parse_chat
from seekd.wire.dialect import CLASSIC, Dialect
from seekd.wire.failures import Failure, failure_response
from tests.formats import V41

IDENTITY_ID = "chatcmpl-123"
CREATED_S = 1_795_354_258

Json = dict[str, Any]  # bodies of any shape, wrong ones too

HELLO: list[Json] = [{"role": "user", "content": "Hello, how are you?"}]

CALL_MARKUP = (
    '<｜DSML｜ calls>\n<｜DSML｜ invoke name="get_weather">\n'
    '<｜DSML｜ parameter name="location" string="true">New York</｜DSML｜ parameter>\n'
    '<｜DSML｜ parameter name="unit" string="true">fahrenheit</｜DSML｜ parameter>\n'
    "</｜DSML｜ invoke>\n</｜DSML｜ calls>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the client would get: as a stream, and as a whole."""

    stream: bytes
    whole: Json


def as_bytes(body: object) -> bytes:
    """Compact JSON, as the service's recorded requests have it."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def chat(body: Json, *, dialect: Dialect = CLASSIC, beta: bool = False) -> Call:
    """Parse a chat body; `model` and `messages` are filled in where they lack."""
    return parse_chat(as_bytes({"model": "deepseek-chat", "messages": HELLO, **body}), dialect=dialect, beta=beta)


def drive(
    call: Call,
    texts: Sequence[str],
    *,
    usage: PromptUsage | None = None,
    hit_length_limit: bool = False,
    system_fingerprint: str | None = "fp_x",
    response_id: str = IDENTITY_ID,
) -> Answer:
    """Give a call its answer, one token a text."""
    identity = ResponseIdentity(
        response_id=response_id,
        model=call.request.model,
        created_s=CREATED_S,
        system_fingerprint=system_fingerprint,
    )
    parser = call.request.body.open_parser(identity, V41)
    chunks = parser.ready(usage or PromptUsage(num_prompt_tokens=10))
    for text in texts:
        if parser.stopped:
            break
        chunks += parser.push_text(text, num_tokens=1)
    chunks += parser.finish(hit_length_limit=hit_length_limit)
    stream = call.encoder.encode_chunks(chunks) + call.encoder.encode_end() if call.request.stream else b""
    return Answer(stream=stream, whole=json.loads(call.encoder.encode_response(parser.response())))


def refusal(parse: Callable[[], Call], dialect: Dialect) -> Failure:
    """What the client gets for a request that must be refused."""
    try:
        parse()
    except SeekdError as error:
        return failure_response(error, dialect)
    raise AssertionError("the body was accepted")


def message_of(failure: Failure) -> str:
    """The message inside the envelope, or the plain text."""
    text = failure.body.decode()
    return str(json.loads(text)["error"]["message"]) if text.startswith("{") else text
