"""What `strict` adds to a schema, and the schemas as they were sent.

The protocol package judges strict schemas by the service's rules (docs/reference/wire.md §8.4), but what it hands on
lacks every keyword that those rules do not name, and the definitions. So the schema that is enforced is the caller's,
with what strictness adds: objects are closed, and all of their properties are required.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from seekd.errors import InvalidParameter

_DEFINITIONS = ("$defs", "$def", "definitions")
_CHOICES = ("anyOf", "oneOf", "prefixItems")


def without_strict(fields: dict[str, Any], *path: str) -> dict[str, Any]:
    """A body in which the object at `path` is not strict; the same body where it was not before."""
    key, rest = path[0], path[1:]
    member = fields.get(key)
    if not isinstance(member, dict):
        return fields
    if rest:
        changed = without_strict(member, *rest)
    else:
        changed = {**member, "strict": False} if member.get("strict") is True else member
    return fields if changed is member else {**fields, key: changed}


def judgeable(tool: object) -> object:
    """A strict tool with `null` in the place of each branch of `anyOf` that is a reference; any other as it is.

    The service takes such branches, but the protocol package asks each for its type.
    """
    if not isinstance(tool, dict):
        return tool
    if isinstance(tool.get("function"), dict):
        return {**tool, "function": judgeable(tool["function"])}
    if isinstance(tool.get("tools"), list):  # a namespace
        return {**tool, "tools": [judgeable(inner) for inner in tool["tools"]]}
    return {**tool, "parameters": _with_typed_branches(tool.get("parameters"))} if tool.get("strict") is True else tool


def _with_typed_branches(schema: object) -> object:
    if not isinstance(schema, dict):
        return schema
    changed = {**schema}
    if isinstance(branches := schema.get("anyOf"), list):
        changed["anyOf"] = [
            {"type": "null"} if isinstance(branch, dict) and "$ref" in branch else _with_typed_branches(branch)
            for branch in branches
        ]
    if "items" in schema:
        changed["items"] = _with_typed_branches(schema["items"])
    if isinstance(properties := schema.get("properties"), dict):
        changed["properties"] = {name: _with_typed_branches(member) for name, member in properties.items()}
    return changed


def answer_schema(schema_format: object) -> str | None:
    """The schema of an answer as JSON, as it was sent, and closed where it is strict.

    Args:
        schema_format: what names the schema: the object with `schema` and `strict`; None for no such format.

    Raises:
        InvalidParameter: an object in it breaks a rule of the service.
    """
    if not isinstance(schema_format, dict):
        return None
    schema = schema_format.get("schema")
    if schema_format.get("strict") is True:
        schema = closed(schema, name="Invalid json schema")
    return msgspec.json.encode(schema).decode()


def strict_parameters(functions: Iterator[Mapping[str, Any]]) -> dict[str, Any]:
    """Name to parameters of the strict functions among these, as they were sent and closed.

    Raises:
        InvalidParameter: an object in them breaks a rule of the service.
    """
    found = {}
    for function in functions:
        parameters = function.get("parameters")
        if function.get("strict") is True and isinstance(parameters, dict):
            name = function["name"]
            # A function without arguments may leave its properties out; no other object may.
            parameters = {**parameters, "properties": parameters.get("properties", {})}
            found[name] = closed(parameters, name=f"Invalid schema for function '{name}'")
    return found


def closed(schema: object, *, name: str) -> Any:
    """The schema with `additionalProperties: false` and every property required, in every object of it.

    Objects that are parts of another one, in its `allOf` or beside its own properties, are left as they are: closed,
    they would exclude each other.

    Args:
        schema: parsed JSON, no deeper than the protocol package lets a body be.
        name: what to call it in an error.

    Raises:
        InvalidParameter: an object says that it is open, or that not all of its properties are required.
    """
    return _Closing(name).schema(schema, ())


class _Closing:
    def __init__(self, name: str) -> None:
        self._name = name

    def schema(self, schema: object, path: tuple[str, ...]) -> object:
        if not isinstance(schema, dict):
            return schema
        changed = dict(schema)
        for keyword in _DEFINITIONS:
            self._change_members(changed, keyword, path)
        if "items" in schema:
            changed["items"] = self.schema(schema["items"], (*path, "items"))
        if _is_object(schema):
            self._close(changed, path)
            self._change_members(changed, "properties", path)
            return changed
        for keyword in _CHOICES:
            if isinstance(branches := schema.get(keyword), list):
                changed[keyword] = [
                    self.schema(branch, (*path, keyword, str(index))) for index, branch in enumerate(branches)
                ]
        return changed

    def _change_members(self, schema: dict[str, Any], keyword: str, path: tuple[str, ...]) -> None:
        if isinstance(members := schema.get(keyword), dict):
            schema[keyword] = {name: self.schema(member, (*path, keyword, name)) for name, member in members.items()}

    def _close(self, schema: dict[str, Any], path: tuple[str, ...]) -> None:
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            if "patternProperties" not in schema:
                raise self._refusal(path, "An object with no properties is not allowed.")
            properties = {}
        if schema.setdefault("additionalProperties", False) is not False:
            reason = "additionalProperties should not be true, nor a schema, where strict is true"
            raise self._refusal(path, reason)
        required = schema.setdefault("required", list(properties))
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            return  # refused with its place where the schema is read
        for name in required:
            if name not in properties:
                raise self._refusal((*path, "required"), f"Required property '{name}' not found in object")
        if len(set(required)) < len(properties):
            raise self._refusal((*path, "required"), "Required properties must match all properties in the object")

    def _refusal(self, path: tuple[str, ...], reason: str) -> InvalidParameter:
        return InvalidParameter(": ".join(filter(None, (self._name, ".".join(path), reason))))


def _is_object(schema: Mapping[str, Any]) -> bool:
    types = schema.get("type")
    return "properties" in schema or types == "object" or (isinstance(types, list) and "object" in types)
