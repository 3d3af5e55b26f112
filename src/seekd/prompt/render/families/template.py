"""Any other model, through the chat template of its own file; and files that have none.

The template is tried once with small conversations, to learn what it can do: system texts, tools and their results,
and how it begins an answer. What it cannot do is said in text: tools and the way to call them in the system text, calls
and results as text, all in the `<tool_call>` form, which is the most common one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from seekd.errors import InvalidParameter
from seekd.prompt.render.chat_template import ChatTemplate
from seekd.prompt.render.conversation import Conversation, Message, Tool
from seekd.prompt.render.families.common import (
    THINK,
    THINK_END,
    after_last_think_end,
    answer_format_text,
    definition_line,
    joined_system,
    json_text,
)
from seekd.prompt.render.segment_writer import SegmentWriter
from seekd.prompt.types import AnswerStart, FimMarkers, PromptFormat, Segment

_PROBE = "seekd probe"
_PROBE_TOOL = Tool(name="seekd_probe_tool", parameters={"type": "object", "properties": {}})
_HERMES_CALL = "<tool_call>"
_TOOLS_INTRODUCTION = (
    "# Tools\n\nYou may call functions to help with the request. They are, one JSON object a line:\n<tools>\n"
)
_TOOLS_TAIL = (
    "\n</tools>\n\nTo call functions, end your answer with one such block for each, its arguments as a JSON object:\n"
    '<tool_call>\n{"name": "FUNCTION_NAME", "arguments": {"argument": "value"}}\n</tool_call>'
)


class TemplateFormat:
    """Implements `types.FamilyFormat`.

    Args:
        template: of the model's file.
        bos: what the vocabulary wants in front of every prompt; None for nothing.
        fim: how to fill in the middle; None where the model cannot.
    """

    prompt_format = PromptFormat.TEMPLATE
    call_syntax = "hermes"

    def __init__(self, template: ChatTemplate, *, bos: str | None, fim: FimMarkers | None) -> None:
        self.bos = bos
        self.fim = fim
        self._template = template
        self._takes_system = self._shows([Message(role="system", content=_PROBE), Message(role="user", content="x")])
        self._takes_tools = _HERMES_CALL in template.source and self._shows_tools()
        self._starts = {thinks: self._probed_start(thinks=thinks) for thinks in (True, False)}

    def render(self, conversation: Conversation) -> list[Segment]:
        """The whole prompt, BOS first where the model has one."""
        writer = SegmentWriter()
        segments = self._render(conversation)
        if self.bos is not None and not (segments and segments[0].text.startswith(self.bos)):
            writer.control(self.bos)
        writer.segments += segments
        if (prefix := conversation.prefix) is not None:
            self._write_prefix(writer, conversation, prefix)
        return writer.segments

    def answer_start(self, conversation: Conversation) -> AnswerStart:
        """Where `render` leaves the model."""
        start, prefix = self._starts[conversation.thinking], conversation.prefix
        if start is AnswerStart.CONTENT or prefix is None:
            return start
        return AnswerStart.REASONING if prefix.reasoning and not prefix.content else AnswerStart.CONTENT

    def _write_prefix(self, writer: SegmentWriter, conversation: Conversation, prefix: Message) -> None:
        start = self._starts[conversation.thinking]
        if start is AnswerStart.MAYBE_REASONING and prefix.reasoning:
            writer.markup(f"{THINK}\n")
        if start is AnswerStart.REASONING or (start is AnswerStart.MAYBE_REASONING and prefix.reasoning):
            writer.plain(prefix.reasoning or "")
            writer.markup(f"\n{THINK_END}\n\n" if prefix.content else "")
        writer.plain(prefix.content)

    def _render(self, conversation: Conversation) -> list[Segment]:
        tools: list[dict[str, object]] | None = None
        if self._takes_tools and conversation.tools:
            tools = [{"type": "function", "function": tool.definition()} for tool in conversation.tools]
        return self._template.render(
            [self._as_api(message) for message in self._with_system(conversation)],
            tools=tools,
            add_generation_prompt=True,
            enable_thinking=conversation.thinking,
            thinking=conversation.thinking,
        )

    def _with_system(self, conversation: Conversation) -> list[Message]:
        """The messages with one system text in front, or in the first user text where the template knows no system."""
        parts = [joined_system(conversation.messages), answer_format_text(conversation)]
        if conversation.tools and not self._takes_tools:
            parts.append(_tools_text(conversation.tools))
        system = "\n\n".join(part for part in parts if part)
        turns = [message for message in conversation.messages if message.role != "system" and not message.is_prefix]
        if not self._takes_tools:
            turns = _in_plain_turns(turns)
        if not system:
            return turns
        if self._takes_system:
            return [Message(role="system", content=system), *turns]
        if not turns or turns[0].role != "user":
            return [Message(role="user", content=system), *turns]
        return [replace(turns[0], content=f"{system}\n\n{turns[0].content}"), *turns[1:]]

    def _as_api(self, message: Message) -> dict[str, object]:
        content = message.content
        if message.role == "assistant" and THINK_END in self._template.source:
            content = after_last_think_end(content)
        shown: dict[str, object] = {"role": message.role, "content": content}
        if message.reasoning:
            shown["reasoning_content"] = message.reasoning
        if message.calls:
            shown["tool_calls"] = [
                {
                    "id": call.call_id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": _decoded(call.arguments)},
                }
                for call in message.calls
            ]
        if message.call_id is not None:
            shown["tool_call_id"] = message.call_id
        return shown

    def _shows(self, messages: Sequence[Message]) -> bool:
        try:
            return _PROBE in _text(self._template.render([self._as_api(message) for message in messages]))
        except InvalidParameter:
            return False

    def _shows_tools(self) -> bool:
        tools = [{"type": "function", "function": _PROBE_TOOL.definition()}]
        messages = [{"role": "user", "content": "x"}, {"role": "tool", "content": _PROBE}]
        try:
            text = _text(self._template.render(messages, tools=tools, add_generation_prompt=True))
        except InvalidParameter:
            return False
        return _PROBE_TOOL.name in text and _PROBE in text

    def _probed_start(self, *, thinks: bool) -> AnswerStart:
        conversation = Conversation(messages=[Message(role="user", content=_PROBE)], thinking=thinks)
        end = _text(self._render(conversation)).rpartition(_PROBE)[2].rstrip()
        if end.endswith(THINK):
            return AnswerStart.REASONING
        if end.endswith(THINK_END) or THINK_END not in self._template.source:
            return AnswerStart.CONTENT
        return AnswerStart.MAYBE_REASONING


class CompletionFormat:
    """Implements `types.FamilyFormat` for models without a chat template, which complete text and code."""

    prompt_format = PromptFormat.COMPLETION
    call_syntax = "hermes"

    def __init__(self, *, bos: str | None, fim: FimMarkers | None) -> None:
        self.bos = bos
        self.fim = fim

    def render(self, conversation: Conversation) -> list[Segment]:
        """Never: there is no layout for a conversation."""
        del conversation
        raise InvalidParameter(
            "The loaded model has no chat template: it completes text and code. Send it to /beta/completions, or name "
            "its chat layout with [model] prompt_format."
        )

    def answer_start(self, conversation: Conversation) -> AnswerStart:
        """Of a completion."""
        del conversation
        return AnswerStart.CONTENT


def _text(segments: Sequence[Segment]) -> str:
    return "".join(segment.text for segment in segments)


def _tools_text(tools: Sequence[Tool]) -> str:
    return _TOOLS_INTRODUCTION + "\n".join(map(definition_line, tools)) + _TOOLS_TAIL


def _decoded(arguments: str) -> Any:  # templates take the object; what is none, they show as text
    try:
        decoded = json.loads(arguments)
    except ValueError:
        return arguments
    return decoded if isinstance(decoded, dict) else arguments


def _in_plain_turns(messages: Sequence[Message]) -> list[Message]:
    """Calls and results as text, for templates that know neither; results join the user's turn."""
    turns: list[Message] = []
    follows_result = False
    for message in messages:
        shown, joins = message, follows_result and message.role in ("user", "tool")
        follows_result = message.role == "tool"
        if message.calls:
            blocks = [
                f'<tool_call>\n{{"name": {json_text(call.name)}, "arguments": {call.arguments}}}\n</tool_call>'
                for call in message.calls
            ]
            content = "\n".join([message.content, *blocks] if message.content else blocks)
            shown = Message(role="assistant", content=content)
        elif message.role == "tool":
            shown = Message(role="user", content=f"<tool_response>\n{message.content}\n</tool_response>")
        if joins:
            shown = replace(shown, content=f"{turns.pop().content}\n\n{shown.content}")
        turns.append(shown)
    return turns
