"""Pieces of grammar text.

Grammars are written in llguidance's dialect of Lark:
lower-case names are rules, upper-case names are terminals, `&` and `~` combine terminals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from llguidance import regex_to_lark

from seekd.constrain import integers

ANY_TEXT = "/(?s:.*)/"

JSON_OPTIONS: Mapping[str, object] = MappingProxyType(
    {
        "whitespace_flexible": False,
        "item_separator": ", ",
        "key_separator": ": ",
        # No \\u: with it a name can be spelled a second way, past additionalProperties, and half a surrogate pair
        # is not Unicode. Control characters without a letter of their own cannot be written then.
        "json_allowed_escapes": 'nrbtf\\"',
    }
)
"""One spelling of white space, the service's own: free white space lets a model flood, and forces nothing."""


_encode = json.JSONEncoder(ensure_ascii=False).encode  # `dumps` makes one of these each time


def literal(text: str) -> str:
    """A terminal that is exactly `text`."""
    return _encode(text)


def regex(expression: str) -> str:
    """A terminal that matches a whole text by `expression`, whose digits and word characters are ECMA's: ASCII."""
    return f"/{regex_to_lark(expression, 'dw')}/".replace("\n", "\\n")


def json_value(schema: object) -> str:
    """A rule body for JSON of that schema, on one line with fixed white space."""
    if schema == integers.ANY_INTEGER:
        return f"/{integers.ANY_INTEGER_EXPRESSION}/"
    body = integers.shared(schema) if isinstance(schema, Mapping) else {"allOf": [schema]}
    return "%json " + _encode({"x-guidance": dict(JSON_OPTIONS), **body})


def without(text: str) -> str:
    """A terminal for every text in which `text` does not occur."""
    return f"{ANY_TEXT} & ~{regex(f'(?s:.*){escape(text)}(?s:.*)')}"


def escape(text: str) -> str:
    """`text` as an expression that matches just it."""
    return "".join(f"\\{char}" if char in r"\.+*?()|[]{}^$#&-~/" else char for char in text)


def found_in_text(pattern: str) -> str | None:
    """An expression for every text in which `pattern` is found, as JSON Schema reads patterns.

    None when an anchor stands where it cannot be taken out.
    """
    return _anchored(pattern, free_side="(?s:.*)")


def whole_text(pattern: str) -> str | None:
    """An expression for every text that `pattern` matches from end to end; None as for `found_in_text`."""
    return _anchored(pattern, free_side="")


def _anchored(pattern: str, *, free_side: str) -> str | None:
    """Replace the anchors by what may stand beside the match: nothing where one is, `free_side` where none is."""
    branches = []
    for branch in _branches(pattern):
        inner, before, after = branch, free_side, free_side
        if inner.startswith("^"):
            inner, before = inner[1:], ""
        if inner.endswith("$") and not _is_escaped(inner, len(inner) - 1):
            inner, after = inner[:-1], ""
        if _has_anchor(inner):
            return None
        branches.append(f"{before}(?:{inner}){after}")
    return "|".join(branches)


def _branches(pattern: str) -> list[str]:
    """The alternatives at the top level of an expression."""
    branches, start = [], 0
    for index, depth in _plain_characters(pattern):
        if pattern[index] == "|" and depth == 0:
            branches.append(pattern[start:index])
            start = index + 1
    return [*branches, pattern[start:]]


def _has_anchor(pattern: str) -> bool:
    return any(pattern[index] in "^$" for index, _ in _plain_characters(pattern))


def _plain_characters(pattern: str) -> list[tuple[int, int]]:
    """Index and depth in parentheses of each character that is neither escaped nor in a class."""
    plain, depth, index = [], 0, 0
    while index < len(pattern):
        if pattern[index] == "\\":
            index += 2
            continue
        if pattern[index] == "[":
            index = end_of_class(pattern, index)
            continue
        depth += {"(": 1, ")": -1}.get(pattern[index], 0)
        plain.append((index, depth))
        index += 1
    return plain


def end_of_class(pattern: str, start: int) -> int:
    """One past the character class that begins at `start`."""
    index = start + 1
    while index < len(pattern) and pattern[index] != "]":
        index += 2 if pattern[index] == "\\" else 1
    return index + 1


def _is_escaped(pattern: str, index: int) -> bool:
    before = pattern[:index]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1
