"""All rules together."""

import pytest

from seekd.guard.finding import RuleBook
from seekd.guard.settings import RULES, GuardSettings, PatternSetting
from seekd.guard.types import Finding


class _Names:
    """An extension that knows one name. Implements `types.Redactor`."""

    def find(self, text: str) -> list[Finding]:
        start = text.find("Ann")
        return [] if start < 0 else [Finding(start=start, end=start + 3, rule="", label="person name")]


def test_findings_come_in_order_and_only_of_the_rules_that_are_asked_for() -> None:
    rules = RuleBook(GuardSettings())
    text = "10.20.30.40 ann@example.com +49 30 901820"
    assert [finding.rule for finding in rules.find(text, RULES)] == ["ip", "email", "phone"]
    assert [finding.rule for finding in rules.find(text, ["phone"])] == ["phone"]
    assert rules.find(text, []) == []


def test_characters_that_two_rules_claim_go_to_the_one_with_precedence() -> None:
    rules = RuleBook(GuardSettings(patterns=(PatternSetting(rule="ticket", pattern=r"T-\d+@example\.com"),)))
    text = "T-17@example.com, ann@10.20.30.40.example.com"
    assert [finding.rule for finding in rules.find(text, [*RULES, "ticket"])] == ["ticket", "email"]


def test_an_own_pattern_has_its_name_as_label() -> None:
    rules = RuleBook(GuardSettings(patterns=(PatternSetting(rule="staff-no", pattern=r"E-\d{6}"),)))
    [finding] = rules.find("E-123456", ["staff-no"])
    assert finding == Finding(start=0, end=8, rule="staff-no", label="STAFF_NO")


def test_an_extension_finds_under_its_own_name() -> None:
    rules = RuleBook(GuardSettings(), {"names": _Names()})
    assert rules.find("Dear Ann,", ["names"]) == [Finding(start=5, end=8, rule="names", label="PERSON_NAME")]
    assert rules.names[-1] == "names"


@pytest.mark.parametrize("text", ["", "[EMAIL_1]", "\ud800 1234567", "@" * 500, ":" * 500, "1 " * 500, "-----BEGIN"])
def test_no_text_breaks_a_rule(text: str) -> None:
    assert RuleBook(GuardSettings()).find(text, RULES) == []
