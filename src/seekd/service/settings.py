"""What a user may choose about conversations that are longer than a model's context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seekd.config import ByteSize
from seekd.models.settings import LongConversationName

SUMMARY_PROMPT = (
    "Our conversation is about to be shortened: from now on you will see only your next answer in place of all that "
    "stands above. Write down what you must remember, as a short list. Keep every fact, name, number, date, decision, "
    "wish and open question, and who stated it; keep results of tools that may matter again; leave out greetings and "
    "repetitions. Use the language of the conversation. Write nothing but the list."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSettings:
    """Conversations that are too long; `[model] long_conversations` says what becomes of them.

    Attributes:
        accounts: by account, what becomes of its long conversations, where that is not the model's choice.
        summary_prompt: what the model is asked when the oldest turns are summarised.
        summary_tokens: most tokens of a summary; of a small context at most an eighth.
        summaries_ram: most bytes of summaries that are kept for the next turns of their conversations, the least
            recently used ones going first. One that is gone is made, and charged, again.
    """

    accounts: Mapping[str, LongConversationName] = field(default_factory=dict)
    summary_prompt: str = SUMMARY_PROMPT
    summary_tokens: int = 1024
    summaries_ram: ByteSize = ByteSize(16 * 1024 * 1024)

    def __post_init__(self) -> None:
        """Check what no type says."""
        if self.summary_tokens < 16:
            raise ValueError("context.summary_tokens must be at least 16")
        if not self.summary_prompt.strip():
            raise ValueError("context.summary_prompt must not be empty")
