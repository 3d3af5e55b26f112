"""The protocol package's conversation in words of our own.

The package's objects are read by their attributes only, so that one
module stays its only importer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from seekd.prompt.render.conversation import Conversation, Message, Role, StoredCall, Tool

_ROLES: dict[str, Role] = {
    "system": "system",
    "latest_reminder": "system",  # known to V4 only; elsewhere it is what comes closest
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


def neutral(conversation: Any) -> Conversation:  # the package's class, which is only read
    """Convert; results are put in the order of the calls that they answer, as the package does for its own families."""
    schema = conversation.response_schema
    return Conversation(
        messages=_results_in_order([_message(message) for message in conversation.messages]),
        tools=tuple(
            Tool(name=tool.name, description=tool.description, parameters=tool.parameters)
            for tool in conversation.tools
        ),
        thinking=bool(conversation.thinking_mode),
        answer_format=conversation.response_format,
        answer_schema=None if schema is None else json.dumps(schema, ensure_ascii=False),
        must_call=conversation.tool_choice == "required",
    )


def _message(message: Any) -> Message:
    return Message(
        role=_ROLES[message.role],
        content=message.content,
        reasoning=message.reasoning_content,
        calls=tuple(
            StoredCall(call_id=call.id, name=call.name, arguments=call.arguments) for call in message.tool_calls or ()
        ),
        call_id=message.tool_call_id,
        is_prefix=bool(message.prefix),
    )


def _results_in_order(messages: Sequence[Message]) -> list[Message]:
    ordered: list[Message] = []
    start = 0  # of the results that follow the latest calls
    rank: dict[str, int] = {}
    for message in messages:
        if message.role != "tool":
            rank = {call.call_id: index for index, call in enumerate(message.calls)}
            start = len(ordered) + 1
        ordered.append(message)
        if message.role == "tool":
            ordered[start:] = sorted(ordered[start:], key=lambda result: rank.get(result.call_id or "", len(rank)))
    return ordered
