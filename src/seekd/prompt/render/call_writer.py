"""Writes tool calls in the one form that the protocol package reads, whatever form the model wrote them in.

    {"city": "Paris", "days": [1, 2]}   ->   <‡ parameter name="city" string="false">"Paris"</‡ parameter> ⏎
                                             <‡ parameter name="days" string="false">[1, 2]</‡ parameter> ⏎

`‡` stands for `MARK`, a code point that is no character. The package is told to read it in the place of the models' own
mark, and no model can write it (`without_mark`), so nothing that a model writes is taken for markup here.
"""

from __future__ import annotations

import enum

MARK = "\ufdd0"
"""A noncharacter: Unicode keeps it free for a program's own use."""

BLOCK_BEGIN = f"<{MARK} calls>\n"
BLOCK_END = f"</{MARK} calls>"
CALL_END = f"</{MARK} invoke>\n"

_SPACES = " \t\r\n"
_NAME_ESCAPES = {char: f"\\u{ord(char):04x}" for char in ' <>="/'}


def without_mark(text: str) -> str:
    """The text with what it may not hold replaced, as undecodable bytes are."""
    return text.replace(MARK, "\ufffd")


def call_begin(name: str) -> str:
    """Opens a call."""
    return f'<{MARK} invoke name="{name}">\n'


class _State(enum.Enum):
    OPEN = enum.auto()  # before the `{`
    MEMBER = enum.auto()  # before a name, or the `}`
    NAME = enum.auto()
    COLON = enum.auto()
    BEFORE_VALUE = enum.auto()
    VALUE = enum.auto()
    DONE = enum.auto()
    BROKEN = enum.auto()


class ArgumentsWriter:
    """The arguments of one call: a JSON object in pieces in, parameters out. Values are copied as they are written."""

    def __init__(self) -> None:
        self._state = _State.OPEN
        self._name = ""
        self._is_escaped = False
        self._is_in_string = False
        self._depth = 0
        self._held_spaces = ""

    @property
    def is_done(self) -> bool:
        """Whether the object is closed, or what came is no object."""
        return self._state in (_State.DONE, _State.BROKEN)

    def push(self, text: str) -> tuple[str, str]:
        """Give the next text; returns what to write, and the text behind the object's end."""
        written: list[str] = []
        for index, char in enumerate(text):
            if self.is_done:
                return "".join(written), text[index:]
            written.append(_STEPS[self._state](self, char))
        return "".join(written), ""

    def _step_open(self, char: str) -> str:
        if char not in _SPACES:
            self._state = _State.MEMBER if char == "{" else _State.BROKEN
        return ""

    def _step_member(self, char: str) -> str:
        if char == '"':
            self._state, self._name = _State.NAME, ""
        elif char == "}":
            self._state = _State.DONE
        elif char != "," and char not in _SPACES:
            self._state = _State.BROKEN
        return ""

    def _step_name(self, char: str) -> str:
        if self._is_escaped:
            self._is_escaped = False
            # The package ends a name at a quote, also at an escaped one.
            self._name += _NAME_ESCAPES[char] if char in '"/' else f"\\{char}"
        elif char == "\\":
            self._is_escaped = True
        elif char == '"':
            self._state = _State.COLON
        else:
            self._name += _NAME_ESCAPES.get(char, char)
        return ""

    def _step_colon(self, char: str) -> str:
        if char == ":":
            self._state = _State.BEFORE_VALUE
            return f'<{MARK} parameter name="{self._name}" string="false">'
        if char not in _SPACES:
            self._state = _State.BROKEN
        return ""

    def _step_before_value(self, char: str) -> str:
        if char in _SPACES:
            return ""
        self._state = _State.VALUE
        self._depth, self._is_in_string, self._is_escaped, self._held_spaces = 0, False, False, ""
        return self._step_value(char)

    def _step_value(self, char: str) -> str:
        if self._is_in_string:
            if self._is_escaped:
                self._is_escaped = False
            elif char == "\\":
                self._is_escaped = True
            elif char == '"':
                self._is_in_string = False
            return char
        if self._depth == 0 and char in ",}":
            self._state = _State.MEMBER if char == "," else _State.DONE
            return f"</{MARK} parameter>\n"
        if char in _SPACES:
            self._held_spaces += char
            return ""
        if char == '"':
            self._is_in_string = True
        elif char in "{[":
            self._depth += 1
        elif char in "}]":
            self._depth -= 1
        spaces, self._held_spaces = self._held_spaces, ""
        return spaces + char


_STEPS = {
    _State.OPEN: ArgumentsWriter._step_open,  # noqa: SLF001
    _State.MEMBER: ArgumentsWriter._step_member,  # noqa: SLF001
    _State.NAME: ArgumentsWriter._step_name,  # noqa: SLF001
    _State.COLON: ArgumentsWriter._step_colon,  # noqa: SLF001
    _State.BEFORE_VALUE: ArgumentsWriter._step_before_value,  # noqa: SLF001
    _State.VALUE: ArgumentsWriter._step_value,  # noqa: SLF001
}
