"""Where a body has texts that people and programs wrote, in all of the protocols.

Names of tools, ids, types and parameters are no such texts; what describes tools and formats of answers is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from seekd.wire.schema_texts import Visit, with_leaves, with_pattern, with_schema_texts

_TEXTS = frozenset(("content", "text", "reasoning_content", "thinking", "output", "refusal", "summary"))
_HOLDERS = frozenset(("tool_calls", "function", "function_call"))
_BODY_TEXTS = ("system", "instructions", "messages", "input", "prompt", "suffix")
_DESCRIPTIONS = ("tools", "functions", "response_format", "text")
"""Of tools, and of the format of the answer."""
_SCHEMAS = frozenset(("parameters", "input_schema", "schema"))


def texts_of(fields: Mapping[str, Any]) -> list[str]:
    """Every text of a body, in an order that does not change when a conversation goes on."""
    found: list[str] = []

    def visit(text: str) -> str:
        found.append(text)
        return text

    with_texts(fields, visit)
    return found


def with_texts(fields: Mapping[str, Any], visit: Visit) -> dict[str, Any]:
    """The body with what `visit` makes of each text, in the order of `texts_of`."""
    changed = dict(fields)
    for name in _DESCRIPTIONS:  # first, as they stand in a prompt: the numbers of their placeholders stay the same
        if name in fields:
            changed[name] = _description(fields[name], visit)
    for name in _BODY_TEXTS:
        if name in fields:
            changed[name] = _texts(fields[name], visit)
    return changed


def num_messages(fields: Mapping[str, Any]) -> int:
    """Messages of a conversation; 1 for a body that is one text."""
    lists = [fields[name] for name in ("messages", "input") if isinstance(fields.get(name), list)]
    return max(map(len, lists), default=1)


def offered_tools(fields: Mapping[str, Any]) -> Sequence[Any]:
    """The tools of a body, or its functions; none where they are of the wrong shape, which is refused elsewhere."""
    tools = fields.get("tools") or fields.get("functions")
    return tools if isinstance(tools, list) else ()


def _texts(value: Any, visit: Visit) -> Any:
    if isinstance(value, str):
        return visit(value)
    if isinstance(value, list):
        return [_texts(entry, visit) for entry in value]
    if isinstance(value, dict):
        return {key: _member(key, member, visit) for key, member in value.items()}
    return value


def _member(key: str, value: Any, visit: Visit) -> Any:
    if key in _TEXTS:
        return _texts(value, visit)
    if key == "arguments" and isinstance(value, str):
        return _json_text(value, visit)
    if key == "input":
        return with_leaves(value, visit)
    if key in _HOLDERS and not isinstance(value, str):
        return _texts(value, visit)
    return value


def _json_text(text: str, visit: Visit) -> str:
    """A text that is JSON itself; it keeps its spaces where nothing is escaped, so that caches still know it."""
    if "\\" not in text:
        return visit(text)
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return visit(text)
    changed = with_leaves(value, visit)
    return text if changed == value else msgspec.json.encode(changed).decode()


def _description(value: Any, visit: Visit) -> Any:
    if isinstance(value, list):
        return [_description(entry, visit) for entry in value]
    if isinstance(value, dict):
        return {key: _described(key, member, visit) for key, member in value.items()}
    return value


def _described(key: str, value: Any, visit: Visit) -> Any:
    if key in _SCHEMAS:
        return with_schema_texts(value, visit)
    if isinstance(value, str):
        if key == "description":
            return visit(value)
        return with_pattern(value, visit) if key == "regex" else value
    return _description(value, visit)


def replacing(texts: Sequence[str]) -> Visit:
    """A visit that puts other texts in the places of `texts_of`."""
    following: Iterator[str] = iter(texts)
    return lambda _: next(following)
