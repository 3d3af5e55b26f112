"""What was done to a conversation that did not fit."""

from __future__ import annotations

from dataclasses import dataclass


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
