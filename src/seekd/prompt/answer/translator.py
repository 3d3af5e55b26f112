"""A family's answer, rewritten piece by piece into what the protocol package reads.

    LEAD ──<think>──> REASONING ──</think>──> CONTENT ──opener──> HEAD ──{──> ARGUMENTS ──}──> TAIL ──┐
      └───anything else──────────────────────────^                 ^────────── tail ────────────────┘
                                                                   └──closer──> DONE (what follows is dropped)

For every split of an answer, the pieces that come out, joined, are the same. What may be the beginning of a marker is
held back.
"""

from __future__ import annotations

import enum
import json

from seekd.prompt.call_syntax import CallSyntax
from seekd.prompt.render.call_writer import BLOCK_BEGIN, BLOCK_END, CALL_END, ArgumentsWriter, call_begin, without_mark
from seekd.prompt.types import AnswerStart

THINK = "<think>"
THINK_END = "</think>"


class _Phase(enum.Enum):
    LEAD = enum.auto()
    REASONING = enum.auto()
    CONTENT = enum.auto()
    HEAD = enum.auto()
    ARGUMENTS = enum.auto()
    TAIL = enum.auto()
    DONE = enum.auto()


_PHASES = {
    AnswerStart.CONTENT: _Phase.CONTENT,
    AnswerStart.REASONING: _Phase.REASONING,
    AnswerStart.MAYBE_REASONING: _Phase.LEAD,
}


