"""Schemas that refer to themselves without an end, which no finite value fits.

Imports nothing of ours but the resolution of references. The grammar would force such a value on and
on; here it becomes the schema `false`, which says the same and is refused, or left out, like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from seekd.constrain.keywords import SCHEMA_LISTS, SCHEMA_MAPS, SCHEMA_SINGLE

MAX_LOOKS = 20_000
"""Most schemas looked at; beyond it a schema counts as one with an end. References can unfold without end."""

Resolve = Callable[[object, str], object | None]


def without_endless(document: dict[str, object], resolve: Resolve) -> dict[str, object] | None:
    """A copy of a checked schema with `false` in the place of each endless part; None when it is endless itself.

    Args:
        document: its references lead into itself.
        resolve: finds what a reference leads to.
    """
    look = _Look(root=document, resolve=resolve)
    replaced = look.replaced(document)
    return replaced if isinstance(replaced, dict) else None


@dataclass(slots=True)
class _Look:
    root: Mapping[str, object]
    resolve: Resolve
    num_left: int = MAX_LOOKS

    def replaced(self, schema: object) -> object:
        if not isinstance(schema, Mapping):
            return schema
        if not self.ends(schema, frozenset()):
            return False
        return {keyword: self.replaced_in(keyword, value) for keyword, value in schema.items()}

    def replaced_in(self, keyword: str, value: object) -> object:
        if keyword in SCHEMA_MAPS and isinstance(value, Mapping):
            return {name: self.replaced(item) for name, item in value.items()}
        if keyword in SCHEMA_LISTS and isinstance(value, list):
            return [self.replaced(item) for item in value]
        return self.replaced(value) if keyword in SCHEMA_SINGLE else value

    def ends(self, schema: object, references: frozenset[str]) -> bool:
        """Whether some finite value may fit. A smallest one repeats no reference on the way to any of its parts."""
        self.num_left -= 1
        if self.num_left < 0 or not isinstance(schema, Mapping):
            return True
        reference = schema.get("$ref")
        if isinstance(reference, str) and (
            reference in references or not self.ends(self.resolve(self.root, reference), references | {reference})
        ):
            return False
        if not all(self.ends(branch, references) for branch in _list(schema, "allOf")):
            return False
        for keyword in ("anyOf", "oneOf"):
            branches = _list(schema, keyword)
            if branches and not any(self.ends(branch, references) for branch in branches):
                return False
        return self.ends_by_type(schema, references)

    def ends_by_type(self, schema: Mapping[str, object], references: frozenset[str]) -> bool:
        types = schema.get("type")
        names = types if isinstance(types, list) else [types]
        if schema.keys() & {"enum", "const"} or not set(names) <= {"object", "array"}:
            return True
        return ("object" in names and self.object_ends(schema, references)) or (
            "array" in names and self.array_ends(schema, references)
        )

    def object_ends(self, schema: Mapping[str, object], references: frozenset[str]) -> bool:
        properties = schema.get("properties")
        others = schema.get("additionalProperties", True)
        known = properties if isinstance(properties, Mapping) else {}
        return all(self.ends(known.get(name, others), references) for name in _list(schema, "required"))

    def array_ends(self, schema: Mapping[str, object], references: frozenset[str]) -> bool:
        count = schema.get("minItems", 0)
        assert isinstance(count, int)
        first = _list(schema, "prefixItems")[:count]
        rest = [schema.get("items", True)] if count > len(first) else []
        return all(self.ends(item, references) for item in [*first, *rest])


def _list(schema: Mapping[str, object], keyword: str) -> Sequence[object]:
    value = schema.get(keyword)
    return value if isinstance(value, list) else ()
