"""What a parsed request looks like to the rest of seekd, whatever protocol it came in by.

Room: prompt. May import: errors. Token ids are plain ints here.

    body --wire--> GenerationRequest --service--> prompt token ids --engine--> token ids
         --OutputParser--> OutputChunk --wire--> bytes
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class TokenTable(Protocol):
    """What the prompt room must know of a model's vocabulary; `engine.types.Vocabulary` fulfils it."""

    @property
    def size(self) -> int:
        """Number of entries."""

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Spelling to id of every control and user-defined entry: what user text must never become."""

    def tokenize(self, text: str) -> list[int]:
        """Encode plain text, without BOS and without control tokens; user-defined entries may still be matched."""

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that the token stands for; the spelling for control and user-defined entries."""


class PromptFormat(enum.StrEnum):
    """A family of chat layouts that models were trained on."""

    V41 = "deepseek-v4.1"
    V4 = "deepseek-v4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A run of prompt text.

    Attributes:
        text: never empty.
        is_control: the text is the spelling of exactly one control or user-defined token, put there by the encoding;
            otherwise it is plain text that must not become such a token, whatever it spells.
    """

    text: str
    is_control: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedSampling:
    """The sampling parameters of the validated body, before any model's mapping.

    Attributes:
        temperature: 0 to 2, on the API's scale; None when the body set none.
        top_p: in (0, 1]; None when the body set none.
        presence_penalty: -2 to 2.
        frequency_penalty: -2 to 2.
        seed: None when the body set none.
        num_top_logprobs: None when no logprobs were asked for.
    """

    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    num_top_logprobs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRule:
    """What the request promises of its output, in the protocol's terms; `constrain` makes a grammar of it.

    Attributes:
        kind: `json_object`, `json_schema`, `regex`, `tools`.
        schema: the JSON Schema (json_schema), the expression (regex), else None.
        tools: name, parameters and strictness of each offered tool.
        tool_choice: `auto`, `required`, or the name of the one tool to call.
        json_or_tools: with tools present, an answer that is not a call is a JSON object.
        max_calls: most calls in one answer; None for no limit (legacy functions allow one).
    """

    kind: str
    schema: str | None = None
    tools: Sequence[OfferedTool] = ()
    tool_choice: str = "auto"
    json_or_tools: bool = False
    max_calls: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTool:
    """One tool that the model may call; `parameters` is its JSON Schema or None for no arguments."""

    name: str
    parameters: Mapping[str, object] | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptUsage:
    """Prompt token counts of one request; hits are tokens that were not computed."""

    num_prompt_tokens: int
    num_cached_tokens: int = 0


class OutputChunk(Protocol):
    """One protocol event of the answer, as DeepSeek's own package shapes it."""

    @property
    def event_name(self) -> str | None:
        """The SSE event name; None for unnamed data events."""

    def to_json(self) -> str:
        """Compact JSON."""


class OutputParser(Protocol):
    """Generated text in, protocol events out; one per request. Holds back what may become a stop string or markup."""

    def ready(self, usage: PromptUsage) -> list[OutputChunk]:
        """Say that generation begins; yields the opening events."""

    def push_text(self, text: str, *, num_tokens: int) -> list[OutputChunk]:
        """Give the next text, always whole characters, and how many generated tokens it accounts for.

        Reasoning tokens are counted by push: to have them exact, push one token at a time while the model reasons.
        """

    def push_tokens(
        self, token_ids: Sequence[int], logprobs: Sequence[tuple[float, Sequence[tuple[int, float]]]]
    ) -> list[OutputChunk]:
        """Give the next tokens with their log-probabilities; only for parsers opened with a tokenizer."""

    @property
    def num_reasoning_tokens(self) -> int:
        """Generated tokens so far that are reasoning."""

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found: what follows is not wanted, and the sequence should be aborted."""

    def finish(self, *, hit_length_limit: bool) -> list[OutputChunk]:
        """Say that generation ended by itself; yields what was held back and the closing events with usage."""

    def close(self) -> None:
        """Drop everything; no closing events. For engine failures and disconnects."""

    def response_json(self) -> str:
        """The whole response, as accumulated from every chunk so far; valid after `finish`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseIdentity:
    """What a response says of itself: constant through a stream. `created_s` is Unix time in whole seconds."""

    response_id: str
    model: str
    created_s: int
    system_fingerprint: str | None = None


class Renderable(Protocol):
    """Something that becomes a prompt. Rendering does not consume it."""

    def render(self, prompt_format: PromptFormat) -> list[Segment]:
        """The whole prompt, BOS first."""


class ParsedBody(Renderable, Protocol):
    """A validated body of one protocol, ready to be rendered and answered."""

    @property
    def has_stop(self) -> bool:
        """Whether stop strings were asked for; then push tokens one at a time, so that none is charged late."""

    def open_parser(self, identity: ResponseIdentity, *, tokenizer_json: str | None = None) -> OutputParser:
        """A parser for this request's answer.

        Args:
            identity: ids and names to answer with.
            tokenizer_json: a Hugging Face `tokenizer.json` of the model; needed only where logprobs were asked for.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One request, validated, independent of the protocol it came by.

    Attributes:
        model: the name that the answer carries.
        requested_model: the name as the caller wrote it; access, price and limits go by it in every dialect.
        standing_for: the name that the requested one stands for, where the protocol takes names of any kind.
        stream: whether the caller wants events.
        thinking: whether the model reasons before it answers.
        max_tokens: completion limit asked for; None when the body set none.
        default_max_tokens: what an unset `max_tokens` becomes.
        lower_max_tokens: whether a limit above the room left is lowered to it instead of refused.
        sampling: as asked for.
        user_id: the caller's own name for its user; isolates caches.
        rule: what the output must keep to; None for free text.
        body: renders the prompt and opens the parser.
    """

    model: str
    requested_model: str
    stream: bool
    thinking: bool
    body: ParsedBody
    max_tokens: int | None = None
    default_max_tokens: int = 4096
    lower_max_tokens: bool = True
    sampling: RequestedSampling = field(default_factory=RequestedSampling)
    user_id: str | None = None
    rule: OutputRule | None = None
    standing_for: str | None = None
