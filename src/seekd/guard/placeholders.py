"""Placeholders for what was taken out of a request, and the way back.

Lives as long as its request; nothing of it is kept.

    Write to ann@example.com   ──hide──>   Write to [EMAIL_1]   ──model──>   Dear [EMAIL_1],   ──restore──>   Dear ann@…
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from seekd.guard.types import Finding

LOOKS_LIKE_ONE = re.compile(r"\[[A-Z0-9_]+_[0-9]+\]")


class Placeholders:
    """The placeholders of one request: equal values have the same one, numbered as they come.

    Numbers follow the order of the texts, so that a conversation that grows keeps its prefix.

    Args:
        texts: of the request; what looks like a placeholder there is not used as one.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._taken = {found for text in texts if "[" in text for found in LOOKS_LIKE_ONE.findall(text)}
        self._by_value: dict[tuple[str, str], str] = {}
        self._values: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    @property
    def values(self) -> Mapping[str, str]:
        """What each placeholder stands for."""
        return self._values

    def hide(self, text: str, findings: Sequence[Finding]) -> str:
        """The text with placeholders for its findings, which are in order and apart."""
        parts: list[str] = []
        position = 0
        for finding in findings:
            parts += (
                text[position : finding.start],
                self._placeholder(finding.label, text[finding.start : finding.end]),
            )
            position = finding.end
        return "".join((*parts, text[position:]))

    def restore(self, text: str, *, json_string: bool = False) -> str:
        """The text with what its placeholders stand for.

        Args:
            text: may hold any of them, each in one piece.
            json_string: the text is JSON, where a placeholder stands inside a string.
        """
        if not self._values or "[" not in text:
            return text
        return LOOKS_LIKE_ONE.sub(lambda match: self._value(match[0], json_string=json_string), text)

    def _placeholder(self, label: str, value: str) -> str:
        known = self._by_value.get((label, value))
        if known is not None:
            return known
        number = self._counts.get(label, 0) + 1
        while f"[{label}_{number}]" in self._taken:
            number += 1
        self._counts[label] = number
        placeholder = self._by_value[label, value] = f"[{label}_{number}]"
        self._values[placeholder] = value
        return placeholder

    def _value(self, placeholder: str, *, json_string: bool) -> str:
        value = self._values.get(placeholder, placeholder)
        return json.dumps(value, ensure_ascii=False)[1:-1] if json_string else value
