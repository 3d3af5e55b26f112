"""V3.2: calls in DSML, results between `<function_results>` tags, no marker between a call, its results and the rest.

Source: docs/reference/formats.md §6.

The long text that introduces tools is the model file's own: its template is rendered once with a tool of a name that
occurs nowhere else, and what stands around that tool is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from seekd.errors import InvalidParameter
from seekd.prompt.render.chat_template import ChatTemplate
from seekd.prompt.render.conversation import Conversation, Message, StoredCall, Tool
from seekd.prompt.render.families.common import (
    ASSISTANT,
    EOS,
    THINK,
    THINK_END,
    USER,
    after_last_think_end,
    definition_line,
    joined_system,
    json_text,
)
from seekd.prompt.render.segment_writer import SegmentWriter
from seekd.prompt.types import DEEPSEEK_BOS, DEEPSEEK_FIM, AnswerStart, FimMarkers, PromptFormat, Segment

BLOCK = "<｜DSML｜function_calls>"
BLOCK_END = "</｜DSML｜function_calls>"

_PROBE_TOOL = "seekd_probe_tool"
_PROBE_SYSTEM = "seekd-probe-system"
_WIDE_HEAD = "963a72ee9be43f07d21bec2348ed2d7e45185e4b502f2a4da35a540299dc2b03"
"""The text of llama.cpp's template: that of the model's own encoder with more blank lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsText:
    """What stands before and behind the list of tools."""

    head: str
    tail: str


def tools_text_of(template: ChatTemplate | None) -> ToolsText | None:
    """Read the text off a template; None where it has none."""
    if template is None:
        return None
    tool = {"name": _PROBE_TOOL, "description": "", "parameters": {}}
    messages = [{"role": "system", "content": _PROBE_SYSTEM}, {"role": "user", "content": "x"}]
    try:
        segments = template.render(messages, tools=[tool], add_generation_prompt=False)
    except InvalidParameter:
        return None
    text = "".join(segment.text for segment in segments)
    before, _, rest = text.partition(_PROBE_SYSTEM)[2].partition(_PROBE_TOOL)
    head, _, _ = before.rpartition("{")
    _, _, tail = rest.partition("}}")
    tail = tail.partition(USER)[0]
    if not head.strip() or "DSML" not in head:
        return None
    return ToolsText(head=_narrow(head.lstrip("\n")), tail=tail.rstrip("\n") + "\n")


def _narrow(head: str) -> str:
    if hashlib.sha256(head.encode()).hexdigest() == _WIDE_HEAD:
        return head.replace("\n\n", "\n")
    return head


class DsmlV32Format:
    """Implements `types.ChatFormat`.

    Args:
        tools_text: introduces tools; None where the model file has no such text, and tools are refused.
    """

    prompt_format = PromptFormat.V32
    call_syntax = "deepseek-v3.2"
    bos: str | None = DEEPSEEK_BOS
    fim: FimMarkers | None = DEEPSEEK_FIM

    def __init__(self, tools_text: ToolsText | None) -> None:
        self._tools_text = tools_text

    def render(self, conversation: Conversation) -> list[Segment]:
        """The whole prompt, BOS first."""
        writer = SegmentWriter()
        writer.control(DEEPSEEK_BOS)
        self._write_head(writer, conversation)
        _Turns(writer=writer, conversation=conversation).write()
        if conversation.must_call and not conversation.thinking:
            writer.markup(f"\n\n{BLOCK}\n")
        return writer.segments

    def answer_start(self, conversation: Conversation) -> AnswerStart:
        """Where `render` leaves the model."""
        prefix = conversation.prefix
        is_reasoning = conversation.thinking and not (prefix is not None and prefix.content)
        return AnswerStart.REASONING if is_reasoning else AnswerStart.CONTENT

    def _write_head(self, writer: SegmentWriter, conversation: Conversation) -> None:
        writer.plain(joined_system(conversation.messages))
        if conversation.tools:
            self._write_tools(writer, conversation.tools)
        if conversation.answer_format in ("json_object", "json_schema"):
            schema = conversation.answer_schema or json_text({"type": "json_object"})
            writer.markup("\n\n## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n")
            writer.plain(schema)

    def _write_tools(self, writer: SegmentWriter, tools: Sequence[Tool]) -> None:
        if self._tools_text is None:
            raise InvalidParameter(
                "This model file cannot be offered tools: its chat template lacks the text that introduces them in the "
                "V3.2 format. Use a file whose template has it, such as one made by llama.cpp's converter."
            )
        writer.markup(f"\n\n{self._tools_text.head}")
        writer.plain("\n".join(map(definition_line, tools)))
        writer.markup(self._tools_text.tail)


