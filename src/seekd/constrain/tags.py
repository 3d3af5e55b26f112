"""Objects that a tag tells apart, so that `oneOf` of them is `anyOf`.

Imports nothing of ours but the resolution of references. llguidance 1.9.1 (measured) sees that of
branches that are written out, and not of references, as which schema libraries write tagged unions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from seekd.constrain.endless import Resolve

_MAX_REFERENCES = 8
"""Longest chain of references that is followed."""


def are_told_apart(branches: Sequence[object], root: object, resolve: Resolve) -> bool:
    """Whether every branch takes objects only, and one property that all require has other fixed values in each.

    Args:
        branches: of `oneOf`.
        root: the document that references lead into.
        resolve: finds what a reference leads to.
    """
    objects = [_target(branch, root, resolve) for branch in branches]
    if not all(isinstance(one, Mapping) and one.get("type") == "object" for one in objects):
        return False
    tags = [_tags(one) for one in objects if isinstance(one, Mapping)]
    shared = set.intersection(*map(set, tags))
    return any(_are_disjoint([one[name] for one in tags]) for name in shared)


def _target(branch: object, root: object, resolve: Resolve) -> object:
    for _ in range(_MAX_REFERENCES):
        if not isinstance(branch, Mapping) or "$ref" not in branch:
            return branch
        branch = resolve(root, str(branch["$ref"]))
    return None


def _tags(schema: Mapping[str, object]) -> dict[str, list[str]]:
    """Required properties with fixed values, and these as JSON."""
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, Mapping) or not isinstance(required, list):
        return {}
    return {
        name: [json.dumps(value) for value in values]
        for name, member in properties.items()
        if name in required and (values := _fixed(member))
    }


def _fixed(member: object) -> list[object]:
    if not isinstance(member, Mapping):
        return []
    values = [member["const"]] if "const" in member else member.get("enum")
    # 1 and 1.0 are one value with two spellings.
    return values if isinstance(values, list) and all(isinstance(one, str | int | None) for one in values) else []


def _are_disjoint(sets: Sequence[Sequence[str]]) -> bool:
    return len({value for values in sets for value in set(values)}) == sum(len(set(values)) for values in sets)
