"""What a validated body promises of its output.

Room: wire. May import: prompt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from seekd.prompt.recipe import OutputLimit
from seekd.prompt.types import OfferedTool, OutputRule


def output_rule(
    limit: OutputLimit | None,
    *,
    tool_choice: str,
    asks_for_json: bool = False,
    json_schema: str | None = None,
    definitions: Mapping[str, Any] | None = None,
    max_calls: int | None = None,
) -> OutputRule | None:
    """The rule of one answer.

    Args:
        limit: as the protocol package resolved it; None for free text.
        tool_choice: `auto`, `required` or a tool's name; used with tools only.
        asks_for_json: a JSON object was asked for as well as tools.
        json_schema: what that object must fit; None for any object.
        definitions: name to `$defs` of tools whose schema lost them on the way.
        max_calls: most calls in one answer; None for no limit.
    """
    if limit is None:
        return None
    if limit.kind == "json":
        return OutputRule(kind="json_schema", schema=limit.schema) if limit.schema else OutputRule(kind="json_object")
    if limit.kind == "regex":
        return OutputRule(kind="regex", schema=limit.schema)
    return OutputRule(
        kind="tools",
        tools=tuple(_offered(tool["function"], definitions or {}) for tool in json.loads(limit.schema)),
        tool_choice="required" if limit.kind == "tool_call_required" and tool_choice == "auto" else tool_choice,
        json_or_tools=asks_for_json,
        schema=json_schema if asks_for_json else None,
        max_calls=max_calls,
    )


def _offered(function: Mapping[str, Any], definitions: Mapping[str, Any]) -> OfferedTool:
    name, parameters = function["name"], function.get("parameters")
    if parameters is not None and name in definitions:
        parameters = {**parameters, "$defs": definitions[name]}
    return OfferedTool(name=name, parameters=parameters, strict=bool(function.get("strict")))
