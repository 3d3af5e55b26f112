"""Parts of a schema as documents of their own, with what their references lead to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from seekd.constrain.keywords import SCHEMA_LISTS, SCHEMA_MAPS, SCHEMA_SINGLE


def document(schema: object, root: object) -> object:
    """A part of a checked schema as a document: what its references lead to is carried along as `$defs/root`.

    Args:
        schema: the part.
        root: the document that its references lead into.
    """
    moved = _moved(schema)
    if not isinstance(moved, dict) or next(_references(schema), None) is None:
        return schema
    return {**moved, "$defs": {"root": _moved(root)}}


def _references(schema: object) -> Iterator[str]:
    """Every reference in a checked schema."""
    if isinstance(schema, Mapping):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference
        for subschema in _subschemas(schema):
            yield from _references(subschema)


def _subschemas(schema: Mapping[str, object]) -> Iterator[object]:
    for keyword, value in schema.items():
        if keyword in SCHEMA_MAPS and isinstance(value, Mapping):
            yield from value.values()
        elif keyword in SCHEMA_LISTS and isinstance(value, list):
            yield from value
        elif keyword in SCHEMA_SINGLE:
            yield value


def _moved(schema: object) -> object:
    """A copy whose references lead into `$defs/root`."""
    if not isinstance(schema, Mapping):
        return schema
    moved: dict[str, object] = {}
    for keyword, value in schema.items():
        if keyword == "$ref" and isinstance(value, str):
            moved[keyword] = f"#/$defs/root{value[1:]}"
        elif keyword in SCHEMA_MAPS and isinstance(value, Mapping):
            moved[keyword] = {name: _moved(subschema) for name, subschema in value.items()}
        elif keyword in SCHEMA_LISTS and isinstance(value, list):
            moved[keyword] = [_moved(subschema) for subschema in value]
        else:
            moved[keyword] = _moved(value) if keyword in SCHEMA_SINGLE else value
    return moved
