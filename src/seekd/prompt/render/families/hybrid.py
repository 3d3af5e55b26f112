"""V3.1, V3.1-Terminus and V3.2-Exp: one model that thinks or does not, calls with bare JSON.

Source: docs/reference/formats.md §5.

    BOS system <｜User｜>u<｜Assistant｜></think>a EOS … <｜User｜>u<｜Assistant｜><think>

The lone `</think>` stays in every stored turn; stored reasoning is never sent again. Tools were trained without
thinking, so a request that offers them does not think. The sentences that go with a list of tools are on the model's
card, not in its file: the wording here is seekd's own, around the markup that the model was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    SEPARATOR,
    THINK,
    THINK_END,
    USER,
    answer_format_text,
    is_answered_next,
    joined_system,
    json_text,
)
from seekd.prompt.render.segment_writer import SegmentWriter
from seekd.prompt.types import DEEPSEEK_BOS, DEEPSEEK_FIM, AnswerStart, FimMarkers, PromptFormat, Segment

_TOOLS_TAIL = (
    "To call one, answer with exactly this, its name and its arguments as JSON, without spaces or line feeds around:\n"
    f"{CALLS_BEGIN}{CALL_BEGIN}TOOL_NAME{SEPARATOR}ARGUMENTS{CALL_END}{CALLS_END}\n"
    "The arguments must fit the parameters of the tool. For several calls, write one after another inside of the group."
)


class HybridFormat:
    """Implements `types.ChatFormat`."""

    prompt_format = PromptFormat.V31
    call_syntax = "bare"
    bos: str | None = DEEPSEEK_BOS
    fim: FimMarkers | None = DEEPSEEK_FIM

    def render(self, conversation: Conversation) -> list[Segment]:
        """The whole prompt, BOS first."""
        writer = SegmentWriter()
        writer.control(DEEPSEEK_BOS)
        _write_head(writer, conversation)
        follows_user = False
        for message in conversation.messages:
            if message.role == "user":
                writer.control(USER)
                writer.plain(message.content)
                follows_user = True
            elif message.role == "tool":
                writer.markup(OUTPUT_BEGIN)
                writer.plain(message.content)
                writer.markup(OUTPUT_END)
                follows_user = False
            elif message.role == "assistant" and not message.is_prefix:
                if follows_user:
                    writer.control(ASSISTANT, THINK_END)
                writer.plain(_after_first_think_end(message.content))
                _write_calls(writer, message.calls)
                writer.control(EOS)
                follows_user = False
        if not is_answered_next(conversation):
            writer.control(ASSISTANT)
            _write_opening(writer, conversation)
        return writer.segments

    def answer_start(self, conversation: Conversation) -> AnswerStart:
        """Where `render` leaves the model."""
        if not _thinks(conversation) or is_answered_next(conversation):
            return AnswerStart.CONTENT
        prefix = conversation.prefix
        return AnswerStart.CONTENT if prefix is not None and prefix.content else AnswerStart.REASONING


def _thinks(conversation: Conversation) -> bool:
    return conversation.thinking and not conversation.tools


def _write_head(writer: SegmentWriter, conversation: Conversation) -> None:
    parts = [joined_system(conversation.messages), answer_format_text(conversation)]
    text = "\n\n".join(part for part in parts if part)
    writer.plain(text)
    if conversation.tools:
        _write_tools(writer, conversation.tools, before="\n\n" if text else "")


def _write_tools(writer: SegmentWriter, tools: Sequence[Tool], *, before: str) -> None:
    writer.markup(f"{before}## Tools\nYou have access to the following tools:\n\n")
    for tool in tools:
        parameters = json_text(tool.parameters or {})
        writer.plain(f"### {tool.name}\nDescription: {tool.description or ''}\n\nParameters: {parameters}\n\n")
    writer.markup(_TOOLS_TAIL)


def _write_opening(writer: SegmentWriter, conversation: Conversation) -> None:
    prefix = conversation.prefix or Message(role="assistant", content="")
    if _thinks(conversation) and (prefix.reasoning or not prefix.content):
        writer.control(THINK)
        writer.plain(prefix.reasoning or "")
        if not prefix.content:
            return
    writer.control(THINK_END)
    writer.plain(prefix.content)


def _write_calls(writer: SegmentWriter, calls: Sequence[StoredCall]) -> None:
    for index, call in enumerate(calls):
        writer.markup(CALLS_BEGIN if index == 0 else "")
        writer.markup(CALL_BEGIN)
        writer.plain(call.name)
        writer.markup(SEPARATOR)
        writer.plain(call.arguments)
        writer.markup(CALL_END)
    if calls:
        writer.markup(CALLS_END)


def _after_first_think_end(text: str) -> str:
    before, found, after = text.partition(THINK_END)
    return after if found else before
