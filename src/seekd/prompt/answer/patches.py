"""What the events of the protocol package lack: a constant date, and the count of reasoning tokens that were generated.

The package stamps the date itself and reports reasoning tokens only with a tokenizer.
"""

from __future__ import annotations

from typing import Any, Protocol

from seekd.prompt.types import Json


class Patch(Protocol):
    """Patches an event or a whole response of one protocol."""

    def __call__(self, data: Json, created_s: int, num_reasoning_tokens: int | None) -> None:
        """In place; a count of None leaves the usage as it is."""


def patch_chat(data: Json, created_s: int, num_reasoning_tokens: int | None) -> None:
    """Chat Completions: write `created`, and `completion_tokens_details` where the service has it in its usage."""
    data["created"] = created_s
    usage = data.get("usage")
    if usage is None or num_reasoning_tokens is None:
        return
    counts: dict[str, Any] = {}
    for name, count in usage.items():
        if name == "prompt_cache_hit_tokens":
            counts["completion_tokens_details"] = {"reasoning_tokens": num_reasoning_tokens}
        if name != "completion_tokens_details":
            counts[name] = count
    data["usage"] = counts


def patch_messages(data: Json, created_s: int, num_reasoning_tokens: int | None) -> None:
    """Messages: nothing, since its answers have neither."""


def patch_responses(data: Json, created_s: int, num_reasoning_tokens: int | None) -> None:
    """Responses: write `created_at` and `output_tokens_details` where the response object is."""
    response = data.get("response", data)
    if "created_at" not in response:
        return
    response["created_at"] = created_s
    usage = response.get("usage")
    if usage is not None and num_reasoning_tokens is not None:
        usage["output_tokens_details"]["reasoning_tokens"] = num_reasoning_tokens