class AnswerTranslator:
    """The text of one answer.

    Args:
        start: where the prompt left the model.
        calls: how it writes calls; None where no tools were offered, and all markup is text.
        reader_thinks: whether the package has been told that the answer begins with reasoning.
    """

    def __init__(self, *, start: AnswerStart, calls: CallSyntax | None, reader_thinks: bool) -> None:
        self._phase = _PHASES[start]
        self._calls = calls
        self._owes_think_end = reader_thinks
        self._held = ""
        self._arguments = ArgumentsWriter()
        self._has_call = False

    @property
    def is_reasoning(self) -> bool:
        """Whether the next text is reasoning, as far as is known."""
        return self._phase is _Phase.REASONING

    def push(self, text: str) -> str:
        """Give the next text; returns what to pass on."""
        self._held += without_mark(text)
        return self._run(is_end=False)

    def flush(self, *, is_cut: bool) -> str:
        """Say that no text follows; returns the rest.

        Args:
            is_cut: the answer was cut off: a call that has only begun is dropped instead of passed on as text.
        """
        if is_cut and self._phase is _Phase.HEAD:
            self._held, self._phase = "", _Phase.DONE
        return self._run(is_end=True)

    def _run(self, *, is_end: bool) -> str:
        written = []
        while True:
            phase, num_held = self._phase, len(self._held)
            written.append(_STEPS[phase](self, is_end=is_end))
            if self._phase is phase and len(self._held) == num_held:
                return "".join(written)

    def _lead(self, *, is_end: bool) -> str:
        text = self._held.lstrip()
        if text.startswith(THINK):
            self._held = text.removeprefix(THINK)
            self._phase = _Phase.REASONING
        elif is_end or not THINK.startswith(text):
            self._phase = _Phase.CONTENT
        return ""

    def _reasoning(self, *, is_end: bool) -> str:
        markers = [THINK_END] if self._calls is None else [THINK_END, self._calls.opener]
        text, marker = self._take_before(markers, is_end=is_end)
        if marker:
            self._held = self._held.removeprefix(THINK_END)
            self._phase = _Phase.CONTENT
        return text

    def _content(self, *, is_end: bool) -> str:
        before = self._end_reasoning()
        if self._calls is None:
            text, self._held = self._held, ""
            return before + text
        text, marker = self._take_before([self._calls.opener], is_end=is_end)
        if not marker:
            return before + text
        self._held = self._held.removeprefix(marker)
        self._phase = _Phase.HEAD
        return before + text

    def _head(self, *, is_end: bool) -> str:
        assert self._calls is not None
        match = self._calls.head.match(self._held)
        if match is not None:
            self._held = self._held[match.end() :]
            self._phase, self._arguments = _Phase.ARGUMENTS, ArgumentsWriter()
            return self._begin_call(match[1])
        ends = [(self._held.find(marker), marker) for marker in (self._calls.tail, self._calls.closer) if marker]
        position, marker = min(((at, end) for at, end in ends if at >= 0), default=(-1, ""))
        if position >= 0:
            text, self._held = self._held[:position], self._held[position + len(marker) :]
            written = self._odd_call(text, marker)
            return written + (self._end_calls() if marker == self._calls.closer and self._has_call else "")
        if not is_end:
            return ""
        text, self._held = self._held, ""
        if self._has_call:
            return self._end_calls()
        self._phase = _Phase.DONE
        return self._calls.opener + text

    def _odd_call(self, text: str, marker: str) -> str:
        """A call whose head is not of the form; text where it is no call at all."""
        assert self._calls is not None
        try:
            decoded = json.loads(text)
        except ValueError:
            decoded = None
        if isinstance(decoded, dict) and isinstance(decoded.get("name"), str):
            parameters, _ = ArgumentsWriter().push(json.dumps(decoded.get("arguments"), ensure_ascii=False))
            return self._begin_call(decoded["name"]) + parameters + CALL_END
        if (bare := self._calls.bare_head.search(text)) is not None:
            return self._begin_call(bare[1].strip()) + CALL_END
        if self._has_call:
            return ""
        self._phase = _Phase.CONTENT
        return self._calls.opener + text + marker

    def _begin_call(self, name: str) -> str:
        block, self._has_call = "" if self._has_call else BLOCK_BEGIN, True
        return block + call_begin(name)

    def _read_arguments(self, *, is_end: bool) -> str:  # noqa: ARG002
        text, self._held = self._arguments.push(self._held)
        if not self._arguments.is_done:
            return text
        self._phase = _Phase.TAIL
        return text + CALL_END

    def _tail(self, *, is_end: bool) -> str:  # noqa: ARG002
        assert self._calls is not None
        position = self._held.find(self._calls.tail)
        closer = -1 if self._calls.closer is None else self._held.find(self._calls.closer)
        if closer >= 0 and (position < 0 or closer < position):
            return self._end_calls()
        if position >= 0:
            self._held = self._held[position + len(self._calls.tail) :]
            self._phase = _Phase.HEAD
        return ""

    def _done(self, *, is_end: bool) -> str:  # noqa: ARG002
        self._held = ""
        return ""

    def _end_calls(self) -> str:
        self._phase = _Phase.DONE
        return BLOCK_END

    def _end_reasoning(self) -> str:
        owed, self._owes_think_end = self._owes_think_end, False
        return THINK_END if owed else ""

    def _take_before(self, markers: list[str], *, is_end: bool) -> tuple[str, str]:
        """The text before the first marker and that marker, which stays held; line feeds before it are dropped."""
        found = min(((at, marker) for marker in markers if (at := self._held.find(marker)) >= 0), default=None)
        if found is not None:
            text, self._held = self._held[: found[0]], self._held[found[0] :]
            return text.rstrip("\n"), found[1]
        cut = len(self._held) if is_end else _num_decided(self._held, markers)
        text, self._held = self._held[:cut], self._held[cut:]
        return text, ""


def _num_decided(text: str, markers: list[str]) -> int:
    """How many characters can no longer be part of a marker, or of the line feeds before one."""
    cut = len(text)
    for size in range(min(len(text), max(map(len, markers)) - 1), 0, -1):
        if any(marker.startswith(text[-size:]) for marker in markers):
            cut = len(text) - size
            break
    return len(text[:cut].rstrip("\n"))


_STEPS = {
    _Phase.LEAD: AnswerTranslator._lead,  # noqa: SLF001
    _Phase.REASONING: AnswerTranslator._reasoning,  # noqa: SLF001
    _Phase.CONTENT: AnswerTranslator._content,  # noqa: SLF001
    _Phase.HEAD: AnswerTranslator._head,  # noqa: SLF001
    _Phase.ARGUMENTS: AnswerTranslator._read_arguments,  # noqa: SLF001
    _Phase.TAIL: AnswerTranslator._tail,  # noqa: SLF001
    _Phase.DONE: AnswerTranslator._done,  # noqa: SLF001
}
