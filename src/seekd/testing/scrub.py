"""Takes secrets and personal data out of an exchange before anything of it is written.

    request and answer ──texts──> findings of the guard's rules, and the very key that was sent ──> [EMAIL_1], [KEY_1] …

Equal values have equal placeholders in request and answer. A text that a stream sends in pieces is looked at as a
whole: what spans several pieces is replaced in the first of them and gone from the others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from seekd.errors import ConfigError
from seekd.guard.finding import RuleBook
from seekd.guard.placeholders import Placeholders
from seekd.guard.settings import GuardSettings
from seekd.guard.types import Finding

Json = Any
"""Whatever JSON holds."""

SECRETS = "key"
"""The rule that always holds: keys and tokens of known services."""

_SECRET_HEADERS = ("authorization", "x-api-key", "api-key", "cookie", "proxy-authorization")
_LEAST_SECRET_CHARS = 6
_PIECES = frozenset({"content", "reasoning_content", "arguments", "text", "thinking", "partial_json", "delta"})
"""Members of events that hold a piece of a longer text; others are whole."""


class Scrubber:
    """Scrubs one exchange.

    Args:
        rules: names of the guard's rules, besides that of keys.
        headers: of the request; what proves who asked is taken out wherever it stands.

    Raises:
        ConfigError: there is no such rule.
    """

    def __init__(self, rules: Iterable[str], headers: Mapping[str, str]) -> None:
        self._book = RuleBook(GuardSettings())
        self._rules = (SECRETS, *(rule for rule in rules if rule != SECRETS))
        if unknown := sorted(set(self._rules) - set(self._book.names)):
            raise ConfigError(f"There is no rule {', '.join(unknown)}; there are {', '.join(self._book.names)}.")
        self._secrets = tuple(_secrets(headers))
        self._placeholders = Placeholders()

    def text(self, text: str) -> str:
        """A text with placeholders."""
        return self._placeholders.hide(text, self._find(text))

    def value(self, value: Json) -> Json:
        """JSON with placeholders in its texts and names."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(name): self.value(item) for name, item in value.items()}
        return value

    def events(self, blocks: Sequence[str]) -> list[str]:
        """The blocks of an event stream with placeholders, also for what several blocks hold together."""
        events = [_Event.read(block) for block in blocks]
        channels: dict[object, list[_Place]] = {}
        for event in events:
            if event is not None:
                for place in event.places():
                    channels.setdefault(place.channel, []).append(place)
        for places in channels.values():
            self._scrub_channel(places)
        return [
            self.text(block) if event is None else event.written() for block, event in zip(blocks, events, strict=True)
        ]

    def _scrub_channel(self, places: Sequence[_Place]) -> None:
        whole = "".join(place.text for place in places)
        position = 0
        findings = self._find(whole)
        for place in places:
            start, end = position, position + len(place.text)
            position = end
            inside = [one for one in findings if one.start < end and one.end > start]
            parts, at = [], start
            for finding in inside:
                parts.append(whole[at : max(at, finding.start)])
                if finding.start >= start:  # the others have put their placeholder into an earlier piece
                    parts.append(self._placeholders.hide(whole[finding.start : finding.end], [_moved(finding)]))
                at = min(end, finding.end)
            place.set("".join((*parts, whole[at:end])))

    def _find(self, text: str) -> list[Finding]:
        found = self._book.find(text, self._rules)
        for secret in self._secrets:
            start = text.find(secret)
            while start >= 0:
                end = start + len(secret)
                found = [one for one in found if one.end <= start or one.start >= end]
                found.append(Finding(start=start, end=end, rule=SECRETS, label="KEY"))
                start = text.find(secret, end)
        return sorted(found, key=lambda one: one.start)


def _moved(finding: Finding) -> Finding:
    length = finding.end - finding.start
    return Finding(start=0, end=length, rule=finding.rule, label=finding.label)


def _secrets(headers: Mapping[str, str]) -> Iterator[str]:
    for name in _SECRET_HEADERS:
        value = headers.get(name, "")
        for secret in {value, value.rpartition(" ")[2]}:
            if len(secret) >= _LEAST_SECRET_CHARS:
                yield secret


@dataclass(frozen=True, slots=True)
class _Place:
    # A text in the JSON of an event; places of one channel are pieces of one text.
    channel: object
    text: str
    set: Callable[[str], None]


@dataclass(slots=True)
class _Event:
    lines: list[str]
    number: int
    data: Json = field(default=None)

    @classmethod
    def read(cls, block: str) -> _Event | None:
        """An event with one line of JSON; None for anything else."""
        lines = block.split("\n")
        numbers = [i for i, line in enumerate(lines) if line.startswith("data:")]
        if len(numbers) != 1:
            return None
        try:
            data = json.loads(lines[numbers[0]][5:])
        except ValueError:
            return None
        return cls(lines, numbers[0], data) if isinstance(data, dict) else None

    def places(self) -> Iterator[_Place]:
        yield from _places(self.data, (str(self.data.get("type")),))

    def written(self) -> str:
        lines = list(self.lines)
        lines[self.number] = "data: " + json.dumps(self.data, ensure_ascii=False, separators=(",", ":"))
        return "\n".join(lines)


def _places(value: Json, path: tuple[object, ...]) -> Iterator[_Place]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    # Pieces of several calls or blocks stand at one place and have a number beside them.
    number = value.get("index", value.get("output_index")) if isinstance(value, dict) else None
    for name, item in items:
        here = (*path, number, name)
        if isinstance(item, str):
            channel = here if name in _PIECES else object()
            yield _Place(channel, item, partial(value.__setitem__, name))
        else:
            yield from _places(item, here)
