"""What the layouts of DeepSeek V2.5 to V3.2 have in common.

Source: docs/reference/formats.md §3.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from seekd.prompt.render.conversation import Conversation, Message, Tool

EOS = "<｜end▁of▁sentence｜>"
USER = "<｜User｜>"
ASSISTANT = "<｜Assistant｜>"
THINK = "<think>"
THINK_END = "</think>"
CALLS_BEGIN = "<｜tool▁calls▁begin｜>"
CALLS_END = "<｜tool▁calls▁end｜>"
CALL_BEGIN = "<｜tool▁call▁begin｜>"
CALL_END = "<｜tool▁call▁end｜>"
SEPARATOR = "<｜tool▁sep｜>"
OUTPUTS_BEGIN = "<｜tool▁outputs▁begin｜>"
OUTPUTS_END = "<｜tool▁outputs▁end｜>"
OUTPUT_BEGIN = "<｜tool▁output▁begin｜>"
OUTPUT_END = "<｜tool▁output▁end｜>"


def json_text(value: object, *, indent: int | None = None) -> str:
    """JSON as the families were trained on it: spaces behind `:` and `,`, characters as they are."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def definition_line(tool: Tool) -> str:
    """One tool on one line."""
    return json_text(tool.definition())


def joined_system(messages: Sequence[Message]) -> str:
    """All system texts, wherever they stand, with blank lines between."""
    return "\n\n".join(message.content for message in messages if message.role == "system" and message.content)


def answer_format_text(conversation: Conversation) -> str:
    """What tells the model to answer in JSON, for families that have no text of their own for it; may be empty.

    Source: the V2.5 model card, whose heading and sentence for `json_object` these are.
    """
    if conversation.answer_format == "json_object":
        return "## Response Format\n\nReply with JSON object ONLY."
    if conversation.answer_format == "json_schema":
        schema = conversation.answer_schema
        return f"## Response Format\n\nReply with one JSON object that fits this schema ONLY:\n{schema}"
    return ""


def after_last_think_end(text: str) -> str:
    """A stored answer without the reasoning that a caller left in it."""
    return text.rpartition(THINK_END)[2]


def is_answered_next(conversation: Conversation) -> bool:
    """Whether the open turn goes on from tool results, which no marker follows in these families."""
    return bool(conversation.messages) and conversation.messages[-1].role == "tool"
