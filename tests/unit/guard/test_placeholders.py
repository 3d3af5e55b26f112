"""Placeholders and the way back."""

from seekd.guard.finding import RuleBook
from seekd.guard.placeholders import Placeholders
from seekd.guard.settings import RULES, GuardSettings
from seekd.guard.types import Finding

_RULES = RuleBook(GuardSettings())


def _hide(placeholders: Placeholders, text: str) -> str:
    return placeholders.hide(text, _RULES.find(text, RULES))


def test_equal_values_have_one_placeholder_and_others_the_next_number() -> None:
    placeholders = Placeholders()
    assert _hide(placeholders, "a@x.com b@x.com a@x.com") == "[EMAIL_1] [EMAIL_2] [EMAIL_1]"
    assert _hide(placeholders, "b@x.com 10.20.30.40") == "[EMAIL_2] [IP_1]"
    assert placeholders.values == {"[EMAIL_1]": "a@x.com", "[EMAIL_2]": "b@x.com", "[IP_1]": "10.20.30.40"}


def test_what_was_hidden_comes_back() -> None:
    placeholders = Placeholders()
    text = "a@x.com, +49 30 901820"
    assert placeholders.restore(_hide(placeholders, text)) == text
    assert placeholders.restore("[EMAIL_2] [email_1] [IP_1] [") == "[EMAIL_2] [email_1] [IP_1] ["


def test_a_placeholder_that_the_texts_have_already_is_not_used() -> None:
    text = "[EMAIL_1] is not a@x.com"
    placeholders = Placeholders([text])
    hidden = _hide(placeholders, text)
    assert hidden == "[EMAIL_1] is not [EMAIL_2]"
    assert placeholders.restore(hidden) == text


def test_a_value_that_comes_late_is_restored_too() -> None:
    placeholders = Placeholders()
    _hide(placeholders, "a@x.com")
    assert placeholders.restore("[EMAIL_1]") == "a@x.com"
    _hide(placeholders, "b@x.com")
    assert placeholders.restore("[EMAIL_2]") == "b@x.com"


def test_in_a_string_of_json_what_comes_back_is_escaped() -> None:
    placeholders = Placeholders()
    block = '-----BEGIN PRIVATE KEY-----\n"\\\n-----END PRIVATE KEY-----'
    assert _hide(placeholders, block) == "[KEY_1]"
    assert placeholders.restore('{"a":"[KEY_1]"}', json_string=True) == (
        '{"a":"-----BEGIN PRIVATE KEY-----\\n\\"\\\\\\n-----END PRIVATE KEY-----"}'
    )


def test_only_its_own_placeholders_come_back_among_many_and_whatever_their_labels_are() -> None:
    placeholders = Placeholders()
    values = [f"v{number}" for number in range(3000)]
    hidden = "".join(
        placeholders.hide(value, [Finding(start=0, end=len(value), rule="x", label="1ST_KIND_")]) for value in values
    )
    assert placeholders.restore(hidden) == "".join(values)
    other = "[1ST_KIND__3001] [[1ST_KIND__1] [EMAIL_1]"
    assert placeholders.restore(other) == "[1ST_KIND__3001] [v0 [EMAIL_1]"
