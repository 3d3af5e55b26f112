"""What a loaded model can do, found by asking its chat format."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from seekd.errors import InvalidParameter
from seekd.prompt.render.conversation import Conversation, Message, Tool
from seekd.prompt.types import AnswerStart, ChatFormat, PackageFormat

_QUESTION = (Message(role="user", content="x"),)
_TOOL = Tool(name="tool", parameters={"type": "object", "properties": {}})


class Thinking(enum.StrEnum):
    """Whether a model reasons before it answers."""

    SWITCH = "switch"  # as the request says
    ALWAYS = "always"
    FREE = "free"  # as the model likes
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What requests may ask of a model.

    Attributes:
        chat: conversations, and with them JSON mode, which is enforced for every model.
        tools: calls of tools.
        fim: to fill in the middle.
    """

    chat: bool
    thinking: Thinking
    tools: bool
    fim: bool

    def words(self) -> str:
        """For people: `chat, thinking, tools, JSON, fill in the middle`."""
        named = {
            "chat": self.chat,
            "thinking": self.thinking is not Thinking.NEVER,
            "tools": self.tools,
            "JSON": self.chat,
            "fill in the middle": self.fim,
        }
        return ", ".join(word for word, can in named.items() if can) or "completion"


def abilities_of(chat_format: ChatFormat) -> Abilities:
    """What the model of a chat format can do."""
    if isinstance(chat_format, PackageFormat):
        return Abilities(chat=True, thinking=Thinking.SWITCH, tools=True, fim=chat_format.fim is not None)
    return Abilities(
        chat=_renders(chat_format, ()),
        thinking=_thinking(
            *(chat_format.answer_start(Conversation(messages=_QUESTION, thinking=asked)) for asked in (True, False))
        ),
        tools=_renders(chat_format, (_TOOL,)),
        fim=chat_format.fim is not None,
    )


def _thinking(when_asked: AnswerStart, when_not: AnswerStart) -> Thinking:
    if when_asked is AnswerStart.CONTENT:
        return Thinking.NEVER
    if when_not is AnswerStart.CONTENT:
        return Thinking.SWITCH
    return Thinking.ALWAYS if when_not is AnswerStart.REASONING else Thinking.FREE


def _renders(chat_format: ChatFormat, tools: Sequence[Tool]) -> bool:
    assert not isinstance(chat_format, PackageFormat)
    try:
        chat_format.render(Conversation(messages=_QUESTION, tools=tools))
    except InvalidParameter:
        return False
    return True
