"""V2.5, V3, R1 and R1-0528 with their distills: calls with their arguments in a JSON fence.

Source: docs/reference/formats.md §4.

    BOS system <｜User｜>u<｜Assistant｜>a EOS …      results: <｜tool▁outputs▁begin｜> … <｜tool▁outputs▁end｜>

The four differ in a table: which system texts count, how tools are shown, whether the assistant marker belongs to the
user's turn or to the assistant's, and how the open turn begins. Stored reasoning is never sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from seekd.prompt.render.conversation import Conversation, Message, StoredCall, Tool
from seekd.prompt.render.families.common import (
    ASSISTANT,
    CALL_BEGIN,
    CALL_END,
    CALLS_BEGIN,
    CALLS_END,
    EOS,
    OUTPUT_BEGIN,
    OUTPUT_END,
    OUTPUTS_BEGIN,
    OUTPUTS_END,
    SEPARATOR,
    THINK,
    THINK_END,
    USER,
    after_last_think_end,
    answer_format_text,
    definition_line,
    is_answered_next,
    joined_system,
    json_text,
)
from seekd.prompt.render.segment_writer import SegmentWriter
from seekd.prompt.types import DEEPSEEK_BOS, DEEPSEEK_FIM, AnswerStart, FimMarkers, PromptFormat, Segment

_CALL_EXAMPLE = (
    f"{CALLS_BEGIN}{CALL_BEGIN}function{SEPARATOR}FUNCTION_NAME\n"
    '```json\n{"argument": "value"}\n```'
    f"{CALL_END}{CALLS_END}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    # system: the texts that count. marks_user_turns: the assistant marker follows every user text.
    # opening: what the open turn begins with.
    system: Callable[[Sequence[Message]], str]
    write_tools: Callable[[SegmentWriter, Sequence[Tool]], None]
    marks_user_turns: bool
    opening: str
    start: AnswerStart


class FencedFormat:
    """Implements `types.ChatFormat`.

    Args:
        prompt_format: one of the four.
    """

    call_syntax = "fenced"
    bos: str | None = DEEPSEEK_BOS
    fim: FimMarkers | None = DEEPSEEK_FIM

    def __init__(self, prompt_format: PromptFormat) -> None:
        self.prompt_format = prompt_format
        self._rules = _RULES[prompt_format]

    def render(self, conversation: Conversation) -> list[Segment]:
        """The whole prompt, BOS first."""
        writer = SegmentWriter()
        writer.control(DEEPSEEK_BOS)
        self._write_head(writer, conversation)
        turns = _Turns(writer=writer, marks_user_turns=self._rules.marks_user_turns)
        for message in conversation.messages:
            turns.write(message)
        turns.open_answer()
        if (prefix := conversation.prefix) is not None:
            self._write_prefix(writer, prefix)
        elif not is_answered_next(conversation):
            writer.markup(self._rules.opening)
        return writer.segments

    def answer_start(self, conversation: Conversation) -> AnswerStart:
        """Where `render` leaves the model."""
        if self._rules.start is AnswerStart.CONTENT:
            return AnswerStart.CONTENT
        if (prefix := conversation.prefix) is not None:
            return AnswerStart.CONTENT if prefix.content else AnswerStart.REASONING
        # Behind tool results no marker opens the reasoning: the model does, or goes on without.
        return AnswerStart.MAYBE_REASONING if is_answered_next(conversation) else self._rules.start

    def _write_head(self, writer: SegmentWriter, conversation: Conversation) -> None:
        parts = [self._rules.system(conversation.messages), answer_format_text(conversation)]
        text = "\n\n".join(part for part in parts if part)
        writer.plain(text)
        if conversation.tools:
            writer.markup("\n\n" if text else "")
            self._rules.write_tools(writer, conversation.tools)

    def _write_prefix(self, writer: SegmentWriter, prefix: Message) -> None:
        if self._rules.start is not AnswerStart.CONTENT:
            writer.markup(f"{THINK}\n")
            writer.plain(prefix.reasoning or "")
            if prefix.content:
                writer.markup(f"\n{THINK_END}\n\n")
        writer.plain(prefix.content)


@dataclass(slots=True, kw_only=True)
class _Turns:
    """Writes messages in order; knows which group or turn is still open."""

    writer: SegmentWriter
    marks_user_turns: bool
    has_marker: bool = False
    num_outputs: int = 0

    def write(self, message: Message) -> None:
        if message.role == "user":
            self.close_outputs()
            self.writer.control(USER)
            self.writer.plain(message.content)
            self.has_marker = self.marks_user_turns
            if self.has_marker:
                self.writer.control(ASSISTANT)
        elif message.role == "tool":
            self.writer.markup(OUTPUTS_BEGIN if self.num_outputs == 0 else "\n")
            self.writer.markup(OUTPUT_BEGIN)
            self.writer.plain(message.content)
            self.writer.markup(OUTPUT_END)
            self.num_outputs += 1
        elif message.role == "assistant" and not message.is_prefix:
            self.open_answer()
            self.writer.plain(after_last_think_end(message.content))
            self._write_calls(message.calls)
            self.writer.control(EOS)
            self.has_marker = False

    def open_answer(self) -> None:
        """Bring the prompt to where an assistant's text begins."""
        if self.close_outputs():
            return
        if not self.has_marker:
            self.writer.control(ASSISTANT)
        self.has_marker = True

    def close_outputs(self) -> bool:
        """End an open group of results; whether there was one."""
        had_outputs = self.num_outputs > 0
        if had_outputs:
            self.writer.markup(OUTPUTS_END)
        self.num_outputs = 0
        return had_outputs

    def _write_calls(self, calls: Sequence[StoredCall]) -> None:
        for index, call in enumerate(calls):
            self.writer.markup(CALLS_BEGIN if index == 0 else "\n")
            self.writer.markup(f"{CALL_BEGIN}function{SEPARATOR}")
            self.writer.plain(f"{call.name}\n```json\n{call.arguments}\n```")
            self.writer.markup(CALL_END)
        if calls:
            self.writer.markup(CALLS_END)


