"""What a request promises of its output, as one grammar from the first generated token to the last.

    [reasoning </think>]  answer

The reasoning is part of the grammar instead of a stretch before it. The parser ends the reasoning at the text
`</think>`, which a model can also spell without the token of that name, and an answer that is owed must not be skipped
by ending the turn inside the reasoning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from llguidance import LLMatcher, LLTokenizer

from seekd.constrain import json_rule, lark, plain_strings
from seekd.constrain.costs import parser_limits
from seekd.constrain.faults import fault_of
from seekd.constrain.integers import without_own_bounds
from seekd.constrain.json_calls import JSON_LAYOUTS
from seekd.constrain.reasons import in_plain_words
from seekd.constrain.tool_rule import LAYOUTS, CallGrammar, ErrorOf
from seekd.errors import InvalidParameter
from seekd.output_rule import OfferedTool, OutputRule

MAX_GRAMMAR_CHARS = 1_048_576
"""Longest grammar text that is sent to an engine."""


class CallForm(Protocol):
    """One form of calls."""

    @property
    def opener(self) -> str:
        """What may only open calls, wherever it stands in an answer."""

    @property
    def block_start(self) -> str:
        """What opens calls; begins with `opener`."""

    @property
    def separator(self) -> str:
        """What stands between the reasoning and calls that are owed, as a piece of grammar."""

    def calls(self, tools: Sequence[OfferedTool], *, max_calls: int | None, error_of: ErrorOf) -> CallGrammar:
        """What follows `block_start`; `error_of` is asked of the schemas in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledRule:
    """What the engine and the caller get to know of a rule.

    Attributes:
        grammar: for `EngineRequest.constraint`; holds from the first generated token.
        warnings: parts of tool schemas that are not enforced, one sentence each; empty when everything is.
    """

    grammar: str
    warnings: tuple[str, ...] = ()


def constraint_for(
    rule: OutputRule, *, call_syntax: str, starts_in_reasoning: bool, may_reason: bool = False
) -> CompiledRule:
    """Write and check the grammar of a rule. Takes milliseconds; up to seconds for the largest schemas.

    Args:
        rule: of the request.
        call_syntax: names the form of calls: a key of `LAYOUTS` or `JSON_LAYOUTS`.
        starts_in_reasoning: the prompt has opened the reasoning and not closed it.
        may_reason: the model may open its reasoning itself.

    Raises:
        InvalidParameter: the rule cannot be enforced; the message says why.
    """
    write = partial(
        _written, rule, call_syntax=call_syntax, starts_in_reasoning=starts_in_reasoning, may_reason=may_reason
    )
    # To compile each schema of the tools by itself takes as long as all of them together, so that waits for a failure.
    compiled = write(error_of=_no_error)
    error = _error_of(compiled.grammar)
    if error is not None and rule.kind == "tools":
        compiled = write(error_of=fault_of)
        error = _error_of(compiled.grammar)
    if error is not None and rule.kind != "regex" and rule.schema is not None:
        json_rule.refuse_faulty(rule.schema)
    if error is not None:
        raise InvalidParameter(f"The requested output format cannot be enforced: {in_plain_words(error)}.")
    return compiled


def _written(
    rule: OutputRule, *, call_syntax: str, starts_in_reasoning: bool, may_reason: bool, error_of: ErrorOf
) -> CompiledRule:
    lead = "reasoning " if starts_in_reasoning else "thought? " if may_reason else ""
    start = f"start: {lead}answer\n{_THOUGHT if may_reason else ''}"
    if rule.kind == "tools":
        form: CallForm = LAYOUTS[call_syntax] if call_syntax in LAYOUTS else JSON_LAYOUTS[call_syntax]
        # Only the forms of DSML are opened by a prompt; without reasoning they are where calls are owed.
        is_opened = call_syntax in LAYOUTS and not starts_in_reasoning
        compiled = _tools(rule, form, start=start, is_opened=is_opened, error_of=error_of)
    else:
        compiled = CompiledRule(grammar=f"{start}answer: {_answer(rule)}\n{_REASONING}")
    return replace(compiled, grammar=plain_strings.header(_schemas(rule)) + compiled.grammar)


