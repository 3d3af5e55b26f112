"""A parsed request together with how its answer is written.

bytes ──parse──> Call.request ──service──> OutputChunk ──Call.encoder──> bytes
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from seekd.prompt.types import Json, OutputChunk
from seekd.request import GenerationRequest
from seekd.wire.dialect import Dialect
from seekd.wire.failures import error_data
from seekd.wire.nullable_fields import add_refusal
from seekd.wire.sse import DONE_FRAME, frame

Edit = Callable[[Json], None]
"""Changes an event or a whole response in place; an event of which it leaves nothing is not sent."""

_encode = msgspec.json.Encoder().encode


def in_usage(name: str, member: Json) -> Edit:
    """An edit that adds a member to each `usage`, whatever the protocol."""

    def edit(data: Json) -> None:
        # Of Chat Completions, `message_delta` and whole answers; of `message_start`; of the events of Responses.
        for holder in (data, data.get("message"), data.get("response")):
            if isinstance(holder, dict) and isinstance(holder.get("usage"), dict):
                holder["usage"][name] = dict(member)

    return edit


class Encoder(ABC):
    """Writes one answer: each event is edited as data, and then made bytes, once.

    Args:
        dialect: of the request.
        edits: in their order.
    """

    def __init__(self, dialect: Dialect, *edits: Edit) -> None:
        self._dialect = dialect
        self._edits = edits
        self._num_events = 0

    def edit_first(self, *edits: Edit) -> None:
        """Put edits before those there are."""
        self._edits = (*edits, *self._edits)

    def encode_chunks(self, chunks: Sequence[OutputChunk]) -> bytes:
        """The frames of events, for one write; may be empty."""
        self._num_events += len(chunks)
        frames = []
        for chunk in chunks:
            for edit in self._edits:
                edit(chunk)
            if chunk:
                frames.append(frame(_encode(chunk), event_name=chunk.get("type")))
        return b"".join(frames)

    @abstractmethod
    def encode_end(self) -> bytes:
        """What follows the last event of a stream that ended well; may be empty."""

    @abstractmethod
    def encode_error(self, error: BaseException) -> bytes:
        """The last frame of a stream that has begun and failed; nothing follows it."""

    def encode_response(self, response: Json) -> bytes:
        """The body of a whole answer."""
        for edit in (*self._edits, *self._whole_edits):
            edit(response)
        return _encode(response)

    @property
    def _whole_edits(self) -> Sequence[Edit]:
        """Of a whole answer only, after the others."""
        return ()


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


class ChatEncoder(Encoder):
    """Chat Completions: unnamed events, `[DONE]` last."""

    def encode_end(self) -> bytes:
        """`[DONE]`."""
        return DONE_FRAME

    def encode_error(self, error: BaseException) -> bytes:
        """The envelope as a data frame."""
        return frame(error_data(error, self._dialect).encode())

    @property
    def _whole_edits(self) -> Sequence[Edit]:
        return (add_refusal,) if self._dialect.has_nullable_fields else ()
