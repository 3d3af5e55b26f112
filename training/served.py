"""Answers of a running seekd, for the evaluation of a model as its users meet it, with the output rules enforced."""

from __future__ import annotations

from typing import Any

import httpx

from training.data.conversation import Talk, Turn
from training.generate import Output


class ServedRunner:
    """Asks over HTTP; takes the place of `generate.Runner`.

    Args:
        url: the base URL of the API, as clients get it.
    """

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=120)

    def write(self, talk: Talk, *, temperature: float = 0.0, seed: int = 0, limit: int = 320) -> Output:
        """Answer the last turn of a conversation."""
        body: dict[str, Any] = {
            "model": "deepseek-chat",
            "messages": [_message(turn) for turn in talk.turns],
            "thinking": {"type": "enabled" if talk.thinking else "disabled"},
            "temperature": temperature,
            "seed": seed,
            "max_tokens": limit,
        }
        if talk.tools:
            body["tools"] = [{"type": "function", "function": one} for one in talk.tools]
        if talk.json_mode:
            body["response_format"] = {"type": "json_object"}
        response = self._client.post("/chat/completions", json=body)
        if response.is_error:
            raise SystemExit(f"{response.request.url} answered {response.status_code}: {response.text}")
        choice = response.json()["choices"][0]
        message = choice["message"]
        calls = [(one["function"]["name"], one["function"]["arguments"]) for one in message.get("tool_calls") or ()]
        return Output(
            reasoning=message.get("reasoning_content") or "",
            content=message["content"] or "",
            calls=calls,
            ended=choice["finish_reason"] != "length",
        )


def _message(turn: Turn) -> dict[str, str]:
    if turn.role not in ("system", "user", "assistant") or turn.calls:
        raise ValueError("held-out conversations hold no calls and no results")
    return {"role": turn.role, "content": turn.text}
