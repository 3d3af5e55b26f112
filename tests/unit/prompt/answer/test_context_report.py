"""The usage of an answer says what was done to its conversation, in each protocol and once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seekd.prompt.answer.context_report import USAGE_KEY, ContextReport, ReportingParser
from seekd.prompt.recipe import ConversionPlan, ReadBody, WireProtocol
from seekd.prompt.types import PromptUsage
from tests.formats import V41
from tests.unit.prompt.reading import IDENTITY

PLAN = ConversionPlan(models=("m",), thinking_by_default=False, requires_reasoning=False)
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
        body = ReadBody(protocol, BODIES[protocol]).convert(PLAN)
        parser = body.open_parser(IDENTITY, V41)
        if report is not None:
            parser = ReportingParser(parser, report)
        events = parser.ready(PromptUsage(num_prompt_tokens=3))
        events += parser.push_text(text, num_tokens=4)
        events += parser.finish(hit_length_limit=False)
        names = [{"event": event.event_name} for event in events]
        seen.append([*names, *(json.loads(event.to_json()) for event in events), json.loads(parser.response_json())])
    plain, reported = seen
    num_reported = 0
    for document in reported:
        for usage in _usages(document):
            assert usage.pop(USAGE_KEY) == {"action": "dropped", "turns": 2, "messages": 5}
            num_reported += 1
    assert num_reported >= 2
    assert reported == plain


def test_a_report_of_a_summary_says_what_it_took() -> None:
    assert SUMMARISED.as_usage() == {
        "action": "summarised",
        "turns": 2,
        "messages": 4,
        "summaries": 1,
        "summary_prompt_tokens": 0,
        "summary_prompt_cache_hit_tokens": 0,
        "summary_completion_tokens": 0,
        "summary_cut": True,
    }


def test_a_reporting_parser_ends_and_counts_as_the_one_in_it() -> None:
    body = ReadBody(WireProtocol.CHAT, {**BODIES[WireProtocol.CHAT], "stop": ["END"]}).convert(PLAN)
    parser = ReportingParser(body.open_parser(IDENTITY, V41), DROPPED)
    parser.ready(PromptUsage(num_prompt_tokens=3))
    assert not parser.stopped
    events = parser.push_text("a END b", num_tokens=3) + parser.finish(hit_length_limit=False)
    assert events[-1].to_json().count(USAGE_KEY) == 1
    assert parser.stopped
    assert parser.num_reasoning_tokens == 0
    parser.close()
