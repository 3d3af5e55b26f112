"""`POST /tokenize`: how many tokens a text or a whole chat request is for the loaded model.

An extension; the service has no such route.

    {"text": "…"}                         plain text, as it would count inside a message
    {"model": "…", "messages": […], …}    a Chat Completions body: the whole prompt, markers, tools and all
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from seekd.errors import MalformedBody
from seekd.prompt.types import ChatFormat, Segment
from seekd.wire.chat import parse_chat
from seekd.wire.dialect import Dialect
from seekd.wire.malformed import wrong_member
from seekd.wire.requests import decoded_object


@dataclass(frozen=True, slots=True, kw_only=True)
class TextToCount:
    """Plain text, rendered as it would be inside a message."""

    text: str

    def render(self, chat_format: ChatFormat) -> list[Segment]:
        """One plain segment; none for no text."""
        del chat_format
        return [Segment(text=self.text)] if self.text else []


class Rendered(Protocol):
    """Something that can be counted."""

    def render(self, chat_format: ChatFormat) -> list[Segment]:
        """The segments to encode, in the layout of the model."""


def parse_tokenize(body: bytes, *, dialect: Dialect, models: Collection[str] = ()) -> Rendered:
    """Validate a tokenize body; what is returned renders the segments to encode.

    Raises:
        MalformedBody: not JSON, or not of the shape of the protocol.
        UnknownModel: no such model name.
        InvalidParameter: a rule of Chat Completions is broken.
    """
    fields = decoded_object(body)
    if not fields or "messages" in fields:
        return parse_chat(body, dialect=dialect, beta=True, models=models).request.body
    if "text" not in fields:
        raise MalformedBody("Send either `text` or a Chat Completions body with `messages`.", is_syntax=False)
    if not isinstance(fields["text"], str):
        raise wrong_member(body, ("text",), "the text to count should be a string")
    return TextToCount(text=fields["text"])


def tokenize_body(token_ids: Sequence[int]) -> bytes:
    """The answer: the count and the ids."""
    data = {"object": "tokenize", "num_tokens": len(token_ids), "token_ids": list(token_ids)}
    return json.dumps(data, separators=(",", ":")).encode()
