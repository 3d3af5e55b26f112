"""LiteLLM as a client under faults."""

from __future__ import annotations

import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # read at its import; otherwise that fetches a list of prices

import litellm
from probing import QUESTION, TIMEOUT_S, TOOL, URL, probe

litellm.telemetry = False
litellm.suppress_debug_info = True


def ask(is_stream: bool, is_call: bool) -> str:
    options: dict[str, Any] = {"tools": [{"type": "function", "function": TOOL}]} if is_call else {}
    answer: Any = litellm.completion(
        model="deepseek/deepseek-chat",
        api_base=f"{URL}/v1",
        api_key="any",
        messages=[{"role": "user", "content": QUESTION}],
        stream=is_stream,
        timeout=TIMEOUT_S,
        max_retries=0,
        num_retries=0,
        **options,
    )
    pieces = (chunk.choices[0].delta for chunk in answer) if is_stream else (answer.choices[0].message,)
    text = ""
    for piece in pieces:
        if is_call:
            text += "".join(call.function.arguments or "" for call in piece.tool_calls or ())
        else:
            text += piece.content or ""
    return text


probe(ask)
