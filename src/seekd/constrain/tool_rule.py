"""Calls of offered tools in the family's own format, as grammar.

What the parser of the calls does (deepseek-recipe 0.2.0, measured):

    text <｜DSML｜ calls> ⏎ <｜DSML｜ invoke name="f"> ⏎ parameters </｜DSML｜ invoke> ⏎ </｜DSML｜ calls>
         ^ a block opens at this text, whoever wrote it           ^ any `</｜DSML｜` ends a value, raw or JSON

- A block opens wherever `<｜DSML｜` is followed by the name of a block or of a call, of any version of the format, in
  the reasoning too. So `<｜DSML｜` cannot occur in the reasoning, and in the text of an answer it only opens a block.
- Any `</｜DSML｜` ends a value. So it cannot occur in raw text; in JSON strings the matcher keeps it out.
- The name of a tool is not compared with the offered ones, so the grammar spells the names out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from seekd.constrain import lark
from seekd.constrain.arguments import RawText, spellings_of
from seekd.constrain.faults import error_of
from seekd.constrain.parameters import ParameterSet, parameters_of, written_name
from seekd.constrain.references import document
from seekd.constrain.schema_check import Finding, check_schema
from seekd.errors import InvalidParameter
from seekd.output_rule import OfferedTool

OPENER = "<｜DSML｜"
CLOSER = "</｜DSML｜"

_TOOL_NAME = re.compile(r'[^\s"<>｜]+')
_OTHER_NAME = "[A-Za-z0-9_.-]{1,64}"


class ErrorOf(Protocol):
    """Says why JSON of a schema cannot be enforced."""

    def __call__(self, schema: object, /) -> str | None:
        """None when it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLayout:
    """The names in one version of the call format; `between` fills a call without parameters."""

    block: str
    invoke: str
    parameter: str
    between: str

    @property
    def block_start(self) -> str:
        """What opens a block."""
        return f"{OPENER}{self.block}>\n"

    @property
    def block_end(self) -> str:
        """What closes a block, and the turn."""
        return f"{CLOSER}{self.block}>"

    @property
    def opener(self) -> str:
        """What may only open a block, wherever it stands in an answer."""
        return OPENER

    @property
    def separator(self) -> str:
        """What stands between the reasoning and a block that is owed, as a piece of grammar."""
        return lark.literal("\n\n")

    def calls(self, tools: Sequence[OfferedTool], *, max_calls: int | None, error_of: ErrorOf) -> CallGrammar:
        """Write the grammar of the inside of a block; see `call_grammar`."""
        return call_grammar(tools, layout=self, max_calls=max_calls, error_of=error_of)


