"""Script files make the rules that they say, and tell what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seekd.errors import ConfigError
from seekd.testing.faults import Fault
from seekd.testing.kit import Kit
from seekd.testing.replies import Reply, SaidToken, ToolCall
from seekd.testing.script_file import apply_script
from seekd.testing.seen import SeenRequest
from seekd.testing.tap import Turn


def turn(kit: Kit, text: str) -> Turn:
    body = {"messages": [{"role": "user", "content": text}]}
    return kit.arrived(SeenRequest(path="/v1/chat/completions", headers={}, raw=json.dumps(body).encode()))


def kit_of(folder: Path, text: str, *, name: str = "script.toml") -> Kit:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    kit = Kit()
    apply_script(path, kit)
    return kit


def test_a_toml_file_has_everything_that_a_rule_can_say(tmp_path: Path) -> None:
    kit = kit_of(
        tmp_path,
        """
        [[reply]]
        when = { text = "weather" }
        reasoning = "Hm."
        tool_calls = [{ name = "f", arguments = { city = "Paris" } }, { name = "g", pieces = ["{", "}"] }]
        cached_tokens = 7
        once = true

        [[reply]]
        when = { text = "odds" }
        tokens = [{ text = "Yes", logprob = -0.5, top = { No = -1.0 } }]
        fault = "stall; after=3"

        [[reply]]
        fault = "overloaded"
        """,
    )
    calls = (ToolCall(name="f", arguments={"city": "Paris"}), ToolCall(name="g", arguments="{}", pieces=("{", "}")))
    assert turn(kit, "weather").reply == Reply(reasoning="Hm.", tool_calls=calls, cached_tokens=7)
    odds = turn(kit, "odds")
    assert odds.reply == Reply(tokens=(SaidToken(text="Yes", logprob=-0.5, top={"No": -1.0}),))
    assert odds.fault == Fault(name="stall", after=3)
    assert turn(kit, "weather").fault == Fault(name="overloaded")


def test_a_python_file_makes_rules_as_a_test_does(tmp_path: Path) -> None:
    kit = kit_of(tmp_path, "def script(seekd):\n    seekd.reply(lambda request: request.text * 2)\n", name="s.py")
    assert turn(kit, "ab").reply == Reply(text="abab")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("reply = 1", r"rules as \[\[reply\]\]"),
        ("[[reply]]\ntext = 'x'\n[other]\n", r"rules as \[\[reply\]\]"),
        ("[[reply]]\ntxt = 'x'", "has no txt; it has cached_tokens"),
        ("[[reply]]\nfault = 'stal'", "no fault 'stal'"),
        ("[[reply]]\nfinish_reason = 'tool_calls'", "ends with 'stop' or 'length'"),
        ("[[reply]]\ntool_calls = [{ arguments = {} }]", "Rule 0 .* wrong type: 'name'"),
        ("[[reply]]\ntokens = [{ txt = 'x' }]", "Rule 0 .* wrong type"),
        ("[[reply]]\ntext = 3", "is text, not 3"),
        ("[[reply", "cannot be read"),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        kit_of(tmp_path, text)


def test_a_file_that_is_not_there_or_has_no_function_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        apply_script(tmp_path / "none.toml", Kit())
    with pytest.raises(ConfigError, match="no function script"):
        kit_of(tmp_path, "x = 1", name="s.py")
