"""Where a JSON Schema has texts that somebody wrote: names of properties, values, descriptions, patterns; not keywords.

A visited schema is still one, and what fits it fits the caller's once the originals are back: names change wherever
they stand, in references too; placeholders in a pattern stand for themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

from seekd.constrain.keywords import ENFORCED, IGNORED, REFUSED, SCHEMA_MAPS, TYPES
from seekd.guard.placeholders import LOOKS_LIKE_ONE

Visit = Callable[[str], str]

_KEYWORDS = frozenset(ENFORCED) | IGNORED | frozenset(REFUSED)
_NAMED = SCHEMA_MAPS | {"dependentSchemas", "dependentRequired", "dependencies"}
_VALUES = frozenset(("const", "default", "enum", "example", "examples"))
_CHOICES = ("const", "enum")
_OF_TEXTS = ("format", "pattern", "minLength", "maxLength")


def with_leaves(value: Any, visit: Visit) -> Any:
    """Any JSON, with what `visit` makes of each text and of each name of a member."""
    if isinstance(value, str):
        return visit(value)
    if isinstance(value, list):
        return [with_leaves(entry, visit) for entry in value]
    if isinstance(value, dict):
        return {visit(key): with_leaves(member, visit) for key, member in value.items()}
    return value


def with_pattern(pattern: str, visit: Visit) -> str:
    """A regular expression with what `visit` makes of it; a placeholder in it is no class of characters."""
    changed = visit(pattern)
    return changed if changed == pattern else LOOKS_LIKE_ONE.sub(lambda match: re.escape(match[0]), changed)


def with_schema_texts(schema: Any, visit: Visit) -> Any:
    """The schema with what `visit` makes of each of its texts."""
    if isinstance(schema, str):
        return visit(schema)
    if isinstance(schema, list):
        return [with_schema_texts(entry, visit) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {
        keyword if keyword in _KEYWORDS else visit(keyword): _value(keyword, value, visit)
        for keyword, value in schema.items()
    }
    if any(changed.get(keyword) != schema.get(keyword) for keyword in _CHOICES):
        # A placeholder is no e-mail address and has its own length: what may be chosen is already said.
        for keyword in _OF_TEXTS:
            changed.pop(keyword, None)
    return changed


def _value(keyword: str, value: Any, visit: Visit) -> Any:
    if keyword in _VALUES:
        return with_leaves(value, visit)
    if keyword == "type":
        return with_leaves(value, lambda name: name if name in TYPES else visit(name))
    if isinstance(value, dict) and keyword in _NAMED:
        name = with_pattern if keyword == "patternProperties" else _name
        return {name(key, visit): with_schema_texts(member, visit) for key, member in value.items()}
    if isinstance(value, str) and keyword == "pattern":
        return with_pattern(value, visit)
    if isinstance(value, str) and keyword == "$ref":
        return "/".join(_reference_part(part, visit) for part in value.split("/"))
    return with_schema_texts(value, visit)


def _name(name: str, visit: Visit) -> str:
    return visit(name)


def _reference_part(part: str, visit: Visit) -> str:
    """One name of a path. Source: RFC 6901, section 6."""
    if part in ("#", "") or part in _KEYWORDS:
        return part
    name = unquote(part).replace("~1", "/").replace("~0", "~")
    changed = visit(name)
    return part if changed == name else quote(changed.replace("~", "~0").replace("/", "~1"))
