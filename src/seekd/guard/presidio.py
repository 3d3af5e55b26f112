"""Microsoft Presidio as a redactor: names, places and whatever else its recognizers know.

Needs `pip install 'seekd[presidio]'` and the language model that Presidio
loads; without this rule in the settings nothing of it is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from seekd.errors import ConfigError
from seekd.guard.types import Finding

RULE = "presidio"
LANGUAGE = "en"
MIN_SCORE = 0.5
"""Below it Presidio mostly guesses by form alone, which the built-in rules do better."""


class _Recognized(Protocol):
    # `presidio_analyzer.RecognizerResult`.
    entity_type: str
    start: int
    end: int


class Analyzer(Protocol):
    """What is used of `presidio_analyzer.AnalyzerEngine`."""

    def analyze(self, text: str, language: str, *, score_threshold: float | None = None) -> Sequence[_Recognized]:
        """What is recognized in a text."""


class PresidioRedactor:
    """Finds what Presidio recognizes. Implements `types.Redactor`.

    Args:
        analyzer: an `AnalyzerEngine`.
        language: that its recognizers are asked for.
        min_score: what is less certain is left out, 0 to 1.
    """

    def __init__(self, analyzer: Analyzer, *, language: str = LANGUAGE, min_score: float = MIN_SCORE) -> None:
        self._analyzer = analyzer
        self._language = language
        self._min_score = min_score

    def find(self, text: str) -> list[Finding]:
        """What is recognized, the kind of entity as label."""
        found = self._analyzer.analyze(text, self._language, score_threshold=self._min_score)
        return [
            Finding(start=entity.start, end=entity.end, rule=RULE, label=entity.entity_type)
            for entity in sorted(found, key=lambda entity: (entity.start, -entity.end))
        ]


def make_redactor() -> PresidioRedactor:
    """Presidio with its default recognizers, in English.

    Raises:
        ConfigError: Presidio or its language model is not installed.
    """
    try:
        from presidio_analyzer import AnalyzerEngine
    except ImportError as error:
        raise ConfigError("The rule presidio needs Presidio: pip install 'seekd[presidio]'.") from error
    try:
        return PresidioRedactor(AnalyzerEngine(supported_languages=[LANGUAGE]))
    except (Exception, SystemExit) as error:  # it downloads a language model, and leaves the process where it cannot
        raise ConfigError(f"Presidio cannot be used: {error}") from error
