"""Which requests a rule is for, and in which ways a request differs from what a test expects."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from seekd.errors import ConfigError
from seekd.testing.seen import SeenRequest

ANY = object()
"""A field of the body that has to be there, whatever its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a request must be like; what is None is not looked at.

    Attributes:
        text: stands in the last message.
        regex: is found in the last message.
        role: of the last message.
        tool: name of a tool that is offered.
        tool_result: name of the tool whose result the last message is.
        path: what the path ends with, as `/messages`.
        where: says whether the request fits.
        fields: members of the body and their values; of an object or list in it every part counts. `ANY` takes any.
    """

    text: str | None = None
    regex: str | None = None
    role: str | None = None
    tool: str | None = None
    tool_result: str | None = None
    path: str | None = None
    where: Callable[[SeenRequest], bool] | None = None
    fields: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def differences(self, request: SeenRequest) -> Sequence[str]:
        """In which ways the request is not of this kind, a sentence each; none where it is."""
        return [*self._words(request), *self._kind(request), *self._body(request)]

    def _words(self, request: SeenRequest) -> list[str]:
        found = []
        if self.text is not None and self.text not in request.text:
            found.append(f"the last message does not hold {self.text!r}, it is {_short(request.text)}")
        if self.regex is not None and not re.search(self.regex, request.text):
            found.append(f"the last message does not fit /{self.regex}/, it is {_short(request.text)}")
        if self.role is not None and request.role != self.role:
            found.append(f"the last message is of role {request.role!r}, not {self.role!r}")
        return found

    def _kind(self, request: SeenRequest) -> list[str]:
        found = []
        if self.tool is not None and self.tool not in request.tool_names:
            found.append(f"the tool {self.tool!r} is not offered, there are {list(request.tool_names)}")
        if self.tool_result is not None and request.tool_result != self.tool_result:
            found.append(f"the last message is no result of the tool {self.tool_result!r}")
        if self.path is not None and not request.path.endswith(self.path):
            found.append(f"the path is {request.path!r}, not {self.path!r}")
        if self.where is not None and not self.where(request):
            found.append(f"{getattr(self.where, '__name__', 'the predicate')} says no")
        return found

    def _body(self, request: SeenRequest) -> list[str]:
        found = []
        for name, wanted in self.fields.items():
            if name not in request.body:
                found.append(f"the body has no {name!r}")
            elif wanted is not ANY and request.body[name] != wanted:
                found.append(f"{name!r} differs:\n{json_diff(wanted, request.body[name])}")
        return found


_NAMES = frozenset({"text", "regex", "role", "tool", "tool_result", "path", "where"})


def match_of(wishes: Mapping[str, Any]) -> Match:
    """The match for keyword arguments: its own names, and members of the body under all others.

    Raises:
        ConfigError: a regular expression cannot be read.
    """
    try:
        re.compile(wishes.get("regex") or "")
    except re.error as error:
        raise ConfigError(f"The regular expression {wishes['regex']!r} cannot be read: {error}.") from error
    own = {name: value for name, value in wishes.items() if name in _NAMES}
    return Match(**own, fields={name: value for name, value in wishes.items() if name not in _NAMES})


def json_diff(wanted: object, given: object) -> str:
    """Two JSON values line by line: `-` is expected, `+` is what came."""
    lines = difflib.unified_diff(
        _lines(wanted), _lines(given), fromfile="expected", tofile="sent by the program", lineterm="", n=2
    )
    return "\n".join(lines)


def _lines(value: object) -> list[str]:
    return json.dumps(value, ensure_ascii=False, indent=2, default=repr).splitlines()


def _short(text: str, *, most: int = 200) -> str:
    return repr(text if len(text) <= most else f"{text[:most]}…")
