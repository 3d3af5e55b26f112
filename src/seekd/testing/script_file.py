"""Rules of a kit from a file or from HTTP: for programs that are not written in Python.

    [[reply]]                                   a rule, in the order of the file
    when = { text = "weather", tool = "get_weather" }
    tool_calls = [{ name = "get_weather", arguments = { city = "Paris" } }]
    fault = "stall; after=3"

A file in Python has a function `script(seekd)` that makes rules as a test does.
"""

from __future__ import annotations

import runpy
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seekd.errors import ConfigError, InvalidParameter
from seekd.testing.kit import Kit
from seekd.testing.replies import Reply, SaidToken, ToolCall, tool_call

_REPLY_MEMBERS = frozenset(
    {"text", "reasoning", "tool_calls", "tokens", "pieces", "cached_tokens", "finish_reason", "delay_s"}
)
_RULE_MEMBERS = _REPLY_MEMBERS | {"when", "fault", "once"}


def apply_script(path: Path, kit: Kit) -> None:
    """Make the rules of a file.

    Raises:
        ConfigError: it cannot be read, or makes no rules.
    """
    try:
        if path.suffix == ".py":
            _apply_python(path, kit)
        else:
            apply_rules(tomllib.loads(path.read_text(encoding="utf-8")), kit)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The script {path} cannot be read: {error}.") from error
    except InvalidParameter as error:
        raise ConfigError(f"The script {path}: {error.message}") from error


def _apply_python(path: Path, kit: Kit) -> None:
    script = runpy.run_path(str(path)).get("script")
    if not callable(script):
        raise ConfigError(f"The script {path} has no function script(seekd).")
    script(kit)


def apply_rules(data: Mapping[str, Any], kit: Kit) -> None:
    """Make the rules under `reply`.

    Raises:
        ConfigError: there are none, or one has a member that is unknown or of a wrong type.
        InvalidParameter: there is no such fault.
    """
    rules = data.get("reply")
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules) or len(data) != 1:
        raise ConfigError("A script has rules as [[reply]] and nothing else.")
    for number, rule in enumerate(rules):
        try:
            _make_rule(rule, kit)
        except (TypeError, AttributeError, KeyError) as error:
            raise ConfigError(f"Rule {number} of the script has a value of a wrong type: {error}.") from error


def _make_rule(data: Mapping[str, Any], kit: Kit) -> None:
    if unknown := sorted(data.keys() - _RULE_MEMBERS):
        known = ", ".join(sorted(_RULE_MEMBERS))
        raise ConfigError(f"A rule of a script has no {', '.join(unknown)}; it has {known}.")
    reply = {name: value for name, value in data.items() if name in _REPLY_MEMBERS}
    rule = kit.on(**data.get("when", {}))
    if not reply and "fault" in data:
        rule.damage(data["fault"])
    else:
        rule.reply(_reply(reply), fault=data.get("fault"))
    if data.get("once", False):
        rule.once()


def _reply(data: Mapping[str, Any]) -> Reply:
    calls = tuple(_call(call) for call in data.get("tool_calls", ()))
    tokens = tuple(SaidToken(**token) for token in data.get("tokens", ()))
    return Reply(**{**data, "tool_calls": calls, "tokens": tokens})


def _call(data: Mapping[str, Any]) -> ToolCall:
    return tool_call(data["name"], data.get("arguments"), pieces=data.get("pieces", ()))
