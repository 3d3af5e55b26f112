"""The official Anthropic client under faults."""

from __future__ import annotations

import json
from typing import Any

import anthropic
from probing import QUESTION, TIMEOUT_S, TOOL, URL, probe

CLIENT: Any = anthropic.Anthropic(api_key="any", base_url=f"{URL}/anthropic", max_retries=0, timeout=TIMEOUT_S)


def ask(is_stream: bool, is_call: bool) -> str:
    tool = {"name": TOOL["name"], "description": TOOL["description"], "input_schema": TOOL["parameters"]}
    options: dict[str, Any] = {"model": "deepseek-chat", "max_tokens": 100, "tools": [tool] if is_call else []}
    options["messages"] = [{"role": "user", "content": QUESTION}]
    if is_stream:
        with CLIENT.messages.stream(**options) as stream:
            message = stream.get_final_message()
    else:
        message = CLIENT.messages.create(**options)
    if is_call:
        return "".join(json.dumps(block.input) for block in message.content if block.type == "tool_use")
    return "".join(block.text for block in message.content if block.type == "text")


probe(ask)