LAYOUTS: Mapping[str, CallLayout] = MappingProxyType(
    {
        "deepseek-v4.1": CallLayout(block=" calls", invoke=" invoke", parameter=" parameter", between="\n"),
        "deepseek-v4": CallLayout(block="tool_calls", invoke="invoke", parameter="parameter", between=""),
        "deepseek-v3.2": CallLayout(block="function_calls", invoke="invoke", parameter="parameter", between="\n"),
    }
)
"""Call syntax to its layout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallGrammar:
    """The calls of the offered tools.

    Attributes:
        rules: grammar text that defines the rule `calls`: one call after another, and the end of the block.
        warnings: what of the schemas is not enforced, for the caller; empty when everything is.
    """

    rules: str
    warnings: tuple[str, ...]


def call_grammar(
    tools: Sequence[OfferedTool], *, layout: CallLayout, max_calls: int | None, error_of: ErrorOf
) -> CallGrammar:
    """Write the grammar of the inside of a block.

    Args:
        tools: at least one.
        layout: of the prompt's format.
        max_calls: most calls in the block; None for no limit.
        error_of: asked of each schema that is written as JSON.

    Raises:
        InvalidParameter: a strict tool's schema cannot be enforced as a whole, or a schema is beyond the limits.
    """
    writer = _Writer(layout=layout, ask=error_of)
    calls = [writer.call(tool) for tool in tools]
    repeat = "+" if max_calls is None else f"{{1,{max(1, max_calls)}}}"
    writer.lines.append(f"calls: call{repeat} {lark.literal(layout.block_end)}")
    writer.lines.append(f"call: {' | '.join(calls)}")
    return CallGrammar(rules="\n".join(writer.lines) + "\n", warnings=tuple(writer.warnings))


@dataclass(slots=True)
class _Writer:
    """Collects the lines of one grammar; equal bodies share one name."""

    layout: CallLayout
    ask: ErrorOf
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str | None] = field(default_factory=dict)
    text_errors: dict[RawText, str | None] = field(default_factory=dict)

    def error_of(self, schema: object) -> str | None:
        """Why JSON of this schema cannot be enforced; None when it can. Asked once for equal schemas."""
        key = json.dumps(schema)
        if key not in self.errors:
            self.errors[key] = self.ask(schema)
        return self.errors[key]

    def error_of_text(self, text: RawText) -> str | None:
        """Why no text fits; None when one does. Never taken on trust: a terminal without a text is no error."""
        if text not in self.text_errors:
            self.text_errors[text] = _error_of_text(text)
        return self.text_errors[text]

    def define(self, body: str, *, kind: str, options: str = "") -> str:
        """Name a rule (`kind` in lower case) or a terminal (upper case)."""
        key = f"{options}:{body}"
        if key not in self.names:
            self.names[key] = name = f"{kind}_{len(self.names)}"
            self.lines.append(f"{name}{options}: {body}")
        return self.names[key]

    def call(self, tool: OfferedTool) -> str:
        checked_name(tool)
        root, alternatives, findings = _read(tool)
        arguments = _Arguments(writer=self, root=root, findings=findings)
        bodies = [arguments.write(alternative) for alternative in alternatives]
        refuse_strict(tool, [str(finding) for finding in findings])
        self.warnings += [f"{tool.name}: {finding}" for finding in findings]
        start = lark.literal(f'{OPENER}{self.layout.invoke} name="{tool.name}">\n')
        end = lark.literal(f"{CLOSER}{self.layout.invoke}>\n")
        return self.define(f"{start} {self.define(' | '.join(bodies), kind='arguments')} {end}", kind="call")

    def raw(self, texts: Sequence[RawText]) -> str:
        """Raw text up to the first `</｜DSML｜`, that included."""
        closer = lark.literal(CLOSER)
        if any(text.is_free for text in texts):
            return self.define(f"{lark.ANY_TEXT} {closer}", kind="raw", options="[lazy]")
        bodies = [f"({text.terminal(forbidden=CLOSER)})" for text in texts]
        return self.define(f"({' | '.join(bodies)}) {closer}", kind="RAW")


def checked_name(tool: OfferedTool) -> str:
    """The tool's name. Raises `InvalidParameter` when no call format can carry it."""
    if not _TOOL_NAME.fullmatch(tool.name):
        raise InvalidParameter(f"The tool name {tool.name!r} cannot be written in the call format.")
    return tool.name


def refuse_strict(tool: OfferedTool, findings: Sequence[str]) -> None:
    """Raise `InvalidParameter` when a strict tool's schema is not enforced as a whole."""
    if findings and tool.strict:
        reasons = "; ".join(findings[:5])
        raise InvalidParameter(f"Invalid schema for function '{tool.name}': it cannot be enforced: {reasons}.")


def _read(tool: OfferedTool) -> tuple[Mapping[str, object], Sequence[ParameterSet], list[Finding]]:
    if tool.parameters is None:
        return {}, [ParameterSet()], []
    checked = check_schema(tool.parameters, name=f"Invalid schema for function '{tool.name}': the schema")
    read = parameters_of(checked.schema)
    return checked.schema, read.alternatives, [*checked.findings, *read.findings]


