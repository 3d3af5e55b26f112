"""Which part of a JSON Schema can be enforced, and why the rest cannot.

A schema is read once, from a caller who may write anything. What comes out holds only keywords that the grammar
enforces, with values of the right shape; everything else is a finding that names its place. Strict callers turn the
findings into a refusal; lenient ones enforce what is left and report them. Dropping a keyword only ever widens what
the schema allows, so what is left is enforced as it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import unquote

from llguidance import LLMatcher

from seekd.constrain.costs import (
    MAX_EXPRESSION_CHARS,
    MAX_REMAINDERS,
    MAX_REPETITIONS,
    num_remainders,
    num_repetitions,
)
from seekd.constrain.endless import without_endless
from seekd.constrain.formats import EQUIVALENTS, FORMAT_PATTERNS
from seekd.constrain.integers import with_bounds, without_whole_exclusions
from seekd.constrain.keywords import IGNORED, REFUSED, TYPES, forbids_nothing
from seekd.constrain.reasons import in_plain_words
from seekd.constrain.tags import are_told_apart
from seekd.constrain.writable import is_writable, writable_pattern
from seekd.errors import InvalidParameter

MAX_SCHEMA_BYTES = 262_144
"""Largest schema as JSON."""
MAX_SCHEMA_DEPTH = 128
"""Deepest nesting of containers; keeps every walk far below Python's recursion limit."""
MAX_PROPERTIES = 500
"""Most properties of one object and branches of one choice; the parser holds one item for each at a time, of 2,000."""
MAX_SUBSCHEMAS = 4_000
"""Most subschemas in one document; each is a lexeme at worst, and lexemes cost each other."""
MAX_MERGED_PATTERNS = 10
"""Most different patterns in a schema that merges conditions as often: whether texts are left that satisfy all of them
is found out in time exponential in their number, 0.2 s for 9 and 90 s for 15."""
LARGEST_EXACT = 2**53
"""Bounds beyond it lose digits in the double that the grammar computes with."""

_CONTROL_CHARACTERS = "control characters without a short escape cannot be written"

