"""LangChain's DeepSeek integration under faults."""

from __future__ import annotations

import json
from typing import Any

from langchain_deepseek import ChatDeepSeek
from probing import QUESTION, TIMEOUT_S, TOOL, URL, probe

MODEL: Any = ChatDeepSeek(
    model="deepseek-chat", api_key="any", api_base=f"{URL}/v1", max_retries=0, timeout=TIMEOUT_S, stream_usage=True
)


def ask(is_stream: bool, is_call: bool) -> str:
    model = MODEL.bind_tools([{"type": "function", "function": TOOL}]) if is_call else MODEL
    if is_stream:
        answer = None
        for chunk in model.stream(QUESTION):
            answer = chunk if answer is None else answer + chunk
    else:
        answer = model.invoke(QUESTION)
    if is_call:
        return "".join(json.dumps(call["args"]) for call in answer.tool_calls)
    return str(answer.content)


probe(ask)