@dataclass(slots=True)
class _Arguments:
    """Writes the parameters of one tool; appends to `findings` what it had to widen."""

    writer: _Writer
    root: Mapping[str, object]
    findings: list[Finding]

    def write(self, parameters: ParameterSet) -> str:
        """A rule for the parameters in their order, each at most once."""
        elements = [
            (self.element(name, schema, is_required=name in parameters.required), name in parameters.required)
            for name, schema in parameters.schemas.items()
        ]
        if parameters.others is not None:
            name = self.writer.define(lark.regex(_OTHER_NAME), kind="NAME")
            others = self.any_name(name, parameters.others)
            return f"{others}+" if parameters.needs_one else f"({others}+ | {lark.literal(self.writer.layout.between)})"
        bodies = [] if parameters.required or parameters.needs_one else [lark.literal(self.writer.layout.between)]
        # From the last parameter to the first: what may follow once one was written, and what may begin.
        rest, begin = "", ""
        for element, is_required in reversed(elements):
            if is_required:
                rest = begin = f"{element} {rest}" if rest else element
                continue
            if " " in rest and rest == begin:  # a row of required ones, which now begins in two places
                rest = begin = self.writer.define(rest, kind="list")
            some = self.writer.define(f"{element} {rest}", kind="list") if rest else element
            begin = self.writer.define(f"{some} | {begin}", kind="list") if begin else some
            rest = self.writer.define(f"{element}? {rest}", kind="list") if rest else f"{element}?"
        return " | ".join([begin, *bodies] if begin else bodies)

    def element(self, name: str, schema: object, *, is_required: bool) -> str:
        body = self.spelled(f'name="{written_name(name)}"', schema, ("properties", name))
        # A name of its own costs time to compile, and only what may be left out is written in two places.
        return body if is_required and " | " not in body else self.writer.define(body, kind="parameter")

    def any_name(self, name_terminal: str, schema: object) -> str:
        return self.writer.define(self.spelled(name_terminal, schema, ("additionalProperties",)), kind="parameter")

    def spelled(self, name: str, schema: object, path: tuple[str, ...]) -> str:
        """One parameter element in each spelling that its schema allows."""
        start, end = f"{OPENER}{self.writer.layout.parameter} ", f"{self.writer.layout.parameter}>\n"

        def head(flag: str) -> str:
            tail = f' string="{flag}">'
            if name.startswith("name="):
                return lark.literal(f"{start}{name}{tail}")
            return f"{lark.literal(start + 'name=' + chr(34))} {name} {lark.literal(chr(34) + tail)}"

        spellings = spellings_of(schema, self.root)
        raw = self.writable(spellings.raw, path)
        ways = []
        if raw:
            ways.append(f"{head('true')} {self.writer.raw(raw)} {lark.literal(end)}")
        if spellings.json is not None or not raw:
            value = self.json(spellings.json if spellings.json is not None else True, path)
            ways.append(f"{head('false')} {value} {lark.literal(CLOSER + end)}")
        return " | ".join(ways)

    def writable(self, texts: Sequence[RawText], path: tuple[str, ...]) -> list[RawText]:
        """The raw texts that some text satisfies."""
        kept = []
        for text in texts:
            if text.literals is not None:
                literals = tuple(value for value in text.literals if CLOSER not in value)
                if literals != text.literals:
                    self.report(path, "a value has the end mark of the call format in it and cannot be written")
                if literals:
                    kept.append(RawText(literals=literals))
            elif not (error := self.writer.error_of_text(text)):
                kept.append(text)
            else:
                self.report(path, f"it cannot be enforced ({error})")
                kept.append(RawText())
        return kept

    def json(self, schema: object, path: tuple[str, ...]) -> str:
        """A rule for JSON of the schema; of any JSON when the grammar cannot carry the schema."""
        if CLOSER in json.dumps(schema, ensure_ascii=False):
            self.report(path, "it has the end mark of the call format in it and cannot be enforced")
            schema = True
        carried = document(schema, self.root)
        if error := self.writer.error_of(carried):
            self.report(path, f"it cannot be enforced ({error})")
            carried = {"type": schema["type"]} if isinstance(schema, Mapping) and "type" in schema else {}
        return self.writer.define(lark.json_value(carried), kind="json")

    def report(self, path: tuple[str, ...], reason: str) -> None:
        self.findings.append(Finding(path=".".join(path), reason=reason))


def _error_of_text(text: RawText) -> str | None:
    if text.pattern is None and (text.max_length is None or text.min_length <= text.max_length):
        return None
    limits: dict[str, object] = {"type": "string", "minLength": text.min_length}
    if text.pattern is not None:
        limits["pattern"] = text.pattern
    if text.max_length is not None:
        limits["maxLength"] = text.max_length
    return error_of(limits)
