from typing import Any

import pytest

from seekd.errors import InvalidParameter
from seekd.prompt.answer.context_report import ContextReport
from seekd.prompt.recipe import ReadBody, WireProtocol
from seekd.prompt.types import PromptUsage
from seekd.request import LongConversation
from seekd.wire.context import USAGE_KEY, context_edit, context_header, requested_context
from tests.formats import V41
from tests.unit.prompt.reading import IDENTITY


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        ("refuse", LongConversation.REFUSE),
        (" Drop ", LongConversation.DROP),
        ("summarise", LongConversation.SUMMARISE),
        ("summarize", LongConversation.SUMMARISE),
    ],
)
def test_a_choice_is_found_by_name(value: str, choice: LongConversation) -> None:
    assert requested_context(value) is choice


@pytest.mark.parametrize("value", ["", "keep", "drop,summarise"])
def test_an_unknown_choice_is_refused_with_those_there_are(value: str) -> None:
    with pytest.raises(InvalidParameter, match="refuse, drop, summarise"):
        requested_context(value)


@pytest.mark.parametrize(
    ("report", "header"),
    [
        (ContextReport(), "whole"),
        (ContextReport(action="dropped", num_turns=2, num_messages=5), "dropped; turns=2; messages=5"),
        (
            ContextReport(action="summarised", num_turns=1, num_messages=2, num_summaries=0),
            "summarised; turns=1; messages=2; summaries=0",
        ),
        (
            ContextReport(action="summarised", num_turns=1, num_messages=2, num_summaries=3, is_summary_cut=True),
            "summarised; turns=1; messages=2; summaries=3; summary=cut",
        ),
    ],
)
def test_the_header_says_what_was_done(report: ContextReport, header: str) -> None:
    assert context_header(report) == header


TOOL_SCHEMA = {"type": "object", "properties": {"usage": {"type": "object"}}}
BODIES: dict[WireProtocol, dict[str, Any]] = {
    WireProtocol.CHAT: {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    WireProtocol.MESSAGES: {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 9},
    WireProtocol.RESPONSES: {
        "model": "m",
        "input": "x",
        "tools": [{"type": "function", "name": "f", "parameters": TOOL_SCHEMA}],
    },
}
DROPPED = ContextReport(action="dropped", num_turns=2, num_messages=5)
SUMMARISED = ContextReport(action="summarised", num_turns=2, num_messages=4, num_summaries=1, is_summary_cut=True)


def _usages(document: object) -> list[dict[str, Any]]:
    if not isinstance(document, dict):
        return []
    own = [document["usage"]] if isinstance(document.get("usage"), dict) else []
    return own + [usage for key in ("message", "response") for usage in _usages(document.get(key))]


@pytest.mark.parametrize("protocol", WireProtocol)
def test_every_usage_says_it_and_nothing_else_changes(protocol: WireProtocol) -> None:
    text = 'He said "usage":{"a":1} ☃'
    seen: list[list[dict[str, Any]]] = []
    for report in (None, DROPPED):
        body = ReadBody(protocol, {**BODIES[protocol], "stream": True}).convert(
            models=("m",), thinking_by_default=False, requires_reasoning=False
        )
        edit = None if report is None else context_edit(report)
        parser = body.open_parser(IDENTITY, V41)
        events = parser.ready(PromptUsage(num_prompt_tokens=3))
        events += parser.push_text(text, num_tokens=4)
        events += parser.finish(hit_length_limit=False)
        documents = [*events, parser.response()]
        if edit is not None:
            for document in documents:
                edit(document)
        seen.append(documents)
    plain, reported = seen
    num_reported = 0
    for document in reported:
        for usage in _usages(document):
            assert usage.pop(USAGE_KEY) == {"action": "dropped", "turns": 2, "messages": 5}
            num_reported += 1
    assert num_reported >= 2
    assert reported == plain


def test_the_usage_says_what_a_summary_took() -> None:
    data: dict[str, Any] = {"usage": {}}
    context_edit(SUMMARISED)(data)
    assert data["usage"][USAGE_KEY] == {
        "action": "summarised",
        "turns": 2,
        "messages": 4,
        "summaries": 1,
        "summary_prompt_tokens": 0,
        "summary_prompt_cache_hit_tokens": 0,
        "summary_completion_tokens": 0,
        "summary_cut": True,
    }
