import pytest

from seekd.errors import InvalidParameter
from seekd.prompt.answer.context_report import ContextReport
from seekd.request import LongConversation
from seekd.wire.context import context_header, requested_context


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