def _last_system(messages: Sequence[Message]) -> str:
    return next((message.content for message in reversed(messages) if message.role == "system"), "")


def _write_markdown_tools(writer: SegmentWriter, tools: Sequence[Tool]) -> None:
    writer.markup("You can call functions.\n\n## Tools\n\n### Function\n\nThe following functions are available:\n\n")
    for tool in tools:
        writer.plain(f"- `{tool.name}`:\n```json\n{json_text(tool.definition(), indent=4)}\n```\n\n")


def _write_listed_tools(writer: SegmentWriter, tools: Sequence[Tool]) -> None:
    writer.markup(
        "# Tools\n\nYou may call functions to help with the request. They are, one JSON object a line:\n<tools>\n"
    )
    for tool in tools:
        writer.plain(f"{definition_line(tool)}\n")
    writer.markup(
        "</tools>\n\nTo call one, end your answer with its name and its arguments as a JSON object, like this:\n"
    )
    writer.markup(f"{_CALL_EXAMPLE}\nFor several, write one call after another inside of the same group.")


_RULES: Mapping[PromptFormat, _Rules] = MappingProxyType(
    {
        PromptFormat.V25: _Rules(
            system=joined_system,
            write_tools=_write_markdown_tools,
            marks_user_turns=True,
            opening="",
            start=AnswerStart.CONTENT,
        ),
        PromptFormat.V3: _Rules(
            system=joined_system,
            write_tools=_write_listed_tools,
            marks_user_turns=True,
            opening="",
            start=AnswerStart.CONTENT,
        ),
        PromptFormat.R1: _Rules(
            system=_last_system,
            write_tools=_write_listed_tools,
            marks_user_turns=False,
            opening=f"{THINK}\n",
            start=AnswerStart.REASONING,
        ),
        PromptFormat.R1_0528: _Rules(
            system=joined_system,
            write_tools=_write_listed_tools,
            marks_user_turns=True,
            opening="",
            start=AnswerStart.MAYBE_REASONING,
        ),
    }
)
