"""Fields without a value here that newer types of clients require to be present.

The service does not send them. Strict clients (types generated from an OpenAPI document, validators of the open
Responses standard) refuse an answer without them. Source: the types of the `openai` 6.49 and `@anthropic-ai/sdk` 1.14
packages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

_MESSAGE = ("container", "diagnostics", "stop_details")
_USAGE = ("cache_creation", "inference_geo", "output_tokens_details", "server_tool_use", "speed")
_DELTA = ("container", "stop_details")
_DELTA_USAGE = ("output_tokens_details", "server_tool_use")
VERBOSITY = "medium"
"""What the absence of a wish means in the Responses standard, whose validators refuse null."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def with_refusal(text: str) -> str:
    """A whole chat answer."""
    data = _decode(text)
    for choice in data.get("choices", ()):
        message = choice.get("message")  # completions have a text instead
        if message is not None:
            message["refusal"] = None
    return _encode(data).decode()


def with_messages_fields(text: str, event_name: str | None) -> str:
    """One event of a Messages stream, or the whole message where it has no name."""
    edit = _MESSAGES_EDITS.get(event_name)
    return text if edit is None else _edited(text, edit)


def with_verbosity(text: str) -> str:
    """An event of a Responses stream that holds the response, or a whole response; others come back as they are."""
    return _edited(text, _set_verbosity) if '"verbosity":null' in text else text


def _edited(text: str, edit: Callable[[Any], None]) -> str:
    data = _decode(text)
    edit(data)
    return _encode(data).decode()


def _set_verbosity(data: Any) -> None:
    response = data.get("response", data)
    response["text"]["verbosity"] = VERBOSITY


def _fill(data: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        data.setdefault(name, None)


def _fill_message(message: dict[str, Any]) -> None:
    _fill(message, _MESSAGE)
    _fill(message["usage"], _USAGE)
    for block in message["content"]:
        _fill_block(block)


def _fill_block(block: dict[str, Any]) -> None:
    if block["type"] == "text":
        _fill(block, ("citations",))


def _fill_end(data: dict[str, Any]) -> None:
    _fill(data["delta"], _DELTA)
    _fill(data["usage"], _DELTA_USAGE)


_MESSAGES_EDITS: Mapping[str | None, Callable[[Any], None]] = {
    None: _fill_message,
    "message_start": lambda data: _fill_message(data["message"]),
    "content_block_start": lambda data: _fill_block(data["content_block"]),
    "message_delta": _fill_end,
}
