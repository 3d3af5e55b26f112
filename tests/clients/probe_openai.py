"""The official OpenAI client for Python under faults."""

from __future__ import annotations

from typing import Any

from openai import OpenAI
from probing import QUESTION, TIMEOUT_S, TOOL, URL, probe

CLIENT: Any = OpenAI(api_key="any", base_url=f"{URL}/v1", max_retries=0, timeout=TIMEOUT_S)


def ask(is_stream: bool, is_call: bool) -> str:
    options = {"tools": [{"type": "function", "function": TOOL}]} if is_call else {}
    answer = CLIENT.chat.completions.create(
        model="deepseek-chat", messages=[{"role": "user", "content": QUESTION}], stream=is_stream, **options
    )
    pieces = (chunk.choices[0].delta for chunk in answer) if is_stream else (answer.choices[0].message,)
    text = ""
    for piece in pieces:
        if is_call:
            text += "".join(call.function.arguments for call in piece.tool_calls or ())
        else:
            text += piece.content or ""
    return text


probe(ask)
