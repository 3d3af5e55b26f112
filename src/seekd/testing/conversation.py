"""A chat conversation as plain values that are the same in every run, for snapshots."""

from __future__ import annotations

import json
from typing import Any

from seekd.testing.seen import Json, SeenRequest


def conversation_of(seen: SeenRequest) -> list[Json]:
    """The messages of a request and of its answer, ids of calls counted through."""
    messages = seen.body.get("messages")
    whole = [*(messages if isinstance(messages, list) else ()), answer_of(seen.answer)]
    return _Numbered().of(json.loads(json.dumps(whole)))  # type: ignore[no-any-return]  # a list in, a list out


def answer_of(sent: bytes) -> Json:
    """The assistant's message of an answer, streamed or whole; members without a value are left out."""
    if sent.lstrip().startswith(b"{"):
        message = json.loads(sent)["choices"][0]["message"]
        return {name: value for name, value in message.items() if value is not None}
    answer: Json = {"role": "assistant"}
    for block in sent.split(b"\n\n"):
        if block.startswith(b"data: {"):
            data = json.loads(block.removeprefix(b"data: "))
            for choice in data.get("choices", ()):
                _add(answer, choice["delta"])
    return answer


def _add(answer: Json, delta: Json) -> None:
    for name in ("reasoning_content", "content"):
        if delta.get(name):
            answer[name] = answer.get(name, "") + delta[name]
    for piece in delta.get("tool_calls") or ():
        calls = answer.setdefault("tool_calls", [])
        if piece["index"] >= len(calls):
            function = {"name": piece["function"]["name"], "arguments": ""}
            calls.append({"id": piece["id"], "type": "function", "function": function})
        calls[piece["index"]]["function"]["arguments"] += piece["function"].get("arguments") or ""


class _Numbered:
    # Replaces each id of a call by its number, wherever it stands.

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def of(self, value: Any) -> Any:  # any JSON
        if isinstance(value, list):
            return [self.of(item) for item in value]
        if not isinstance(value, dict):
            return value
        is_call = "function" in value and "id" in value
        return {
            name: self._name(item) if name == "tool_call_id" or (is_call and name == "id") else self.of(item)
            for name, item in value.items()
            if not (is_call and name == "index")
        }

    def _name(self, call_id: object) -> str:
        return self._names.setdefault(str(call_id), f"call_{len(self._names) + 1}")
