"""Every rule over one text, and one finding where several claim the same characters.

Room: guard. May import: guard.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from seekd.guard.addresses import find_emails, find_ips
from seekd.guard.credentials import find_keys
from seekd.guard.numbers import find_cards, find_ibans, find_phones
from seekd.guard.scan import Scan
from seekd.guard.settings import GuardSettings
from seekd.guard.types import Finding, Redactor

Find = Callable[[Scan], Iterable[Finding]]


class RuleBook:
    """Knows every rule by its name.

    Args:
        settings: own patterns and regions.
        extensions: redactors by the name of their rule.
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
        self._finders |= {
            name: partial(_find_by_extension, name, redactor) for name, redactor in (extensions or {}).items()
        }

    @property
    def names(self) -> Sequence[str]:
        """Of every rule."""
        return tuple(self._finders)

    def find(self, text: str, rules: Iterable[str]) -> list[Finding]:
        """What some rules find.

        Args:
            text: of any length; costs about 20 ms a million characters.
            rules: by name.

        Returns:
            In order, none overlapping.
        """
        wanted = frozenset(rules)
        scan = Scan(text)
        found = [finding for name, find in self._finders.items() if name in wanted for finding in find(scan)]
        return _apart(found)


def _apart(found: Iterable[Finding]) -> list[Finding]:
    """Those that overlap no earlier one, by their places."""
    starts: list[int] = []
    taken: list[Finding] = []
    for finding in found:
        place = bisect(starts, finding.start)
        is_free_before = place == 0 or taken[place - 1].end <= finding.start
        if is_free_before and (place == len(taken) or finding.end <= starts[place]):
            starts.insert(place, finding.start)
            taken.insert(place, finding)
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
