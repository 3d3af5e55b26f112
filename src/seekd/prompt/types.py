"""What renders a prompt and what reads an answer, whatever protocol the request came in by.

Token ids are plain ints here.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from seekd.prompt.render.conversation import Conversation


class PromptFormat(enum.StrEnum):
    """A family of chat layouts that models were trained on."""

    V41 = "deepseek-v4.1"
    V4 = "deepseek-v4"
    V32 = "deepseek-v3.2"
    V32_SPECIALE = "deepseek-v3.2-speciale"
    V31 = "deepseek-v3.1"
    V3 = "deepseek-v3"
    R1 = "deepseek-r1"
    R1_0528 = "deepseek-r1-0528"
    V25 = "deepseek-v2.5"
    TEMPLATE = "template"
    COMPLETION = "completion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A run of prompt text.

    Plain text must not become a control or user-defined token, whatever it spells.

    Attributes:
        text: never empty.
        is_control: the text is the spelling of exactly one control or user-defined token, put there by the encoding;
            a model without that token cannot read the prompt.
        is_markup: the encoding wrote the text, so each special token that it spells is meant; what is no token in the
            model's vocabulary is text.
    """

    text: str
    is_control: bool = False
    is_markup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptUsage:
    """Prompt token counts of one request; hits are tokens that were not computed."""

    num_prompt_tokens: int
    num_cached_tokens: int = 0


Json = dict[str, Any]
"""An object of JSON; its members have the order in which they are written."""


OutputChunk = Json
"""One protocol event of the answer, as DeepSeek's own package shapes it. It is edited in place until it is written; its
`type`, where it has one, names the SSE event."""


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

    def response(self) -> Json:
        """The whole response, as accumulated from every chunk so far, for the caller to edit; valid after `finish`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseIdentity:
    """What a response says of itself: constant through a stream. `created_s` is Unix time in whole seconds."""

    response_id: str
    model: str
    created_s: int
    system_fingerprint: str | None = None


class AnswerStart(enum.Enum):
    """Where a prompt leaves the model."""

    CONTENT = "content"
    REASONING = "reasoning"
    MAYBE_REASONING = "maybe reasoning"
    """The model opens its reasoning itself, or answers at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FimMarkers:
    """The markers around a prefix, the hole and a suffix, in the order in which they stand."""

    begin: str
    hole: str
    end: str


DEEPSEEK_BOS = "<｜begin▁of▁sentence｜>"
DEEPSEEK_FIM = FimMarkers(begin="<｜fim▁begin｜>", hole="<｜fim▁hole｜>", end="<｜fim▁end｜>")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFormat:
    """A family that the protocol package speaks itself: V4 and V4.1."""

    prompt_format: PromptFormat
    bos: str | None = DEEPSEEK_BOS
    fim: FimMarkers | None = DEEPSEEK_FIM

    @property
    def call_syntax(self) -> str:
        """Each of the two has a form of calls of its own."""
        return self.prompt_format.value


class FamilyFormat(Protocol):
    """How one loaded model is spoken to: the rules of its family, with the texts that its own file brings."""

    @property
    def prompt_format(self) -> PromptFormat:
        """The family."""

    @property
    def call_syntax(self) -> str:
        """Names the form of tool calls, for `constrain`."""

    @property
    def bos(self) -> str | None:
        """What every prompt of the model begins with; None where that is nothing."""

    @property
    def fim(self) -> FimMarkers | None:
        """How to fill in the middle; None where the model cannot."""

    def render(self, conversation: Conversation) -> list[Segment]:
        """The whole prompt, BOS first. Raises `InvalidParameter` for what the family cannot do."""

    def answer_start(self, conversation: Conversation) -> AnswerStart:
        """Where `render` leaves the model."""


ChatFormat = PackageFormat | FamilyFormat
"""How a loaded model is spoken to."""


class Renderable(Protocol):
    """Something that becomes a prompt. Rendering does not consume it."""

    def render(self, chat_format: ChatFormat) -> list[Segment]:
        """The whole prompt, BOS first. Raises `InvalidParameter` for what the model cannot do."""


class ParsedBody(Renderable, Protocol):
    """A validated body of one protocol, ready to be rendered and answered."""

    @property
    def stops(self) -> Sequence[str]:
        """The stop strings that were asked for; if any, push tokens one at a time, so that none is charged late."""

    def answer_start(self, chat_format: ChatFormat) -> AnswerStart:
        """Where the rendered prompt leaves the model."""

    def open_parser(
        self,
        identity: ResponseIdentity,
        chat_format: ChatFormat,
        *,
        is_json: bool = False,
        tokenizer_json: str | None = None,
    ) -> OutputParser:
        """A parser for this request's answer.

        Args:
            identity: ids and names to answer with.
            chat_format: of the model that answers.
            is_json: an answer that is not a call is a JSON object, whatever marks its strings spell.
            tokenizer_json: a Hugging Face `tokenizer.json` of the model; needed only where logprobs were asked for.
        """
