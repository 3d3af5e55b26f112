"""An answer with the original texts in the place of placeholders, and with what was redacted in its usage.

The last step before the bytes: whatever keeps answers keeps placeholders.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from seekd.prompt.answer.recipe_parser import RecipeChunk
from seekd.prompt.types import OutputChunk
from seekd.wire.calls import Encoder
from seekd.wire.schema_texts import with_leaves

_JSON_PARTS = frozenset(("arguments", "partial_json"))
_ANSWER_TEXTS = frozenset(("content", "text", "delta"))
_USAGE_HOLDERS = ("response", "message")


class Restore(Protocol):
    """Puts the original back, as `guard.placeholders.Placeholders.restore` does."""

    def __call__(self, text: str, *, json_string: bool = False) -> str:
        """The text; with `json_string` what is put in stands inside a string of JSON."""


class AnswerRestorer:
    """Restores placeholders in the JSON of an answer.

    Args:
        restore: puts the original back into a text.
        are_in: whether a text has placeholders.
        json_answer: the answer itself is JSON, so that what is put into it must be escaped.
    """

    def __init__(self, restore: Restore, are_in: Callable[[str], bool], *, json_answer: bool) -> None:
        self._restore = restore
        self._are_in = are_in
        self._json_answer = json_answer

    def chunk(self, text: str) -> str:
        """One event or a whole response, restored; untouched where there is nothing to restore."""
        if not self._are_in(text):
            return text
        return _compact(self._value(json.loads(text), kind=""))

    def _value(self, value: Any, *, kind: str) -> Any:
        if isinstance(value, list):
            return [
                self._restore(entry) if isinstance(entry, str) else self._value(entry, kind=kind) for entry in value
            ]
        if not isinstance(value, dict):
            return value
        kind = value["type"] if isinstance(value.get("type"), str) else kind
        return {key: self._member(key, member, kind) for key, member in value.items()}

    def _member(self, key: str, value: Any, kind: str) -> Any:
        if isinstance(value, str):
            return self._text(key, value, kind)
        # The arguments of a call as an object: its names are the caller's own, and so are those of its members.
        return with_leaves(value, self._restore) if key == "input" else self._value(value, kind=kind)

    def _text(self, key: str, text: str, kind: str) -> str:
        is_arguments = key in _JSON_PARTS or (key == "delta" and "function_call_arguments" in kind)
        is_answer = self._json_answer and key in _ANSWER_TEXTS and "reasoning" not in kind
        return self._restore(text, json_string=is_arguments or is_answer)


class ScreenedEncoder:
    """Writes an answer to a request with sensitive data. Implements `calls.Encoder`.

    Args:
        encoder: writes the protocol's own bytes.
        restorer: None leaves placeholders in the answer.
        redacted: how much of each kind was found, for the usage.
    """

    def __init__(self, encoder: Encoder, *, restorer: AnswerRestorer | None, redacted: Mapping[str, int]) -> None:
        self._encoder = encoder
        self._restorer = restorer
        self._redacted = redacted

    def encode_chunk(self, chunk: OutputChunk) -> bytes:
        """The frames of one event."""
        text = chunk.to_json()
        written = self._written(text)
        return self._encoder.encode_chunk(chunk if written is text else RecipeChunk(written, chunk.event_name))

    def encode_end(self) -> bytes:
        """What follows the last event."""
        return self._encoder.encode_end()

    def encode_error(self, error: BaseException) -> bytes:
        """The last frame of a stream that failed."""
        return self._encoder.encode_error(error)

    def encode_response(self, response_json: str) -> bytes:
        """The body of a whole answer."""
        return self._encoder.encode_response(self._written(response_json))

    def _written(self, text: str) -> str:
        if self._restorer is not None:
            text = self._restorer.chunk(text)
        return self._with_usage(text) if '"usage":{' in text else text

    def _with_usage(self, text: str) -> str:
        data = json.loads(text)
        for holder in (data, *(data.get(name) for name in _USAGE_HOLDERS)):
            if isinstance(holder, dict) and isinstance(holder.get("usage"), dict):
                holder["usage"]["redacted"] = dict(self._redacted)
        return _compact(data)


def _compact(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
