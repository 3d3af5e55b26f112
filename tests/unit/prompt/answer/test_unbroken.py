"""Texts that reach the parser in one piece."""

import itertools

from seekd.prompt.answer.unbroken import UnbrokenParser, UnbrokenTexts
from seekd.prompt.types import PromptUsage
from tests.unit.prompt.parsers import ListeningParser

TEXTS = ("[EMAIL_1]", "[EMAIL_12]", "[IP_1]")


def _open() -> tuple[UnbrokenParser, ListeningParser]:
    inner = ListeningParser()
    return UnbrokenParser(inner, TEXTS, lambda token_id: bytes([token_id])), inner


def test_at_each_split_the_text_comes_whole_and_nothing_is_lost() -> None:
    text = "a [x [EMAIL_1], [EMAIL_12][IP_1] [EMAIL_ [["
    for first, second in itertools.combinations(range(len(text) + 1), 2):
        unbroken = UnbrokenTexts(TEXTS)
        given = [unbroken.push(part) for part in (text[:first], text[first:second], text[second:])]
        given.append(unbroken.flush())
        assert "".join(given) == text
        for placeholder in TEXTS:
            assert sum(part.count(placeholder) for part in given) == text.count(placeholder)


def test_only_the_beginning_of_a_text_waits() -> None:
    unbroken = UnbrokenTexts(TEXTS)
    assert [unbroken.push(part) for part in ("Dear [", "EMA", "IL_2", "] [x", "[IP_1", "]!")] == [
        "Dear ", "", "[EMAIL_2", "] [x", "", "[IP_1]!",
    ]  # fmt: skip


def test_tokens_count_when_their_text_is_given_on() -> None:
    parser, inner = _open()
    parser.ready(PromptUsage(num_prompt_tokens=3))
    for part in ("Dear ", "[", "EMAIL", "_1", "]", ", "):
        parser.push_text(part, num_tokens=1)
    parser.finish(hit_length_limit=False)
    assert inner.pushed == [("ready", 3), ("Dear ", 1), ("[EMAIL_1]", 4), (", ", 1), ("finish", 0)]
    assert parser.num_reasoning_tokens == 7
    assert parser.response() == {}


def test_what_waits_at_the_end_is_given_on() -> None:
    parser, inner = _open()
    parser.push_text("see [EMA", num_tokens=3)
    parser.push_text("", num_tokens=1)
    parser.finish(hit_length_limit=True)
    assert inner.pushed == [("see ", 3), ("[EMA", 1), ("finish", 1)]


def test_after_a_stop_nothing_more_is_given_on() -> None:
    parser, inner = _open()
    parser.push_text("[EMA", num_tokens=1)
    inner.stopped = True
    assert parser.stopped
    parser.finish(hit_length_limit=False)
    assert inner.pushed == [("finish", 0)]
    parser.close()
    assert inner.closed


def test_tokens_with_logprobs_of_one_text_are_given_on_together() -> None:
    parser, inner = _open()
    for sign in "a[IP_1]b[":
        parser.push_tokens(sign.encode(), [(-0.5, ())])
    parser.finish(hit_length_limit=False)
    assert inner.pushed == [("a", 1), ("[IP_1]", 6), ("b", 1), ("[", 1), ("finish", 0)]
