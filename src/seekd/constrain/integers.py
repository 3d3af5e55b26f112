"""Bounds of numbers as the grammar can keep them.

Integers that a schema leaves open get some: a model that wanders among digits would never end one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from seekd.constrain.keywords import SCHEMA_LISTS, SCHEMA_MAPS, SCHEMA_SINGLE

LARGEST_INTEGER = 2**63 - 1024
"""The largest double that 64 bits with a sign hold, so that every identifier of a database fits."""


def _at_most(largest: int) -> str:
    """An expression for the whole numbers from `-largest` to `largest`, which has more than one digit."""
    digits = str(largest)
    branches = ["0", f"[1-9][0-9]{{0,{len(digits) - 2}}}"]
    for index, digit in enumerate(digits):
        below = int(digit) - 1
        least = 1 if index == 0 else 0
        if below >= least:
            rest = len(digits) - index - 1
            branches.append(f"{digits[:index]}[{least}-{below}][0-9]{{{rest}}}")
    return f"-?({'|'.join([*branches, digits])})"


ANY_INTEGER: Mapping[str, object] = MappingProxyType(
    {"type": "integer", "minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER}
)
"""What `{"type": "integer"}` becomes."""
ANY_INTEGER_EXPRESSION = _at_most(LARGEST_INTEGER)
"""The same; llguidance's own one has a branch for each length and sign, and compiling it takes a millisecond."""

_PLACES = (SCHEMA_MAPS | SCHEMA_SINGLE | {"prefixItems"}) - {"patternProperties"}


_OWN_BOUNDS = (f', "minimum": {-LARGEST_INTEGER}', f', "maximum": {LARGEST_INTEGER}')


def without_own_bounds(grammar: str) -> str:
    """The same grammar without the bounds that only `with_bounds` has set, which are up to half of its compile time.

    For those who need not hold to them. A checked schema has no other number of that size, and quotes in a fixed text
    are escaped, so nothing else is taken out.
    """
    for bound in _OWN_BOUNDS:
        grammar = grammar.replace(bound, "")
    return grammar


def with_bounds(schema: dict[str, object]) -> dict[str, object]:
    """Bound an integer on the sides where the checked schema does not; any other schema is returned as it is."""
    types = schema.get("type")
    names = types if isinstance(types, list) else [types]
    # A multiple within bounds would multiply the states of both; fractions and exponents make a number unending anyway.
    if "integer" not in names or "number" in names or schema.keys() & {"enum", "const", "multipleOf"}:
        return schema
    bounds: dict[str, object] = {}
    if not schema.keys() & {"minimum", "exclusiveMinimum"}:
        bounds["minimum"] = -LARGEST_INTEGER
    if not schema.keys() & {"maximum", "exclusiveMaximum"}:
        bounds["maximum"] = LARGEST_INTEGER
    return {**schema, **bounds}


def without_whole_exclusions(schema: dict[str, object]) -> dict[str, object]:
    """Take a whole number that a checked schema excludes as a bound out by a billionth, in the place of the exclusion.

    llguidance 1.9.1 (measured) lets 0 through where a number is over 0 and at most 0.5: the excluded number and the
    other bound have the same whole part.
    """
    changed = dict(schema)
    for keyword, other, away in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
        excluded = schema.get(keyword)
        if isinstance(excluded, int | float) and excluded == int(excluded) and schema.get("type") != "integer":
            bound = excluded + away * max(1e-9, math.ulp(excluded))
            del changed[keyword]
            inclusive = schema.get(other, bound)
            assert isinstance(inclusive, int | float)
            changed[other] = max(bound, inclusive) if away > 0 else min(bound, inclusive)
    return changed


def shared(document: Mapping[str, object]) -> Mapping[str, object]:
    """The same schema with equal integers written once, as definitions: each costs a millisecond to compile.

    Branches of a choice stay where they are: whether they can be told apart is not seen through references.
    """
    known = document.get("$defs", {})
    assert isinstance(known, Mapping)
    sharing = _Sharing(known_names=frozenset(known))
    written = sharing.inside(document)
    if not sharing.names:
        return document
    definitions = written.get("$defs", {})
    assert isinstance(definitions, Mapping)
    return {**written, "$defs": {**definitions, **sharing.definitions}}


@dataclass(slots=True)
class _Sharing:
    known_names: frozenset[str]
    names: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, object] = field(default_factory=dict)

    def inside(self, schema: Mapping[str, object]) -> dict[str, object]:
        return {keyword: self.value(keyword, value) for keyword, value in schema.items()}

    def value(self, keyword: str, value: object) -> object:
        may_refer = keyword in _PLACES
        if keyword in SCHEMA_MAPS and isinstance(value, Mapping):
            return {name: self.schema(item, may_refer=may_refer) for name, item in value.items()}
        if keyword in SCHEMA_LISTS and isinstance(value, list):
            return [self.schema(item, may_refer=may_refer) for item in value]
        return self.schema(value, may_refer=may_refer) if keyword in SCHEMA_SINGLE else value

    def schema(self, schema: object, *, may_refer: bool) -> object:
        if not isinstance(schema, Mapping):
            return schema
        if may_refer and _is_long_integer(schema):
            return {"$ref": f"#/$defs/{self.name(schema)}"}
        return self.inside(schema)

    def name(self, schema: Mapping[str, object]) -> str:
        key = json.dumps(schema)
        if key not in self.names:
            name = f"integer_{len(self.names)}"
            while name in self.known_names:
                name += "_"
            self.names[key] = name
            self.definitions[name] = schema
        return self.names[key]


def _is_long_integer(schema: Mapping[str, object]) -> bool:
    bounds = (
        {schema.get("minimum"), schema.get("maximum")} if schema.keys() <= {"type", "minimum", "maximum"} else set()
    )
    return bool(bounds & {-LARGEST_INTEGER, LARGEST_INTEGER})
