"""Where a body has texts that people and programs wrote, in all of the protocols.

Room: wire. Imports msgspec only. Names, ids, types, schemas and parameters are no such texts; what describes a tool is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

Visit = Callable[[str], str]

_TEXTS = frozenset(("content", "text", "reasoning_content", "thinking", "output", "refusal", "summary"))
_HOLDERS = frozenset(("tool_calls", "function", "function_call"))
_BODY_TEXTS = ("system", "instructions", "messages", "input", "prompt", "suffix")
_TOOLS = ("tools", "functions")
_VALUES_OF_SCHEMAS = frozenset(("const", "default", "enum", "examples"))


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
    for name in _TOOLS:
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
        return _leaves(value, visit)
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
    changed = _leaves(value, visit)
    return text if changed == value else msgspec.json.encode(changed).decode()


def _leaves(value: Any, visit: Visit) -> Any:
    if isinstance(value, str):
        return visit(value)
    if isinstance(value, list):
        return [_leaves(entry, visit) for entry in value]
    if isinstance(value, dict):
        return {key: _leaves(member, visit) for key, member in value.items()}
    return value


def _description(value: Any, visit: Visit) -> Any:
    if isinstance(value, list):
        return [_description(entry, visit) for entry in value]
    if not isinstance(value, dict):
        return value
    changed = {}
    for key, member in value.items():
        if key == "description" and isinstance(member, str):
            changed[key] = visit(member)
        else:
            changed[key] = member if key in _VALUES_OF_SCHEMAS else _description(member, visit)
    return changed


def replacing(texts: Sequence[str]) -> Visit:
    """A visit that puts other texts in the places of `texts_of`."""
    following: Iterator[str] = iter(texts)
    return lambda _: next(following)
