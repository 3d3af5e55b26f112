"""Fields without a value here that newer types of clients require to be present.

The service does not send them. Strict clients (types generated from an OpenAPI document, validators of the open
Responses standard) refuse an answer without them. Source: the types of the `openai` 6.49 and `@anthropic-ai/sdk` 1.14
packages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from seekd.prompt.types import Json

_MESSAGE = ("container", "diagnostics", "stop_details")
_USAGE = ("cache_creation", "inference_geo", "output_tokens_details", "server_tool_use", "speed")
_DELTA = ("container", "stop_details")
_DELTA_USAGE = ("output_tokens_details", "server_tool_use")
VERBOSITY = "medium"
"""What the absence of a wish means in the Responses standard, whose validators refuse null."""


def add_refusal(data: Json) -> None:
    """A whole chat answer."""
    for choice in data.get("choices", ()):
        message = choice.get("message")  # completions have a text instead, and events a delta
        if message is not None:
            message["refusal"] = None


def add_messages_fields(data: Json) -> None:
    """One event of a Messages stream, or the whole message."""
    edit = _MESSAGES_EDITS.get(data["type"])
    if edit is not None:
        edit(data)


def set_verbosity(data: Json) -> None:
    """An event of a Responses stream that holds the response, or a whole response; others stay as they are."""
    response = data.get("response", data)
    if response.get("object") == "response" and response["text"]["verbosity"] is None:
        response["text"]["verbosity"] = VERBOSITY


def _fill(data: Json, names: Sequence[str]) -> None:
    for name in names:
        data.setdefault(name, None)


def _fill_message(message: Json) -> None:
    _fill(message, _MESSAGE)
    _fill(message["usage"], _USAGE)
    for block in message["content"]:
        _fill_block(block)


def _fill_block(block: Json) -> None:
    if block["type"] == "text":
        _fill(block, ("citations",))


def _fill_end(data: Json) -> None:
    _fill(data["delta"], _DELTA)
    _fill(data["usage"], _DELTA_USAGE)


_MESSAGES_EDITS: Mapping[str, Callable[[Json], None]] = {
    "message": _fill_message,
    "message_start": lambda data: _fill_message(data["message"]),
    "content_block_start": lambda data: _fill_block(data["content_block"]),
    "message_delta": _fill_end,
}
