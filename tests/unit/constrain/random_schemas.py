"""Random JSON Schemas of what can be enforced, and the judge of what comes out."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import jsonschema

PATTERNS = ("^[a-z]{1,3}$", "ab", "^x|y$", "[0-9]+$", "^(foo|ba[rz])", "é|天", "^.{2,4}$")
FORMATS = ("date", "ipv4", "ipv6", "uuid", "email")
WORDS = ("a", "b c", 'd"e', "f\\g", "h\ni", "</x>", "天")
NAMES = ("a", "b", "ab", 'n"q', "ключ", "x-y", "z.z", "long_name")
REFERENCES = ("#/$defs/t", "#/$defs/u")

Schema = dict[str, Any]


def validator_of(schema: Mapping[str, object]) -> jsonschema.Draft202012Validator:
    """Judges a value; the formats are those that Python can check."""
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker(FORMATS))


def random_document(chance: random.Random) -> Schema:
    """An object schema with two definitions, one of them recursive."""
    document = _object(chance, 0)
    document["$defs"] = {
        "t": _object(chance, 2),
        "u": {
            "type": "object",
            "properties": {"next": {"$ref": "#/$defs/u"}, "v": _schema(chance, 2)},
            "additionalProperties": False,
        },
    }
    return document


def _schema(chance: random.Random, depth: int) -> Schema:
    makers = [_string, _string, _number, _number, _scalar, _mixed]
    if depth < 3:
        makers += [_array, _object, _object, _union, _reference, _merged]
    return chance.choice(makers)(chance, depth + 1)


def _string(chance: random.Random, depth: int) -> Schema:
    kind = chance.random()
    if kind < 0.2:
        return {"type": "string", "pattern": chance.choice(PATTERNS)}
    if kind < 0.35:
        return {"type": "string", "format": chance.choice(FORMATS)}
    if kind < 0.5:
        return {"enum": chance.sample(WORDS, chance.randint(1, 3))}
    if kind < 0.8:
        shortest = chance.randint(0, 3)
        return {"type": "string", "minLength": shortest, "maxLength": shortest + chance.randint(0, 4)}
    return {"type": "string"}


def _number(chance: random.Random, depth: int) -> Schema:
    schema: Schema = {"type": chance.choice(("integer", "number"))}
    if chance.random() < 0.5:
        schema[chance.choice(("minimum", "exclusiveMinimum"))] = chance.choice((-10, 0, 3, 0.5, -2.5))
    if chance.random() < 0.5:
        schema[chance.choice(("maximum", "exclusiveMaximum"))] = chance.choice((20, 100, 7.5, 12))
    if schema["type"] == "integer" and chance.random() < 0.2:
        schema["multipleOf"] = chance.choice((2, 5))
    return schema


def _scalar(chance: random.Random, depth: int) -> Schema:
    return chance.choice(
        (
            {"type": "boolean"},
            {"type": "null"},
            {"const": None},
            {"const": {"a": [1, "x"]}},
            {"enum": ["x", 1, None]},
            {},
        )
    )


def _mixed(chance: random.Random, depth: int) -> Schema:
    types = chance.sample(("string", "integer", "null", "boolean", "array"), 2)
    return {"type": types, "maxLength": 3, "minimum": 2, "maxItems": 2}


def _array(chance: random.Random, depth: int) -> Schema:
    schema: Schema = {"type": "array", "items": _schema(chance, depth)}
    if chance.random() < 0.4:
        schema["minItems"] = chance.randint(0, 2)
    if chance.random() < 0.4:
        schema["maxItems"] = chance.randint(2, 4)
    if chance.random() < 0.3:
        schema["prefixItems"] = [_schema(chance, depth)]
    return schema


def _object(chance: random.Random, depth: int) -> Schema:
    names = chance.sample(NAMES, chance.randint(0, 4))
    schema: Schema = {"type": "object", "properties": {name: _schema(chance, depth) for name in names}}
    schema["required"] = [name for name in names if chance.random() < 0.6]
    kind = chance.random()
    if kind < 0.4:
        schema["additionalProperties"] = False
    elif kind < 0.6:
        schema["additionalProperties"] = _schema(chance, depth)
    elif kind < 0.7:
        schema |= {"patternProperties": {"^k": _schema(chance, depth)}, "additionalProperties": False}
    return schema


def _union(chance: random.Random, depth: int) -> Schema:
    return {"anyOf": [_schema(chance, depth), _schema(chance, depth)]}


def _reference(chance: random.Random, depth: int) -> Schema:
    return {"$ref": chance.choice(REFERENCES)}


def _merged(chance: random.Random, depth: int) -> Schema:
    return {"allOf": [{"type": "string"}, {"minLength": 2}, {"maxLength": 4, "pattern": "^[a-f]"}]}
