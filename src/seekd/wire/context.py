"""What a request wants of a conversation that is too long, by its header, and what was done, in header and usage."""

from __future__ import annotations

from seekd.errors import InvalidParameter
from seekd.prompt.answer.context_report import ContextReport
from seekd.prompt.types import Json
from seekd.request import LongConversation
from seekd.wire.calls import Edit, in_usage

CONTEXT_HEADER = "x-seekd-context"

PENDING = "summarising"
"""For a stream whose headers leave while the summary is being made; its usage says the rest."""

USAGE_KEY = "seekd_context"

_SPELLINGS = {choice.value: choice for choice in LongConversation} | {"summarize": LongConversation.SUMMARISE}


def requested_context(value: str) -> LongConversation:
    """The choice of a request. Raises `InvalidParameter` for a value that is none, listing those there are."""
    choice = _SPELLINGS.get(value.strip().lower())
    if choice is None:
        known = ", ".join(LongConversation)
        raise InvalidParameter(f"Unknown value {value!r} in the header X-Seekd-Context; there are {known}.")
    return choice


def context_header(report: ContextReport) -> str:
    """What was done, in one line."""
    if report.action == "whole":
        return report.action
    parts = [report.action, f"turns={report.num_turns}", f"messages={report.num_messages}"]
    if report.action == "summarised":
        parts.append(f"summaries={report.num_summaries}")
    if report.is_summary_cut:
        parts.append("summary=cut")
    return "; ".join(parts)


def context_edit(report: ContextReport) -> Edit:
    """Says in the usage what was done."""
    said: Json = {"action": report.action, "turns": report.num_turns, "messages": report.num_messages}
    if report.action == "summarised":
        said["summaries"] = report.num_summaries
        said["summary_prompt_tokens"] = report.num_summary_prompt_tokens
        said["summary_prompt_cache_hit_tokens"] = report.num_summary_cached_tokens
        said["summary_completion_tokens"] = report.num_summary_completion_tokens
        said["summary_cut"] = report.is_summary_cut
    return in_usage(USAGE_KEY, said)
