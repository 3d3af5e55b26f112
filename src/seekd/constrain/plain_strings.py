"""Whether a grammar's strings are limited by their length alone.

Read in the API process, where the schemas are; the engine process is told by
the first line of the grammar.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

PLAIN_STRINGS = "// strings are limited by their length alone, and some by that\n"
"""First line of a grammar of which that is true."""

_NON_STRINGS = ("null", "integer", "number", "boolean")


def header(schemas: Iterable[object]) -> str:
    """The first line of a grammar of these schemas: `PLAIN_STRINGS`, or nothing.

    The strings are plain when no pattern limits them and no fixed text competes with them. A choice between schemas
    that may both hold strings counts as a competition wherever there are fixed texts. Names and data that look like
    keywords make the answer nothing, never the other way round.

    Args:
        schemas: as they came from the caller.
    """
    has_texts = has_choice = has_limit = False
    rest = list(schemas)
    while rest:
        item = rest.pop()
        if isinstance(item, list):
            rest += item
        if not isinstance(item, Mapping):
            continue
        if item.keys() & {"pattern", "patternProperties", "format"}:
            return ""
        has_texts |= bool(item.keys() & {"enum", "const"})
        has_choice |= any(_is_choice(item.get(keyword)) for keyword in ("anyOf", "oneOf"))
        has_limit |= "maxLength" in item
        rest += item.values()
    return PLAIN_STRINGS if has_limit and not (has_texts and has_choice) else ""


def _is_choice(branches: object) -> bool:
    if not isinstance(branches, list):
        return False
    return sum(not isinstance(one, Mapping) or one.get("type") not in _NON_STRINGS for one in branches) > 1
