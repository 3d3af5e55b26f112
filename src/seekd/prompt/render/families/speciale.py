"""V3.2-Speciale: the layout of V3.2 for a model that always thinks and was not trained to call tools.

Source: docs/reference/formats.md §6. The service took no tools for it.
"""

from __future__ import annotations

from dataclasses import replace

from seekd.errors import InvalidParameter
from seekd.prompt.render.conversation import Conversation
from seekd.prompt.render.families.dsml_v32 import DsmlV32Format
from seekd.prompt.types import DEEPSEEK_BOS, DEEPSEEK_FIM, AnswerStart, FimMarkers, PromptFormat, Segment


class SpecialeFormat:
    """Implements `types.ChatFormat`. Calls and results of earlier turns are written as V3.2 writes them."""

    prompt_format = PromptFormat.V32_SPECIALE
    call_syntax = DsmlV32Format.call_syntax
    bos: str | None = DEEPSEEK_BOS
    fim: FimMarkers | None = DEEPSEEK_FIM

    def __init__(self) -> None:
        self._layout = DsmlV32Format(None)

    def render(self, conversation: Conversation) -> list[Segment]:
        """The whole prompt, BOS first. Raises `InvalidParameter` where tools are offered."""
        if conversation.tools:
            raise InvalidParameter(
                "The loaded model, DeepSeek-V3.2-Speciale, does not call tools: send the request without them, or to "
                "another model."
            )
        return self._layout.render(_thinking(conversation))

    def answer_start(self, conversation: Conversation) -> AnswerStart:
        """Where `render` leaves the model."""
        return self._layout.answer_start(_thinking(conversation))


def _thinking(conversation: Conversation) -> Conversation:
    return replace(conversation, thinking=True)
