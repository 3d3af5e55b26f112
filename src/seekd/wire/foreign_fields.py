"""Fields of other servers that would change an answer there, and that have no effect here.

They are not refused: clients send them to whatever server is configured. But an answer that differs from what its
caller asked for must say so, in the header `X-Seekd-Warning`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FOREIGN_FIELDS = frozenset(
    {
        # vLLM and SGLang
        "add_generation_prompt",
        "allowed_token_ids",
        "bad_words",
        "best_of",
        "chat_template",
        "chat_template_kwargs",
        "continue_final_message",
        "guided_choice",
        "guided_grammar",
        "guided_json",
        "guided_regex",
        "ignore_eos",
        "length_penalty",
        "min_p",
        "min_tokens",
        "regex",
        "repetition_penalty",
        "stop_token_ids",
        "structured_outputs",
        "top_k",
        "use_beam_search",
        # llama-server
        "dry_multiplier",
        "grammar",
        "json_schema",
        "mirostat",
        "repeat_penalty",
        "typical_p",
        "xtc_probability",
        # Ollama
        "format",
        "num_ctx",
        "num_predict",
        "options",
        # other hosted services
        "enable_thinking",
        "logit_bias",
        "thinking_budget",
    }
)
"""Source: the request schemas of vLLM, SGLang, llama-server, Ollama, OpenAI and DashScope."""


def foreign_warnings(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """One sentence that names the fields of a body that other servers would have followed; none for empty values."""
    named = [name for name in fields if name in FOREIGN_FIELDS and fields[name] not in (None, False, [], {})]
    return (f"Without effect here: {', '.join(named)}",) if named else ()
