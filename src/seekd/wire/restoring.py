"""An answer with the original texts in the place of placeholders.

An edit of the encoder, so that whatever keeps events or tokens keeps placeholders; an answer that is kept under an
idempotency key is kept as bytes, with the originals.
"""

from __future__ import annotations

from typing import Any, Protocol

from seekd.prompt.types import Json
from seekd.wire.schema_texts import with_leaves

_JSON_PARTS = frozenset(("arguments", "partial_json"))
_ANSWER_TEXTS = frozenset(("content", "text", "delta"))


class Restore(Protocol):
    """Puts the original back, as `guard.placeholders.Placeholders.restore` does."""

    def __call__(self, text: str, *, json_string: bool = False) -> str:
        """The text; with `json_string` what is put in stands inside a string of JSON."""


class AnswerRestorer:
    """Restores placeholders in an event or a whole response: a `calls.Edit`.

    Args:
        restore: puts the original back into a text.
        json_answer: the answer itself is JSON, so that what is put into it must be escaped.
    """

    def __init__(self, restore: Restore, *, json_answer: bool) -> None:
        self._restore = restore
        self._json_answer = json_answer

    def __call__(self, data: Json, *, kind: str = "") -> None:
        """In place.

        Args:
            data: is searched to its leaves.
            kind: the type of what holds it.
        """
        own_kind = data.get("type")
        kind = own_kind if isinstance(own_kind, str) else kind
        for key, value in data.items():
            if isinstance(value, str):
                data[key] = self._text(key, value, kind)
            elif key == "input":
                # A call's arguments as an object: its names are the caller's own, and so are those of its members.
                data[key] = with_leaves(value, self._restore)
            elif isinstance(value, dict):
                self(value, kind=kind)
            elif isinstance(value, list):
                data[key] = self._entries(value, kind)

    def _entries(self, entries: list[Any], kind: str) -> list[Any]:
        restored: list[Any] = []
        for entry in entries:
            if isinstance(entry, dict):
                self(entry, kind=kind)
            if isinstance(entry, list):
                entry = self._entries(entry, kind)
            restored.append(self._restore(entry) if isinstance(entry, str) else entry)
        return restored

    def _text(self, key: str, text: str, kind: str) -> str:
        is_arguments = key in _JSON_PARTS or (key == "delta" and "function_call_arguments" in kind)
        is_answer = self._json_answer and key in _ANSWER_TEXTS and "reasoning" not in kind
        return self._restore(text, json_string=is_arguments or is_answer)
