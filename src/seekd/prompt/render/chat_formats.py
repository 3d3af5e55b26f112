"""From a family's name and a model's own facts to the format that speaks to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seekd.errors import ConfigError, InvalidParameter
from seekd.prompt.render.chat_template import ChatTemplate
from seekd.prompt.render.families.dsml_v32 import DsmlV32Format, tools_text_of
from seekd.prompt.render.families.fenced import FencedFormat
from seekd.prompt.render.families.hybrid import HybridFormat
from seekd.prompt.render.families.speciale import SpecialeFormat
from seekd.prompt.render.families.template import CompletionFormat, TemplateFormat
from seekd.prompt.types import DEEPSEEK_FIM, ChatFormat, FimMarkers, PackageFormat, PromptFormat

_FIM_MARKERS = (
    DEEPSEEK_FIM,
    FimMarkers(begin="<|fim_prefix|>", hole="<|fim_suffix|>", end="<|fim_middle|>"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a model's file says of itself.

    Attributes:
        template: its chat template; None where it has none.
        special_tokens: spelling to id of every control and user-defined entry.
        bos: the spelling of its first token; None where it has none.
        eos: the spelling of its last token.
        adds_bos: whether prompts begin with `bos` even where a template does not write it.
    """

    template: str | None
    special_tokens: Mapping[str, int]
    bos: str | None = None
    eos: str | None = None
    adds_bos: bool = False


def facts_of(metadata: Mapping[str, str], special_tokens: Mapping[str, int]) -> ModelFacts:
    """Read the facts off a file's metadata."""
    spelling_of = {token_id: spelling for spelling, token_id in special_tokens.items()}
    bos = spelling_of.get(_number(metadata, "tokenizer.ggml.bos_token_id"))
    # llama.cpp's own rule where the file says nothing: SentencePiece vocabularies want it, byte-level ones do not.
    default = "true" if metadata.get("tokenizer.ggml.model") == "llama" else "false"
    return ModelFacts(
        template=metadata.get("tokenizer.chat_template") or None,
        special_tokens=special_tokens,
        bos=bos,
        eos=spelling_of.get(_number(metadata, "tokenizer.ggml.eos_token_id")),
        adds_bos=bos is not None and metadata.get("tokenizer.ggml.add_bos_token", default).lower() == "true",
    )


def chat_format(prompt_format: PromptFormat, facts: ModelFacts) -> ChatFormat:
    """The format of a loaded model. Tries its template, which costs milliseconds.

    Raises:
        ConfigError: the format needs a chat template that the file does not have, or cannot use the one it has.
    """
    if prompt_format in (PromptFormat.V41, PromptFormat.V4):
        return PackageFormat(prompt_format=prompt_format)
    if prompt_format is PromptFormat.V32:
        return DsmlV32Format(tools_text_of(_template(facts)))
    if prompt_format is PromptFormat.V32_SPECIALE:
        return SpecialeFormat()
    if prompt_format is PromptFormat.V31:
        return HybridFormat()
    bos = facts.bos if facts.adds_bos else None
    fim = next((markers for markers in _FIM_MARKERS if _has(markers, facts)), None)
    if prompt_format is PromptFormat.TEMPLATE:
        template = _template(facts)
        if template is None:
            raise ConfigError("[model] prompt_format is 'template', but the model file has no chat template.")
        try:
            return TemplateFormat(template, bos=bos, fim=fim)
        except InvalidParameter as error:
            raise ConfigError(f"The model file's chat template renders no question: {error.message}") from error
    if prompt_format is PromptFormat.COMPLETION:
        return CompletionFormat(bos=bos, fim=fim)
    return FencedFormat(prompt_format)


def _template(facts: ModelFacts) -> ChatTemplate | None:
    if facts.template is None:
        return None
    return ChatTemplate(
        facts.template,
        special_tokens=facts.special_tokens,
        variables={"bos_token": facts.bos or "", "eos_token": facts.eos or ""},
    )


def _has(markers: FimMarkers, facts: ModelFacts) -> bool:
    return {markers.begin, markers.hole, markers.end} <= facts.special_tokens.keys()


def _number(metadata: Mapping[str, str], key: str) -> int:
    value = metadata.get(key, "")
    return int(value) if value.isdecimal() else -1
