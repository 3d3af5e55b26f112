"""What one rule finds in a text, as texts."""

from seekd.guard.finding import RuleBook
from seekd.guard.settings import RULES, GuardSettings

_RULES = RuleBook(GuardSettings())


def finds(text: str, *rules: str) -> list[str]:
    return [text[finding.start : finding.end] for finding in _RULES.find(text, rules or RULES)]
