"""Rules, their order and their ends; assertions that say what differs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seekd.errors import ConfigError, InvalidParameter
from seekd.testing.kit import Kit
from seekd.testing.replies import Reply, tool_call
from seekd.testing.seen import SeenRequest
from seekd.testing.tap import Turn


def ask(kit: Kit, text: str = "Hi", *, played: bool = True, **body: Any) -> Turn:
    """A request that came and was served."""
    raw = json.dumps({"messages": [{"role": "user", "content": text}], **body}).encode()
    seen = SeenRequest(path="/v1/chat/completions", headers={}, raw=raw)
    turn = kit.arrived(seen)
    if not played:
        kit.refused(seen)
    elif turn.problem is not None:
        turn.on_problem()
    return turn


def texts(kit: Kit, *asked: str) -> list[str]:
    turns = [ask(kit, text) for text in asked]
    return [turn.reply.text if turn.reply else "-" for turn in turns]


def test_the_first_rule_that_fits_answers_and_the_last_answer_repeats() -> None:
    kit = Kit()
    kit.on(text="a").reply("one").reply("two")
    kit.on(text="b").reply("three")
    kit.reply("else")
    assert texts(kit, "a", "b", "a", "a", "c", "ab") == ["one", "three", "two", "two", "else", "two"]


def test_a_rule_that_is_given_once_makes_room_for_the_next() -> None:
    kit = Kit()
    kit.on().fail("rate-limit").reply("one").once()
    kit.on().reply("two")
    first = ask(kit)
    assert first.fault is not None
    assert texts(kit, "x", "x", "x") == ["one", "two", "two"]


def test_a_request_that_the_server_refuses_takes_no_answer() -> None:
    kit = Kit()
    kit.reply("one").reply("two")
    ask(kit, played=False)
    assert texts(kit, "x", "x") == ["one", "two"]


def test_a_function_decides_when_the_request_is_there() -> None:
    kit = Kit()
    kit.reply(lambda seen: Reply(text=seen.text, cached_tokens=1))
    assert ask(kit, "abc").reply == Reply(text="abc", cached_tokens=1)


def test_texts_calls_and_options_make_one_reply() -> None:
    kit = Kit()
    call = tool_call("f", a=1)
    kit.reply("Look:", call, reasoning="Hm.", cached_tokens=3)
    assert ask(kit).reply == Reply(text="Look:", tool_calls=(call,), reasoning="Hm.", cached_tokens=3)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("x",), {"colour": 1}, "no such attribute.*colour"),
        ((Reply(),), {"cached_tokens": 1}, "says everything itself"),
        (("x",), {"finish_reason": "length "}, "'stop' or 'length'"),
    ],
)
def test_a_reply_that_cannot_be_made_is_told_at_once(arguments: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Kit().reply(*arguments, **options)


def test_a_request_without_a_rule_is_told_why_and_fails_the_test() -> None:
    kit = Kit()
    kit.on(text="weather").reply("x")
    turn = ask(kit, "time")
    assert turn.problem is not None
    assert "rule 0: the last message does not hold 'weather', it is 'time'" in turn.problem.message
    with pytest.raises(AssertionError, match=r"1 request\(s\) without an answer.*rule 0"):
        kit.verify()
    kit.reset()
    kit.verify()
    assert ask(kit).problem is not None


def test_with_a_model_rules_only_fail_and_other_requests_pass() -> None:
    kit = Kit(answers_by_model=True)
    kit.on(text="a").fail("stall")
    with pytest.raises(ConfigError, match="A model answers here"):
        kit.reply("x")
    assert ask(kit, "b") == Turn()
    turn = ask(kit, "a")
    assert (turn.reply, turn.fault is not None) == (None, True)


def test_chaos_is_the_same_with_the_same_seed_and_other_with_another() -> None:
    def drawn(seed: int) -> list[str | None]:
        kit = Kit()
        kit.reply("x")
        kit.chaos({"rate-limit": 0.3, "reset": 0.2}, seed=seed)
        return [None if turn.fault is None else turn.fault.name for turn in (ask(kit) for _ in range(200))]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 40 <= drawn(1).count("rate-limit") <= 80
    assert 20 <= drawn(1).count("reset") <= 60


def test_chaos_takes_only_probabilities_and_known_faults() -> None:
    with pytest.raises(ConfigError, match="in sum at most 1"):
        Kit().chaos({"reset": 0.7, "stall": 0.7}, seed=1)
    with pytest.raises(InvalidParameter, match="no fault 'rest'"):
        Kit().chaos({"rest": 0.7}, seed=1)


def test_assertions_return_the_request_that_fits() -> None:
    kit = Kit()
    kit.assert_not_called()
    kit.reply("x")
    ask(kit, "one", model="m")
    assert kit.assert_called_once_with(text="one", model="m").text == "one"
    ask(kit, "two")
    assert kit.assert_called_with(text="two").text == "two"
    assert kit.assert_any_call(model="m").text == "one"
    kit.assert_messages([{"role": "user", "content": "two"}])


def test_assertions_that_fail_say_what_was_sent() -> None:
    kit = Kit()
    for check in (kit.assert_called_with, kit.assert_any_call, lambda: kit.assert_messages([]), kit.conversation):
        with pytest.raises(AssertionError, match=r"has sent no request|has been answered"):
            check()
    kit.reply("x")
    ask(kit, "one")
    ask(kit, "two")
    with pytest.raises(AssertionError, match=r"The last of 2 .*\n- the last message does not hold 'one', it is 'two'"):
        kit.assert_called_with(text="one")
    with pytest.raises(AssertionError, match=r"None of 2 request\(s\) matches; the nearest"):
        kit.assert_any_call(text="three")
    with pytest.raises(AssertionError, match=r"2 requests were sent, not 1:\n- POST .*user: 'one'"):
        kit.assert_called_once_with()
    with pytest.raises(AssertionError, match=r"2 request\(s\) were sent"):
        kit.assert_not_called()
    with pytest.raises(AssertionError, match=r'-    "content": "three"\n\+    "content": "two"'):
        kit.assert_messages([{"role": "user", "content": "three"}])
