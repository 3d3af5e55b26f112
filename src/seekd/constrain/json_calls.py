"""Calls whose arguments are one JSON object, as grammar: V2.5 to V3.1, and the `<tool_call>` form of other models.

    opener  lead "name" middle {arguments} end  between  …  closer

The reader of these calls follows the JSON, so a value may hold any mark of the form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from seekd.constrain import lark
from seekd.constrain.schema_check import check_schema
from seekd.constrain.tool_rule import CallGrammar, ErrorOf, checked_name, refuse_strict
from seekd.output_rule import OfferedTool


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonCallLayout:
    """One form of calls; `opener` begins the group, and occurs in no other text of an answer."""

    opener: str
    lead: str
    middle: str
    end: str
    between: str
    closer: str

    @property
    def block_start(self) -> str:
        """What opens the group."""
        return self.opener

    @property
    def separator(self) -> str:
        """What may stand between the reasoning and a group that is owed, as a piece of grammar."""
        return f"{lark.literal(chr(10) * 2)}?"

    def calls(self, tools: Sequence[OfferedTool], *, max_calls: int | None, error_of: ErrorOf) -> CallGrammar:
        """Write the grammar of what follows `block_start`, asking `error_of` of each schema.

        Raises:
            InvalidParameter: a strict tool's schema cannot be enforced as a whole, or a schema is beyond the limits.
        """
        lines, warnings = [], []
        for index, tool in enumerate(tools):
            body, found = _arguments(tool, error_of)
            warnings += found
            start = lark.literal(f"{self.lead}{checked_name(tool)}{self.middle}")
            lines.append(f"call_{index}: {start} arguments_{index} {lark.literal(self.end)}")
            lines.append(f"arguments_{index}: {body}")
        further = f"({lark.literal(self.between)} call)" if self.between else "call"
        num_further = None if max_calls is None else max(1, max_calls) - 1
        more = "" if num_further == 0 else f" {further}{'*' if num_further is None else f'{{0,{num_further}}}'}"
        closer = f" {lark.literal(self.closer)}" if self.closer else ""
        lines.append(f"calls: call{more}{closer}")
        lines.append(f"call: {' | '.join(f'call_{index}' for index in range(len(tools)))}")
        return CallGrammar(rules="\n".join(lines) + "\n", warnings=tuple(warnings))


JSON_LAYOUTS: Mapping[str, JsonCallLayout] = MappingProxyType(
    {
        "fenced": JsonCallLayout(
            opener="<｜tool▁calls▁begin｜>",
            lead="<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
            middle="\n```json\n",
            end="\n```<｜tool▁call▁end｜>",
            between="\n",
            closer="<｜tool▁calls▁end｜>",
        ),
        "bare": JsonCallLayout(
            opener="<｜tool▁calls▁begin｜>",
            lead="<｜tool▁call▁begin｜>",
            middle="<｜tool▁sep｜>",
            end="<｜tool▁call▁end｜>",
            between="",
            closer="<｜tool▁calls▁end｜>",
        ),
        "hermes": JsonCallLayout(
            opener="<tool_call>",
            lead='\n{"name": "',
            middle='", "arguments": ',
            end="}\n</tool_call>",
            between="\n<tool_call>",
            closer="",
        ),
    }
)
"""Call syntax to its layout."""


_COMBINING = frozenset({"$ref", "allOf", "anyOf", "oneOf", "patternProperties"})


def _arguments(tool: OfferedTool, error_of: ErrorOf) -> tuple[str, list[str]]:
    """A rule body for the arguments of one tool, and what of its schema is not enforced."""
    if tool.parameters is None:
        return lark.literal("{}"), []
    checked = check_schema(tool.parameters, name=f"Invalid schema for function '{tool.name}': the schema")
    findings = [str(finding) for finding in checked.findings]
    schema = _closed({**checked.schema, "type": "object"})
    if reason := error_of(schema):
        findings.append(f"it cannot be enforced ({reason})")
        schema = {"type": "object"}
    refuse_strict(tool, findings)
    return lark.json_value(schema), [f"{tool.name}: {finding}" for finding in findings]


def _closed(schema: dict[str, object]) -> dict[str, object]:
    """Leave out further arguments beside named ones: most schemas allow them and few mean them."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or schema.keys() & _COMBINING:
        return schema
    required = schema.get("required")
    names = dict.fromkeys(required, True) if isinstance(required, list) else {}
    return {**schema, "properties": {**names, **properties}, "additionalProperties": False}
