"""The JSON Schema keywords by what happens to them: enforced, ignored, refused.

The table in docs/reference/json-schema.md is these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")

ENFORCED: Mapping[str, str] = MappingProxyType(
    {
        "type": "one name or a list; an integer without bounds fits 64 bits",
        "enum": "",
        "const": "",
        "anyOf": "",
        "allOf": "where the branches can be merged",
        "oneOf": "where no value fits two branches",
        "$ref": "by path inside of the schema, recursive ones too",
        "$defs": "",
        "$def": "",
        "definitions": "",
        "properties": "written in the order of the schema",
        "required": "",
        "additionalProperties": "",
        "patternProperties": "where no name fits two patterns",
        "minProperties": "0, 1, or at most the number of required properties",
        "maxProperties": "where optional properties do not have to be counted",
        "items": "",
        "prefixItems": "",
        "minItems": "",
        "maxItems": "",
        "pattern": (
            "without look-around, word borders and back references,"
            " but for those of Zod's `email` and `duration` and Pydantic's `Decimal`;"
            " within the limits of expressions below"
        ),
        "format": "the formats below",
        "minLength": "in characters",
        "maxLength": "in characters",
        "minimum": "",
        "maximum": "",
        "exclusiveMinimum": "a number, not a boolean",
        "exclusiveMaximum": "a number, not a boolean",
        "multipleOf": "within the limit of remainders below",
    }
)
"""Keyword to the limit within which it is enforced; empty for no limit."""

SCHEMA_MAPS = frozenset({"properties", "patternProperties", "$defs", "$def", "definitions"})
"""Keywords whose value is an object of schemas."""
SCHEMA_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
"""Keywords whose value is a list of schemas."""
SCHEMA_SINGLE = frozenset({"items", "additionalProperties"})
"""Keywords whose value is a schema."""

IGNORED = frozenset(
    {
        *("$schema", "$comment", "title", "description", "default", "examples", "example", "deprecated"),
        *("readOnly", "writeOnly", "contentEncoding", "contentMediaType", "contentSchema"),
        *("nullable", "discriminator", "externalDocs", "xml"),  # OpenAPI's
        "id",  # a keyword of draft 4 only; Zod writes the names of its definitions there
    }
)
"""Keywords that forbid nothing; they, `$id` at the root and every `x-` keyword are dropped without a finding."""

_CONDITION = "conditions cannot be enforced; use anyOf with one branch a case"
_SOMEWHERE = "an item that must occur somewhere cannot be enforced; use prefixItems"
_DEPENDENCY = "dependencies between properties cannot be enforced; use anyOf"
_BY_PATH = "only references by path (#/$defs/name) are resolved"

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "not": "negation cannot be enforced",
        "if": _CONDITION,
        "then": _CONDITION,
        "else": _CONDITION,
        "uniqueItems": "distinct items cannot be enforced",
        "contains": _SOMEWHERE,
        "minContains": _SOMEWHERE,
        "maxContains": _SOMEWHERE,
        "propertyNames": "rules for property names cannot be enforced; use patternProperties",
        "dependentRequired": _DEPENDENCY,
        "dependentSchemas": _DEPENDENCY,
        "dependencies": _DEPENDENCY,
        "unevaluatedProperties": "it depends on other keywords and cannot be enforced; use additionalProperties",
        "unevaluatedItems": "it depends on other keywords and cannot be enforced; use items",
        "additionalItems": "it belongs to an older draft; use prefixItems and items",
        "$id": "a schema with an address of its own inside of another cannot be resolved",
        "$anchor": _BY_PATH,
        "$dynamicRef": _BY_PATH,
        "$dynamicAnchor": _BY_PATH,
        "$recursiveRef": _BY_PATH,
        "$recursiveAnchor": _BY_PATH,
        "$vocabulary": "own vocabularies cannot be enforced",
    }
)
"""Keyword to the reason for which it is always refused."""


def forbids_nothing(keyword: str, value: object) -> bool:
    """Whether this value makes a refused keyword an empty promise, which every output keeps."""
    if keyword in ("uniqueItems", "not"):
        return value is False
    if keyword in ("unevaluatedProperties", "unevaluatedItems", "additionalItems"):
        return value is True
    if keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
        return value == {}
    return keyword == "propertyNames" and (value == {} or value is True)
