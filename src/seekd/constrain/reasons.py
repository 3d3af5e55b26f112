"""Why a schema cannot be enforced, in words that say what to do.

llguidance 1.9.1 speaks to its own users, of options that nobody here can set,
and names no place. Its messages are told apart by their text; one that is not known becomes the last sentence here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

_CONTRADICTION = "no value fits, since its conditions exclude each other"
_TOO_COMPLEX = "it is too complex; simplify its patterns, lengths and choices"

_REASONS: Mapping[re.Pattern[str], str] = MappingProxyType(
    {
        re.compile(pattern): reason
        for pattern, reason in (
            (
                r"oneOf constraints are not supported",
                "a value may fit two branches of oneOf; give each a type or a required const of its own, or use anyOf",
            ),
            (
                r"min/maxProperties only supported",
                "a number of properties is enforced only where all are required; use anyOf with one branch a case",
            ),
            (
                r"patternProperty regexes (/.*/) and (/.*/) are not disjoint",
                r"a name may fit both \1 and \2 of patternProperties; change them so that none fits two",
            ),
            (r"too many digits: (.*)", r"multipleOf has too many digits (\1); round it"),
            (r"required property '(.*)' is unsatisfiable", r"no value fits the required property '\1'"),
            (r"required item is unsatisfiable", "no value fits an item that minItems asks for"),
            (r"required > maxProperties", "more properties are required than maxProperties allows"),
            (r"Regex is empty", "no text fits all of its patterns, lengths and fixed values"),
            (r"Unsatisfiable schema: ((?:min|range|integer).*)", r"no value fits: \1"),
            (r"Unsatisfiable schema", _CONTRADICTION),
            (
                r"circular references with sibling keys",
                "a $ref that leads back to itself cannot stand beside other keywords; write them into what it leads to",
            ),
            (r"lookarounds? |look-around", "look-around, word borders and anchors inside cannot be enforced"),
            (r"backreferences", "back references cannot be enforced"),
            (r"^error: (.*)", r"\1"),
        )
    }
)


def in_plain_words(message: str) -> str:
    """What a message of llguidance means for the one who wrote the schema, without a full stop."""
    for pattern, reason in _REASONS.items():
        if found := pattern.search(message):
            return found.expand(reason).rstrip(".")
    return _TOO_COMPLEX