# In a class, ECMA 262 reads these as plain characters and the grammar's dialect as set operations.
_SET_OPERATION = re.compile(r"\[(?:\\.|[^\]\\])*?(?:&&|--|~~|\[)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One part of a schema that is not enforced.

    Attributes:
        path: where, as keywords joined by dots; empty for the root.
        reason: why, for the user.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSchema:
    """A schema of enforceable keywords only.

    Attributes:
        schema: a new document, with `format` replaced by its pattern.
        findings: what was dropped; empty when the whole schema is enforced.
    """

    schema: dict[str, object]
    findings: tuple[Finding, ...]


def check_schema(schema: object, *, name: str) -> CheckedSchema:
    """Keep what can be enforced of `schema`.

    Args:
        schema: parsed JSON.
        name: what to call the schema in an error.

    Raises:
        InvalidParameter: it is no schema at all, or beyond the limits of size and depth.
    """
    if schema is True:
        schema = {}
    if not isinstance(schema, Mapping):
        raise InvalidParameter(f"{name} must be a JSON Schema object.")
    _check_limits(schema, name=name)
    walk = _Walk(root=schema)
    kept = walk.keywords(schema, ())
    ended = without_endless(kept, resolve) if walk.has_references else kept
    walk.check_totals(name)
    if ended is None:
        raise InvalidParameter(f"{name} refers to itself without an end, so no value can fit it.")
    return CheckedSchema(schema=ended, findings=tuple(walk.findings))


def resolve(root: object, reference: str) -> object | None:
    """What a reference by path leads to in `root`; None when it leads nowhere. Source: RFC 6901, section 6."""
    place = root
    for part in reference.removeprefix("#").split("/")[1:]:
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(place, Mapping) and key in place:
            place = place[key]
        elif isinstance(place, list) and key.isdecimal() and int(key) < len(place):
            place = place[int(key)]
        else:
            return None
    return place


def _check_limits(schema: Mapping[str, object], *, name: str) -> None:
    level: list[object] = [schema]
    for _ in range(MAX_SCHEMA_DEPTH):
        level = [inner for item in level if isinstance(item, Mapping | list) for inner in _inner(item)]
    if level:
        raise InvalidParameter(f"{name} is nested too deeply to be enforced.")
    try:
        num_bytes = len(json.dumps(schema, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, TypeError) as error:  # NaN, or a lone surrogate that UTF-8 cannot carry
        raise InvalidParameter(f"{name} holds a value that is not valid JSON.") from error
    if num_bytes > MAX_SCHEMA_BYTES:
        raise InvalidParameter(f"{name} is too large to be enforced: {num_bytes} bytes of {MAX_SCHEMA_BYTES}.")


def _inner(item: Mapping[str, object] | list[object]) -> list[object]:
    return list(item.values()) if isinstance(item, Mapping) else item


class _Unenforceable(Exception):
    """The keyword's value is not one that can be enforced."""


@dataclass(slots=True)
class _Walk:
    """One reading of one schema. Readers return what to keep or raise the reason to drop the keyword.

    A reader is called with the value of its keyword and its place; one that has no use for the place calls it `_path`.
    """

    root: Mapping[str, object]
    findings: list[Finding] = field(default_factory=list)
    num_subschemas: int = 0
    num_merged: int = 0  # conditions that may meet others on one value
    num_remainders: int = 0
    patterns: set[str] = field(default_factory=set)
    has_references: bool = False

    def check_totals(self, name: str) -> None:
        if self.num_subschemas > MAX_SUBSCHEMAS:
            raise InvalidParameter(f"{name} has more than {MAX_SUBSCHEMAS} subschemas, too many to be enforced.")
        if min(len(self.patterns), self.num_merged) > MAX_MERGED_PATTERNS:
            raise InvalidParameter(f"{name} merges too many conditions with patterns to be enforced.")

    def keywords(self, schema: Mapping[str, object], path: tuple[str, ...]) -> dict[str, object]:
        self.num_subschemas += 1
        self.num_merged += "$ref" in schema and len(schema) > 1
        kept: dict[str, object] = {}
        for keyword, value in schema.items():
            if keyword in IGNORED or keyword.startswith("x-") or (keyword == "$id" and not path):
                continue
            here = (*path, keyword)
            try:
                if (reader := _READERS.get(keyword)) is not None:
                    kept[keyword] = reader(self, value, here)
                elif not forbids_nothing(keyword, value):
                    raise _Unenforceable(REFUSED.get(keyword, "unknown keyword"))
            except _Unenforceable as dropped:
                self.findings.append(Finding(path=".".join(here), reason=str(dropped)))
        self.drop_unsafe_count(kept, path)
        branches = kept.get("oneOf")
        if isinstance(branches, list) and "anyOf" not in kept and are_told_apart(branches, self.root, resolve):
            kept = {"anyOf" if keyword == "oneOf" else keyword: value for keyword, value in kept.items()}
        return with_bounds(without_whole_exclusions(_format_as_pattern(kept)))

    def drop_unsafe_count(self, kept: dict[str, object], path: tuple[str, ...]) -> None:
        """The grammar lets an additional name come twice, which would count once for the reader of the JSON."""
        minimum, required = kept.get("minProperties", 0), kept.get("required", [])
        assert isinstance(minimum, int)
        assert isinstance(required, list)
        if minimum <= len(required):
            kept.pop("minProperties", None)
        elif minimum > 1:
            del kept["minProperties"]
            reason = "more properties than the required ones cannot be enforced"
            self.findings.append(Finding(path=".".join((*path, "minProperties")), reason=reason))

    def schema(self, value: object, path: tuple[str, ...]) -> object:
        if isinstance(value, bool):
            return value
        if isinstance(value, Mapping):
            return self.keywords(value, path)
        if isinstance(value, list):
            raise _Unenforceable("a list of schemas belongs to an older draft; use prefixItems")
        raise _Unenforceable("a schema must be an object or a boolean")

    def schemas(self, value: object, path: tuple[str, ...]) -> object:
        branches = _filled_list(value)
        if len(branches) > MAX_PROPERTIES:
            raise _Unenforceable(f"at most {MAX_PROPERTIES} branches can be enforced")
        if path[-1] == "allOf":
            self.num_merged += len(branches)
        return [self.schema(item, (*path, str(index))) for index, item in enumerate(branches)]

    def named_schemas(self, value: object, path: tuple[str, ...]) -> object:
        if not isinstance(value, Mapping):
            raise _Unenforceable("must be an object of schemas")
        if len(value) > MAX_PROPERTIES and path[-1] == "properties":
            raise _Unenforceable(f"at most {MAX_PROPERTIES} properties of one object can be enforced")
        return {str(name): self.schema(item, (*path, str(name))) for name, item in value.items()}

    def pattern_schemas(self, value: object, path: tuple[str, ...]) -> object:
        if isinstance(value, Mapping):
            patterns = {self.pattern(pattern, path): item for pattern, item in value.items()}
            self.num_merged += len(patterns)
            return self.named_schemas(patterns, path)
        return self.named_schemas(value, path)

    def type_names(self, value: object, _path: tuple[str, ...]) -> object:
        names = value if isinstance(value, list) else [value]
        if not names or not all(isinstance(name, str) and name in TYPES for name in names):
            raise _Unenforceable(f"must be one or more of {', '.join(TYPES)}")
        return value

    def names(self, value: object, _path: tuple[str, ...]) -> object:
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise _Unenforceable("must be a list of property names")
        return list(dict.fromkeys(value))

    def values(self, value: object, path: tuple[str, ...]) -> object:
        for item in _filled_list(value):
            self.constant(item, path)
        return value

    def constant(self, value: object, _path: tuple[str, ...]) -> object:
        if any(isinstance(number, int | float) and abs(number) > LARGEST_EXACT for number in _leaves(value)):
            raise _Unenforceable(f"numbers beyond {LARGEST_EXACT} cannot be written exactly")
        if not all(is_writable(text) for text in _leaves(value) if isinstance(text, str)):
            raise _Unenforceable(_CONTROL_CHARACTERS)
        return value

    def bound(self, value: object, _path: tuple[str, ...]) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _Unenforceable("must be a number")
        if abs(value) > LARGEST_EXACT:
            raise _Unenforceable(f"numbers beyond {LARGEST_EXACT} cannot be compared exactly")
        return value

    def step(self, value: object, path: tuple[str, ...]) -> object:
        if self.bound(value, path) == 0 or str(value).startswith("-"):
            raise _Unenforceable("must be greater than 0")
        assert isinstance(value, int | float)
        self.num_remainders += num_remainders(value)
        if self.num_remainders > MAX_REMAINDERS:
            raise _Unenforceable(f"the multiples of a schema may have at most {MAX_REMAINDERS} remainders together")
        return value

    def count(self, value: object, _path: tuple[str, ...]) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
            raise _Unenforceable("must be a whole number, 0 or more")
        return int(value)

    def pattern(self, value: object, _path: tuple[str, ...]) -> object:
        if not isinstance(value, str):
            raise _Unenforceable("must be a regular expression")
        if len(value) > MAX_EXPRESSION_CHARS:
            raise _Unenforceable(f"the expression has more than {MAX_EXPRESSION_CHARS} characters")
        if num_repetitions(value) > MAX_REPETITIONS:
            raise _Unenforceable(f"the expression repeats a piece more than {MAX_REPETITIONS} times")
        if (narrowed := writable_pattern(EQUIVALENTS.get(value, value))) is None:
            raise _Unenforceable(_CONTROL_CHARACTERS)
        value = narrowed
        if _SET_OPERATION.search(value):
            raise _Unenforceable("the expression has a [ or a doubled &, - or ~ in a character class; escape it")
        self.patterns.add(value)
        error = LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema({"type": "string", "pattern": value}))
        if error:
            raise _Unenforceable(
                f"the expression cannot be enforced ({in_plain_words(error.strip().splitlines()[-1])})"
            )
        return value

    def format_name(self, value: object, _path: tuple[str, ...]) -> object:
        if not isinstance(value, str) or value not in FORMAT_PATTERNS:
            raise _Unenforceable(f"unknown format, expected one of {', '.join(FORMAT_PATTERNS)}")
        self.patterns.add(FORMAT_PATTERNS[value])
        return value

    def reference(self, value: object, _path: tuple[str, ...]) -> object:
        if not isinstance(value, str) or not (value == "#" or value.startswith("#/")):
            raise _Unenforceable("only references by path (#/$defs/name) are resolved")
        if not isinstance(resolve(self.root, value), Mapping | bool):
            raise _Unenforceable("the reference leads to no schema")
        self.has_references = True
        return value


def _filled_list(value: object) -> list[object]:
    if not isinstance(value, list) or not value:
        raise _Unenforceable("must be a list that is not empty")
    return value


def _leaves(value: object) -> list[object]:
    if isinstance(value, Mapping | list):
        return [leaf for inner in _inner(value) for leaf in _leaves(inner)]
    return [value]


def _format_as_pattern(kept: dict[str, object]) -> dict[str, object]:
    """`format` becomes a pattern; beside a pattern it becomes one more condition."""
    name = kept.pop("format", None)
    if name is None:
        return kept
    pattern = FORMAT_PATTERNS[str(name)]
    if "pattern" not in kept:
        return {**kept, "pattern": pattern}
    others = kept.get("allOf")
    return {**kept, "allOf": [*(others if isinstance(others, list) else ()), {"pattern": pattern}]}


_READERS: Mapping[str, Callable[[_Walk, object, tuple[str, ...]], object]] = MappingProxyType(
    {
        "type": _Walk.type_names,
        "enum": _Walk.values,
        "const": _Walk.constant,
        "anyOf": _Walk.schemas,
        "oneOf": _Walk.schemas,
        "allOf": _Walk.schemas,
        "$ref": _Walk.reference,
        "$defs": _Walk.named_schemas,
        "$def": _Walk.named_schemas,  # the service's own documentation spells it so too
        "definitions": _Walk.named_schemas,
        "properties": _Walk.named_schemas,
        "patternProperties": _Walk.pattern_schemas,
        "additionalProperties": _Walk.schema,
        "required": _Walk.names,
        "minProperties": _Walk.count,
        "maxProperties": _Walk.count,
        "items": _Walk.schema,
        "prefixItems": _Walk.schemas,
        "minItems": _Walk.count,
        "maxItems": _Walk.count,
        "pattern": _Walk.pattern,
        "format": _Walk.format_name,
        "minLength": _Walk.count,
        "maxLength": _Walk.count,
        "minimum": _Walk.bound,
        "maximum": _Walk.bound,
        "exclusiveMinimum": _Walk.bound,
        "exclusiveMaximum": _Walk.bound,
        "multipleOf": _Walk.step,
    }
)
