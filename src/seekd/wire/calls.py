"""A parsed request together with how its answer is written.

bytes ──parse──> Call.request ──service──> OutputChunk ──Call.encoder──> bytes
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from seekd.prompt.types import OutputChunk
from seekd.request import GenerationRequest
from seekd.wire.dialect import Dialect
from seekd.wire.failures import error_data
from seekd.wire.nullable_fields import with_refusal
from seekd.wire.sse import DONE_FRAME, frame


class Encoder(Protocol):
    """Writes one answer."""

    def encode_chunk(self, chunk: OutputChunk) -> bytes:
        """The frames of one event; may be empty."""

    def encode_end(self) -> bytes:
        """What follows the last event of a stream that ended well; may be empty."""

    def encode_error(self, error: BaseException) -> bytes:
        """The last frame of a stream that has begun and failed; nothing follows it."""

    def encode_response(self, response_json: str) -> bytes:
        """The body of a whole answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, and the writer of its answer.

    Attributes:
        id_prefix: how ids of this format begin where the dialect has such ids.
        headers: of a good answer, beyond its content type.
        warnings: what the request asked for and does not get, one sentence each.
    """

    request: GenerationRequest
    encoder: Encoder
    id_prefix: str
    headers: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()


class ChatEncoder:
    """Chat Completions: unnamed events, `[DONE]` last."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def encode_chunk(self, chunk: OutputChunk) -> bytes:
        """One frame."""
        return frame(chunk.to_json())

    def encode_end(self) -> bytes:
        """`[DONE]`."""
        return DONE_FRAME

    def encode_error(self, error: BaseException) -> bytes:
        """The envelope as a data frame."""
        return frame(error_data(error, self._dialect))

    def encode_response(self, response_json: str) -> bytes:
        """With what newer types of clients require, where the dialect has it."""
        if not self._dialect.has_nullable_fields:
            return response_json.encode()
        return with_refusal(response_json).encode()
