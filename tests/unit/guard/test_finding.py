"""All rules together."""

import random

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


class _Given:
    """An extension that finds what it is told to. Implements `types.Redactor`."""

    def __init__(self, places: list[tuple[int, int]]) -> None:
        self._places = places

    def find(self, _: str) -> list[Finding]:
        return [Finding(start=start, end=end, rule="", label="x") for start, end in self._places]


def test_each_character_goes_to_the_first_rule_that_claims_it() -> None:
    chosen = random.Random(1)
    for _ in range(300):
        given = {}
        for name in ("first", "second", "third"):
            starts = [chosen.randrange(40) for _ in range(chosen.randrange(8))]
            given[name] = [(start, start + chosen.randrange(1, 8)) for start in starts]
        kept: list[tuple[int, int, str]] = []
        for name, places in given.items():
            for start, end in sorted(places, key=lambda place: place[0]):
                if all(end <= other[0] or other[1] <= start for other in kept):
                    kept.append((start, end, name))
        rules = RuleBook(GuardSettings(), {name: _Given(places) for name, places in given.items()})
        found = rules.find("x" * 50, given)
        assert [(finding.start, finding.end, finding.rule) for finding in found] == sorted(kept)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a@b.cc", "email"),
        ("2001::1", "ip"),
        ("1.2.3.10", "ip"),
        ("+4930901820", "phone"),
        ("4111111111111111", "card"),
        ("NO9386011117947", "iban"),
        ("ghp_" + "abcdefghijklmnopqrstuvwxyzabcdefgh", "key"),
        ("eyJhbGciOiJIUzIcccccc.eyJzdWIi.x", "key"),
        ("-----BEGIN PRIVATE KEY-----", "key"),
    ],
)
def test_a_short_text_that_is_sensitive_as_a_whole_is_found(text: str, rule: str) -> None:
    [finding] = RuleBook(GuardSettings()).find(text, RULES)
    assert (text[finding.start : finding.end], finding.rule) == (text, rule)


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