def _no_error(_schema: object) -> None:
    """Trusts that a schema can be enforced."""


def _schemas(rule: OutputRule) -> list[object]:
    """Every schema of a rule, whose text has been read before."""
    schemas: list[object] = [tool.parameters for tool in rule.tools]
    if rule.kind != "regex" and rule.schema is not None:
        schemas.append(json.loads(rule.schema))
    return schemas


_THOUGHT = f"thought: {lark.literal('<think>')} reasoning\n"
# A terminal that no rule uses costs nothing, so the grammar of the reasoning is always there.
_REASONING = f"reasoning[lazy]: {lark.ANY_TEXT} {lark.literal(json_rule.THINK_END)}\n"


def _reasoning_before(opener: str) -> str:
    return f"reasoning[lazy]: NO_CALLS {lark.literal(json_rule.THINK_END)}\nNO_CALLS: {lark.without(opener)}\n"


def _answer(rule: OutputRule) -> str:
    if rule.kind == "json_object":
        return json_rule.any_object()
    if rule.schema is None:
        raise InvalidParameter(f"An output of kind {rule.kind} needs a schema or an expression.")
    if rule.kind == "json_schema":
        return json_rule.schema_object(rule.schema)
    if rule.kind == "regex":
        return f"EXPRESSION\nEXPRESSION: {json_rule.expression(rule.schema)}"
    raise InvalidParameter(f"Outputs of kind {rule.kind} cannot be enforced.")


def _tools(rule: OutputRule, form: CallForm, *, start: str, is_opened: bool, error_of: ErrorOf) -> CompiledRule:
    is_named = rule.tool_choice not in ("auto", "required")
    tools = [tool for tool in rule.tools if not is_named or tool.name == rule.tool_choice]
    if not tools:
        raise InvalidParameter(
            f"No tool named {rule.tool_choice!r} was offered." if is_named else "No tool is offered."
        )
    calls = form.calls(tools, max_calls=rule.max_calls, error_of=error_of)
    block = f"{lark.literal(form.block_start)} calls"
    if rule.tool_choice != "auto":
        answer = "calls" if is_opened else f"{form.separator} {block}"
    elif rule.json_or_tools:
        body = json_rule.any_object() if rule.schema is None else json_rule.schema_object(rule.schema)
        answer = f"object | {lark.literal(chr(10) * 2)}? {block}\nobject: {body}"
    else:
        rest = form.block_start.removeprefix(form.opener)
        answer = f"TEXT | text_before {lark.literal(rest) if rest else ''} calls\n"
        answer += f"text_before[lazy]: {lark.ANY_TEXT} {lark.literal(form.opener)}\nTEXT: {lark.without(form.opener)}"
    grammar = f"{start}answer: {answer}\n{_reasoning_before(form.opener)}{calls.rules}"
    return CompiledRule(grammar=grammar, warnings=calls.warnings)


_PLACE = re.compile(
    r"^at \d+\(\d+\): (?:failed to compile JSON schema: )?"
)  # in a text that the caller has not written


def _error_of(grammar: str) -> str | None:
    """Why the engine would not take a grammar. Compiles and begins with a vocabulary of bytes.

    Our own bounds of integers are beyond those of any schema, so they make no grammar fail.
    """
    if len(grammar) > MAX_GRAMMAR_CHARS:
        raise InvalidParameter("The requested output format is too large to be enforced.")
    tokenizer = LLTokenizer("byte", slices=[])
    matcher = LLMatcher(tokenizer, without_own_bounds(grammar), log_level=0, limits=parser_limits())
    if not matcher.is_error():
        matcher.compute_bitmask()
    if not matcher.is_error():
        return None
    return _PLACE.sub("", matcher.get_error().strip().splitlines()[0]).rstrip(".")
