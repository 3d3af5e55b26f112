"""Parts of a conversation of the protocol package: what is sent in place of one that is too long.

Beside `recipe` the only importer of `deepseek_recipe`.

    system  u a u a u a u        excerpt from the third turn:  system  (note + u) a u
                                 question about the first two: system  u a u a  question  lead…

A question begins as the conversation's own prompt does, so a prefix cache that holds the one holds most of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import deepseek_recipe as recipe

_SYSTEM_ROLES = ("system", "latest_reminder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Messages `[start, end)` of a conversation, with the system messages before them.

    Attributes:
        note: stands before the first of them; empty for none.
    """

    start: int
    end: int
    note: str = ""


def excerpt(whole: recipe.Conversation, start: int, *, note: str = "") -> recipe.Conversation:
    """The conversation without its older messages; system messages stay.

    Args:
        whole: is not changed.
        start: index of the first message that is kept, a user's.
        note: stands before that message's text.
    """
    kept = _kept(whole.messages, Part(start=start, end=len(whole.messages), note=note))
    return _copy(whole, messages=kept, tools=whole.tools)


def _copy(
    whole: recipe.Conversation, *, messages: Sequence[Any], tools: Sequence[recipe.ToolDefinition]
) -> recipe.Conversation:
    return recipe.Conversation(
        messages=messages,
        thinking_mode=whole.thinking_mode,
        tools=tools,
        tool_choice=whole.tool_choice,
        reasoning_effort=whole.reasoning_effort,
        response_format="json_object" if whole.response_format == "json_object" else "text",
        response_schema=whole.response_schema,
        response_regex=whole.response_regex,
    )


def with_parameters(whole: recipe.Conversation, parameters: Mapping[str, Any]) -> recipe.Conversation:
    """The conversation with other parameters for the tools of these names. Any: JSON Schemas."""
    tools = [
        _tool(tool, parameters.get(tool.name, tool.parameters), is_deferred=tool.defer_loading) for tool in whole.tools
    ]
    return _copy(whole, messages=whole.messages, tools=tools)


def with_reminders(whole: recipe.Conversation, numbers: Set[int]) -> recipe.Conversation:
    """The conversation with reminders in the place of some system messages.

    Args:
        whole: is not changed.
        numbers: of these system messages, counted from the last one, which is 0.
    """
    messages: list[Any] = []  # Any: the package's classes, which differ by role
    number = 0
    for message in reversed(whole.messages):
        is_system = message.role == "system"
        messages.append(recipe.LatestReminderMessage(message.content) if is_system and number in numbers else message)
        number += is_system
    return _copy(whole, messages=messages[::-1], tools=whole.tools)


def loaded_tools(whole: recipe.Conversation) -> Set[str]:
    """Names of the tools that may be called: those that are not deferred, and those that a message has added."""
    added = {tool.name for message in whole.messages for tool in getattr(message, "tools", None) or ()}
    return {tool.name for tool in whole.tools if tool.name in added or not tool.defer_loading}


def with_tools_in_front(whole: recipe.Conversation) -> recipe.Conversation:
    """The conversation with its loaded tools where tools stand: for formats that cannot show one in the middle."""
    loaded = loaded_tools(whole)
    tools = [_tool(tool, tool.parameters, is_deferred=False) for tool in whole.tools if tool.name in loaded]
    messages = []
    for message in whole.messages:
        if not getattr(message, "tools", None):
            messages.append(message)
        elif message.content:
            messages.append(recipe.SystemMessage(message.content))
    return _copy(whole, messages=messages, tools=tools)


def _tool(tool: recipe.ToolDefinition, parameters: Any, *, is_deferred: bool) -> recipe.ToolDefinition:
    # Any: a JSON Schema.
    return recipe.ToolDefinition(tool.name, tool.description, parameters, strict=tool.strict, defer_loading=is_deferred)


def question(whole: recipe.Conversation, part: Part, *, question: str, lead: str) -> recipe.Conversation:
    """A conversation that goes on from a part of another one with a question of our own.

    Args:
        whole: is not changed.
        part: of it.
        question: what the user asks.
        lead: not empty; how the answer begins, so that no model reasons or calls a tool first.
    """
    messages = _kept(whole.messages, part)
    if messages and messages[-1].role == "user":  # some templates take no two in a row
        question = f"{messages.pop().content}\n\n{question}"
    reasoning = "" if whole.thinking_mode else None
    messages += [recipe.UserMessage(question), recipe.AssistantMessage(lead, reasoning_content=reasoning, prefix=True)]
    return recipe.Conversation(
        messages=messages,
        thinking_mode=whole.thinking_mode,
        tools=whole.tools,
        reasoning_effort=whole.reasoning_effort,
    )


def _kept(messages: Sequence[Any], part: Part) -> list[Any]:
    """The messages of a part, and the system's before it. Any: the package's classes, which differ by role."""
    kept = [message for message in messages[: part.start] if message.role in _SYSTEM_ROLES]
    note = part.note
    for message in messages[part.start : part.end]:
        if not note or message.role in _SYSTEM_ROLES:
            kept.append(message)
        elif message.role == "user":
            kept.append(recipe.UserMessage(f"{note}\n\n{message.content}"))
            note = ""
        else:
            kept += [recipe.UserMessage(note), message]
            note = ""
    return kept
