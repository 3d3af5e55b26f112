"""The adapter to Presidio; Presidio itself is not installed for the tests."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from seekd.errors import ConfigError
from seekd.guard.finding import RuleBook
from seekd.guard.presidio import PresidioRedactor, make_redactor
from seekd.guard.settings import GuardSettings
from seekd.guard.types import Finding


@dataclass
class _Entity:
    entity_type: str
    start: int
    end: int


class _Analyzer:
    """Answers as `AnalyzerEngine` does: overlapping, in any order. Implements `presidio.Analyzer`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, float | None]] = []

    def analyze(self, text: str, language: str, *, score_threshold: float | None = None) -> Sequence[_Entity]:
        self.asked.append((text, language, score_threshold))
        return [_Entity("LOCATION", 18, 24), _Entity("PERSON", 5, 8), _Entity("PERSON", 5, 13)]


def test_entities_become_findings_with_their_kind_as_label() -> None:
    analyzer = _Analyzer()
    rules = RuleBook(GuardSettings(), {"presidio": PresidioRedactor(analyzer, language="de", min_score=0.7)})
    assert rules.find("Dear Ann Smith of London", ["presidio"]) == [
        Finding(start=5, end=13, rule="presidio", label="PERSON"),
        Finding(start=18, end=24, rule="presidio", label="LOCATION"),
    ]
    assert analyzer.asked == [("Dear Ann Smith of London", "de", 0.7)]


def test_without_presidio_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(ConfigError, match=r"pip install 'seekd\[presidio\]'"):
        make_redactor()
