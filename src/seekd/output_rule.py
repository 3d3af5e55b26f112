"""What a request promises of its output: `wire` says it, `constrain` makes a grammar of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRule:
    """What the request promises of its output, in the protocol's terms.

    Attributes:
        kind: `json_object`, `json_schema`, `regex`, `tools`.
        schema: the JSON Schema (json_schema), the expression (regex), else None.
        tools: name, parameters and strictness of each offered tool.
        tool_choice: `auto`, `required`, or the name of the one tool to call.
        json_or_tools: with tools present, an answer that is not a call is a JSON object.
        max_calls: most calls in one answer; None for no limit (legacy functions allow one).
    """

    kind: str
    schema: str | None = None
    tools: Sequence[OfferedTool] = ()
    tool_choice: str = "auto"
    json_or_tools: bool = False
    max_calls: int | None = None

    @property
    def is_json(self) -> bool:
        """Whether an answer that is not a call is a JSON object."""
        return self.kind in ("json_object", "json_schema") or self.json_or_tools


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTool:
    """One tool that the model may call; `parameters` is its JSON Schema or None for no arguments."""

    name: str
    parameters: Mapping[str, object] | None = None
    strict: bool = False
