"""A conversation in words of its own, whatever protocol it came by and whatever family will read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCall:
    """A tool call of an earlier turn; `arguments` is the text that the caller sent, meant to be a JSON object."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message.

    Attributes:
        content: empty where there is none.
        reasoning: of an assistant message; None where there is none.
        calls: of an assistant message.
        call_id: of a tool message, the call that it answers.
        is_prefix: the last message, an assistant's, which the answer goes on from.
    """

    role: Role
    content: str
    reasoning: str | None = None
    calls: Sequence[StoredCall] = ()
    call_id: str | None = None
    is_prefix: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that the model may call; `parameters` is its JSON Schema as the caller sent it."""

    name: str
    description: str | None = None
    parameters: Mapping[str, object] | None = None

    def definition(self) -> dict[str, object]:
        """The function object that formats show to the model, with all three members always."""
        return {"name": self.name, "description": self.description or "", "parameters": self.parameters or {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What a prompt is made of.

    Attributes:
        messages: oldest first.
        tools: that may be called; empty where none may.
        thinking: whether the caller wants reasoning before the answer.
        answer_format: `text`, `json_object`, `json_schema` or `regex`.
        answer_schema: JSON of the schema, for `json_schema`.
        must_call: the answer has to be a tool call.
    """

    messages: Sequence[Message]
    tools: Sequence[Tool] = ()
    thinking: bool = False
    answer_format: str = "text"
    answer_schema: str | None = None
    must_call: bool = False

    @property
    def prefix(self) -> Message | None:
        """The message that the answer goes on from; None where a new turn begins."""
        last = self.messages[-1] if self.messages else None
        return last if last is not None and last.is_prefix else None