@dataclass(slots=True)
class _Turns:
    """Writes the turns; the assistant marker and its tag belong to the user's turn, or to the last result."""

    writer: SegmentWriter
    conversation: Conversation

    def write(self) -> None:
        messages = self.conversation.messages
        last_user = max((index for index, message in enumerate(messages) if message.role == "user"), default=-1)
        is_open = False  # whether a marker or a group of results has opened an answer
        for index, message in enumerate(messages):
            is_new = index >= last_user  # what stands behind keeps its reasoning
            if message.role == "user":
                self.writer.control(USER)
                self.writer.plain(message.content)
                self.open(thinks=is_new, before=None)
                is_open = True
            elif message.role == "tool":
                self.write_result(index, thinks=is_new)
                is_open = True
            elif message.role == "assistant":
                if not is_open:
                    self.open(thinks=is_new, before=None)
                self.write_answer(message, thinks=is_new)
                is_open = False
        if not is_open and self.conversation.prefix is None:
            self.open(thinks=True, before=None)

    def open(self, *, thinks: bool, before: str | None) -> None:
        if before is None:
            self.writer.control(ASSISTANT)
        else:
            self.writer.markup(before)
        self.writer.control(THINK if thinks and self.conversation.thinking else THINK_END)

    def write_result(self, index: int, *, thinks: bool) -> None:
        messages = self.conversation.messages
        if messages[index - 1].role != "tool":
            self.writer.markup("\n\n<function_results>")
        self.writer.markup("\n<result>")
        self.writer.plain(messages[index].content)
        self.writer.markup("</result>")
        if index + 1 == len(messages) or messages[index + 1].role != "tool":
            self.open(thinks=thinks, before="\n</function_results>\n\n")

    def write_answer(self, message: Message, *, thinks: bool) -> None:
        is_thinking = thinks and self.conversation.thinking
        if is_thinking:
            self.writer.plain(message.reasoning or "")
            if not message.is_prefix or message.content:
                self.writer.control(THINK_END)
        # A caller may have left the reasoning in the text.
        self.writer.plain(message.content if message.is_prefix else after_last_think_end(message.content))
        if message.calls:
            self.write_calls(message.calls)
        if not message.is_prefix:
            self.writer.control(EOS)

    def write_calls(self, calls: Sequence[StoredCall]) -> None:
        self.writer.markup(f"\n\n{BLOCK}\n")
        for call in calls:
            self.writer.markup('<｜DSML｜invoke name="')
            self.writer.plain(call.name)
            self.writer.markup('">\n')
            parameters = _parameters(call.arguments)
            for name, value in parameters.items():
                is_text = isinstance(value, str)
                self.writer.markup('<｜DSML｜parameter name="')
                self.writer.plain(name)
                self.writer.markup(f'" string="{"true" if is_text else "false"}">')
                self.writer.plain(str(value) if is_text else json_text(value))
                self.writer.markup("</｜DSML｜parameter>\n")
            self.writer.markup("</｜DSML｜invoke>\n" if parameters else "\n</｜DSML｜invoke>\n")
        self.writer.markup(BLOCK_END)


def _parameters(arguments: str) -> dict[str, object]:
    """The arguments by name; text that is no JSON object is one parameter, as the newer encoders write it."""
    try:
        decoded = json.loads(arguments)
    except ValueError:
        decoded = None
    return decoded if isinstance(decoded, dict) else {"arguments": arguments}
