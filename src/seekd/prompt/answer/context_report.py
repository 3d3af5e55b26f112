"""What was done to a conversation that did not fit, and an answer that says so in its usage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from seekd.prompt.answer.parser_shell import ParserShell
from seekd.prompt.types import OutputChunk, OutputParser, PromptUsage

USAGE_KEY = "seekd_context"

_USAGE_OPENS = '"usage":{'  # quotes inside of strings are escaped, so this can only be a key


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextReport:
    """What the model did not get to read as it was sent.

    Attributes:
        action: `whole`, `dropped` or `summarised`.
        num_turns: left out.
        num_messages: left out.
        num_summaries: made for this request; those that were known cost nothing.
        num_summary_prompt_tokens: read to make them.
        num_summary_cached_tokens: of these, not computed.
        num_summary_completion_tokens: written.
        is_summary_cut: the summary reached its limit, and its end is missing.
    """

    action: str = "whole"
    num_turns: int = 0
    num_messages: int = 0
    num_summaries: int = 0
    num_summary_prompt_tokens: int = 0
    num_summary_cached_tokens: int = 0
    num_summary_completion_tokens: int = 0
    is_summary_cut: bool = False

    def as_usage(self) -> dict[str, object]:
        """The member of `usage`."""
        shown: dict[str, object] = {"action": self.action, "turns": self.num_turns, "messages": self.num_messages}
        if self.action == "summarised":
            shown["summaries"] = self.num_summaries
            shown["summary_prompt_tokens"] = self.num_summary_prompt_tokens
            shown["summary_prompt_cache_hit_tokens"] = self.num_summary_cached_tokens
            shown["summary_completion_tokens"] = self.num_summary_completion_tokens
            shown["summary_cut"] = self.is_summary_cut
        return shown


@dataclass(frozen=True, slots=True)
class _Chunk:
    # Implements `types.OutputChunk`.
    json_text: str
    event_name: str | None

    def to_json(self) -> str:
        return self.json_text


class ReportingParser(ParserShell):
    """A parser whose usage says what was done.

    Args:
        parser: makes the answer.
        report: is added to each `usage` object of it, whatever the protocol.
    """

    def __init__(self, parser: OutputParser, report: ContextReport) -> None:
        super().__init__(parser)
        self._member = report.as_usage()

    def ready(self, usage: PromptUsage) -> list[OutputChunk]:
        """Say that generation begins; yields the opening events."""
        return self._noted(super().ready(usage))

    def push_text(self, text: str, *, num_tokens: int) -> list[OutputChunk]:
        """Give the next text; a stop string in it brings the closing events."""
        return self._noted(super().push_text(text, num_tokens=num_tokens))

    def push_tokens(
        self, token_ids: Sequence[int], logprobs: Sequence[tuple[float, Sequence[tuple[int, float]]]]
    ) -> list[OutputChunk]:
        """Give the next tokens with their log-probabilities; a stop string in them brings the closing events."""
        return self._noted(super().push_tokens(token_ids, logprobs))

    def finish(self, *, hit_length_limit: bool) -> list[OutputChunk]:
        """Say that generation ended by itself."""
        return self._noted(super().finish(hit_length_limit=hit_length_limit))

    def response_json(self) -> str:
        """The whole response; valid after `finish`."""
        return self._with_report(super().response_json())

    def _noted(self, events: Sequence[OutputChunk]) -> list[OutputChunk]:
        return [
            _Chunk(self._with_report(text), event.event_name) if _USAGE_OPENS in (text := event.to_json()) else event
            for event in events
        ]

    def _with_report(self, text: str) -> str:
        document = json.loads(text)
        # Of Chat Completions and `message_delta`; of `message_start`; of the events of Responses.
        for holder in (document, document.get("message"), document.get("response")):
            if isinstance(holder, dict) and isinstance(holder.get("usage"), dict):
                holder["usage"][USAGE_KEY] = self._member
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
