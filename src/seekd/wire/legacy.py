"""Legacy `functions` and `function_call`, in and out.

In: functions become tools, `function_call` becomes `tool_choice`, an assistant's `function_call` becomes its one tool
call and the `function` message that answers it a `tool` message. Out: the one call goes back into the legacy shape;
further calls, which the legacy shape cannot say, are dropped. Source: docs/reference/classic-api.md; where it
is silent, the older OpenAI reference for functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seekd.prompt.types import Json
from seekd.wire.json_locator import Path

_ERROR_WORDS = (
    (".function.name", ".name"),
    (".function.parameters", ".parameters"),
    ("'tools[", "'functions["),
    ("'tools':", "'functions':"),
    ("tools[", "functions["),
    ("'tools' parameter", "'functions' parameter"),
    ("Invalid value for 'tool_call'", "Invalid value for 'function_call'"),
    ("Tool names must be unique.", "Function names must be unique."),
    (
        "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
        "Messages with role 'function' must be a response to a preceding message with 'function_call'",
    ),
    (
        (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. (insufficient tool messages following tool_calls message)"
        ),
        "An assistant message with 'function_call' must be followed by a message with role 'function'.",
    ),
    ("this tool_choice", "this function_call"),
)


def has_functions(body: Mapping[str, Any]) -> bool:
    """Whether the body offers functions the old way; `tools`, the newer spelling, wins where both are there."""
    return body.get("functions") is not None and body.get("tools") is None


def with_tools(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body with `tools` and `tool_choice` for its functions; wrong shapes are passed on, to be refused as such."""
    changed = {key: value for key, value in body.items() if key not in ("functions", "function_call")}
    functions = body["functions"]
    if isinstance(functions, list):
        changed["tools"] = [{"type": "function", "function": function} for function in functions]
    else:
        changed["tools"] = functions
    choice = body.get("function_call")
    if isinstance(choice, dict):
        changed["tool_choice"] = {"type": "function", "function": choice}
    elif choice is not None:
        changed["tool_choice"] = choice
    return changed


def with_tool_messages(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body with its old messages in the newer shape."""
    messages: list[Any] = []
    call_id = "call_00"  # a function message without a call before it: refused by the pairing rule, under its own name
    for index, message in enumerate(body["messages"]):
        if not isinstance(message, dict):
            messages.append(message)
        elif message.get("role") == "function":
            kept = {key: value for key, value in message.items() if key not in ("role", "name")}
            messages.append({"role": "tool", "tool_call_id": call_id, **kept})
        elif message.get("function_call") is not None and message.get("role") == "assistant":
            call_id = f"call_{index:02d}"
            kept = {key: value for key, value in message.items() if key != "function_call"}
            call = {"id": call_id, "type": "function", "function": message["function_call"]}
            messages.append({**kept, "tool_calls": [call]})
        else:
            messages.append(message)
    return {**body, "messages": messages}


def in_old_words(message: str) -> str:
    """An error text about tools, for a caller who wrote functions."""
    for new, old in _ERROR_WORDS:
        message = message.replace(new, old)
    return message


def in_old_path(path: Path) -> Path:
    """A path inside `tools` or `tool_choice`, for a caller who wrote functions."""
    match path:
        case ("tools", index, "function", *rest):
            return ("functions", index, *rest)
        case ("tools", *rest):
            return ("functions", *rest)
        case ("tool_choice", "function", *rest):
            return ("function_call", *rest)
        case ("tool_choice", *rest):
            return ("function_call", *rest)
        case _:
            return path


def edit_calls(data: Json) -> None:
    """Put the calls of an event or a whole answer in the legacy shape."""
    for choice in data.get("choices", ()):
        if choice["finish_reason"] == "tool_calls":
            choice["finish_reason"] = "function_call"
        message = choice.get("message")
        said = choice["delta"] if message is None else message
        calls = said.pop("tool_calls", None)
        if not calls:
            continue
        first = next((call for call in calls if call.get("index", 0) == 0), None)  # whole answers have no indices
        if first is None:
            data.clear()
            continue
        if message is not None:
            message["content"] = message["content"] or None  # null next to a call, unless the model wrote text before
        said["function_call"] = first["function"]
