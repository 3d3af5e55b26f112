"""Every rule over one text, and one finding where several claim the same characters."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter

from seekd.guard.addresses import find_emails, find_ips
from seekd.guard.credentials import find_keys
from seekd.guard.numbers import find_cards, find_ibans, find_phones
from seekd.guard.scan import Scan
from seekd.guard.settings import RULES, GuardSettings
from seekd.guard.types import Finding, Redactor

Find = Callable[[Scan], Iterable[Finding]]

_BUILT_IN = frozenset(RULES)
_MIN_CHARS = 6
"""a@b.cc"""
_SIGNS = re.compile(r"[0-9@]|[A-Za-z_-]{20}|-----BEGIN")
"""One of these is in everything that a built-in rule finds."""
_MAX_GLANCE_CHARS = 200
"""Longer texts are not read for signs first: the rules look at more at once."""
_start = attrgetter("start")


class RuleBook:
    """Knows every rule by its name.

    Args:
        settings: own patterns and regions.
        extensions: redactors by the name of their rule.

    Attributes:
        extensions: the names of their rules.
    """

    def __init__(self, settings: GuardSettings, extensions: Mapping[str, Redactor] | None = None) -> None:
        # The order is the precedence: what is more certain, or one's own, wins the characters.
        self._finders: dict[str, Find] = {
            setting.rule: partial(_find_pattern, setting.rule, re.compile(setting.pattern))
            for setting in settings.patterns
        }
        self._finders |= {
            "key": find_keys,
            "email": find_emails,
            "iban": find_ibans,
            "card": find_cards,
            "ip": find_ips,
            "phone": partial(find_phones, regions=settings.phone_regions),
        }
        extensions = extensions or {}
        self._finders |= {name: partial(_find_by_extension, name, redactor) for name, redactor in extensions.items()}
        self.extensions = frozenset(extensions)

    @property
    def names(self) -> Sequence[str]:
        """Of every rule."""
        return tuple(self._finders)

    def find(self, text: str, rules: Iterable[str]) -> list[Finding]:
        """What some rules find.

        Args:
            text: of any length; a million characters cost 15 ms of prose, 0.5 s of what looks like findings all over.
            rules: by name.

        Returns:
            In order, none overlapping.
        """
        wanted = frozenset(rules)
        if not _may_hold_something(text):
            wanted -= _BUILT_IN
        if not wanted:
            return []
        scan = Scan(text)
        return _apart(find(scan) for name, find in self._finders.items() if name in wanted)


def _may_hold_something(text: str) -> bool:
    """Whether a built-in rule has to look: a request has thousands of names and short values that have nothing."""
    return len(text) >= _MIN_CHARS and (len(text) > _MAX_GLANCE_CHARS or _SIGNS.search(text) is not None)


def _apart(rules: Iterable[Iterable[Finding]]) -> list[Finding]:
    """The findings of all rules by their places, without those that overlap one of an earlier rule, or of their own."""
    taken: list[Finding] = []
    for findings in rules:
        starts = [finding.start for finding in taken]
        free: list[Finding] = []
        for finding in sorted(findings, key=_start):
            place = bisect(starts, finding.start)
            is_free_before = (place == 0 or taken[place - 1].end <= finding.start) and (
                not free or free[-1].end <= finding.start
            )
            if is_free_before and (place == len(taken) or finding.end <= starts[place]):
                free.append(finding)
        taken = sorted(taken + free, key=_start)  # two runs in order: one pass
    return taken


def _find_pattern(rule: str, pattern: re.Pattern[str], scan: Scan) -> Iterable[Finding]:
    label = _label(rule)
    return [
        Finding(start=match.start(), end=match.end(), rule=rule, label=label)
        for match in pattern.finditer(scan.text)
        if match.end() > match.start()
    ]


def _find_by_extension(name: str, redactor: Redactor, scan: Scan) -> Iterable[Finding]:
    return [replace(finding, rule=name, label=_label(finding.label)) for finding in redactor.find(scan.text)]


def _label(name: str) -> str:
    return re.sub("[^A-Z0-9]+", "_", name.upper())
