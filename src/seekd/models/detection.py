"""Which chat layout a model file was made for.

Source of the order: docs/reference/formats.md §2. What no rule knows is spoken to
through its own template; a file without one completes text.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from seekd.models.settings import FormatName

_SEPARATOR = "<｜tool▁sep｜>"
_V2_VOCABULARY = "102400"
_NAMES: Mapping[str, FormatName] = MappingProxyType({name: name for name in get_args(FormatName)})


def detect_format(metadata: Mapping[str, str], architecture: str) -> FormatName:
    """The layout, from a file's metadata."""
    declared = _NAMES.get(metadata.get("seekd.prompt_format", ""))
    if declared is not None:
        return declared
    template = metadata.get("tokenizer.chat_template", "")
    has_dsml = "DSML" in template or "dsml_token" in template
    if architecture == "deepseek41":
        return "deepseek-v4.1"
    if architecture == "deepseek4":
        return "deepseek-v4"
    if architecture == "deepseek32" and (has_dsml or _SEPARATOR not in template):
        return _of_v32(metadata)
    if has_dsml:
        return _of_dsml(template, metadata)
    if _SEPARATOR in template or "<｜User｜>" in template:
        return _of_markers(template, metadata, architecture)
    return "template" if template else "completion"


def _of_dsml(template: str, metadata: Mapping[str, str]) -> FormatName:
    if "<｜System｜>" in template:
        return "deepseek-v4.1"
    return _of_v32(metadata) if "function_calls" in template else "deepseek-v4"


def _of_v32(metadata: Mapping[str, str]) -> FormatName:
    # The two have one template and one architecture; only the name tells them apart.
    return "deepseek-v3.2-speciale" if "speciale" in _name(metadata) else "deepseek-v3.2"


def _of_markers(template: str, metadata: Mapping[str, str], architecture: str) -> FormatName:
    if _SEPARATOR in template and "```json" not in template:
        return "deepseek-v3.1"
    # R1 opens its reasoning in the prompt; R1-0528 only cuts it out of stored answers.
    if "<think>" in template:
        return "deepseek-r1"
    if "</think>" in template:
        return "deepseek-r1-0528"
    if "v2.5" in _name(metadata) or metadata.get(f"{architecture}.vocab_size") == _V2_VOCABULARY:
        return "deepseek-v2.5"
    return "deepseek-v3"


def _name(metadata: Mapping[str, str]) -> str:
    keys = ("general.name", "general.basename", "general.finetune")
    return " ".join(metadata.get(key, "") for key in keys).lower()
