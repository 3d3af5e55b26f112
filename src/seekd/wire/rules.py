"""What a validated body promises of its output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from seekd.output_rule import OfferedTool, OutputRule
from seekd.prompt.recipe import OutputLimit


def output_rule(
    limit: OutputLimit,
    *,
    tool_choice: str,
    asks_for_json: bool = False,
    json_schema: str | None = None,
    strict_parameters: Mapping[str, Any] | None = None,
    max_calls: int | None = None,
) -> OutputRule:
    """The rule of one answer.

    Args:
        limit: as the protocol package resolved it.
        tool_choice: `auto`, `required` or a tool's name; used with tools only.
        asks_for_json: a JSON object was asked for, alone or beside tools.
        json_schema: what that object must fit; None for any object.
        strict_parameters: name to parameters of the strict tools, which the package hands on with gaps.
        max_calls: most calls in one answer; None for no limit.
    """
    if limit.kind == "json":
        return OutputRule(kind="json_schema", schema=json_schema) if json_schema else OutputRule(kind="json_object")
    if limit.kind == "regex":
        return OutputRule(kind="regex", schema=limit.schema)
    return OutputRule(
        kind="tools",
        tools=tuple(_offered(tool["function"], strict_parameters or {}) for tool in json.loads(limit.schema)),
        tool_choice="required" if limit.kind == "tool_call_required" and tool_choice == "auto" else tool_choice,
        json_or_tools=asks_for_json,
        schema=json_schema if asks_for_json else None,
        max_calls=max_calls,
    )


def _offered(function: Mapping[str, Any], strict_parameters: Mapping[str, Any]) -> OfferedTool:
    name, is_strict = function["name"], bool(function.get("strict"))
    parameters = function.get("parameters")
    if is_strict:
        parameters = strict_parameters.get(name, parameters)
    return OfferedTool(name=name, parameters=parameters, strict=is_strict)
