"""Answers through DeepSeek's own protocol package: generated text in, protocol events out.

`recipe` makes the parsers.

Written for 0.2: generators are consumed by their use and chunks by accumulation. Its chunks can be had as text only,
which is parsed here, once. What the package lacks is added: a
constant `created`, the count of generated reasoning tokens, and an end that keeps silent after a failure (its own
`finish` would claim a natural stop).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import deepseek_recipe as recipe
import msgspec

from seekd.prompt.answer.patches import Patch
from seekd.prompt.answer.reasoning import ReasoningScanner
from seekd.prompt.types import Json, OutputChunk, PromptUsage, ResponseIdentity

_decode = msgspec.json.Decoder(Json).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerClass:
    """The package's class for whole answers of one protocol, and what is patched in them and their events."""

    response: Any
    patch: Patch


class RecipeParser:
    """Generated text to protocol events. Implements `types.OutputParser`.

    Args:
        identity: of the response.
        processor: of the package.
        aliases: of token ids, to those that the package's tokenizer has.
        answer: of the protocol.
        reasoning: finds the end of the reasoning; None where the answer begins without any, or where whoever writes
            the text counts its tokens.
        reports_reasoning: whether the usage has their number.
        is_whole: nobody reads the events, since the answer is sent in one piece; they are empty then.

    Attributes:
        num_reasoning_tokens: generated so far.
    """

    def __init__(
        self,
        *,
        identity: ResponseIdentity,
        processor: recipe.StreamProcessor,
        aliases: Mapping[int, int],
        answer: AnswerClass,
        reasoning: ReasoningScanner | None,
        reports_reasoning: bool,
        is_whole: bool,
    ) -> None:
        self._identity = identity
        self._processor = processor
        self._aliases = aliases
        self._answer = answer
        self._response: Any = None  # one of the package's three response classes; made by `ready`
        self._reasoning = reasoning
        self.num_reasoning_tokens = 0
        self._reports_reasoning = reports_reasoning
        self._is_whole = is_whole
        self._is_closed = False

    def ready(self, usage: PromptUsage) -> list[OutputChunk]:
        """Say that generation begins; yields the opening events."""
        self._response = self._answer.response(
            self._identity.response_id,
            self._identity.model,
            self._identity.created_s,
            usage.num_prompt_tokens,
            usage.num_cached_tokens,
        )
        chunk = recipe.InferenceChunk.ready(
            prompt_usage=recipe.PromptUsage(
                prompt_tokens=usage.num_prompt_tokens, prompt_cache_hit_tokens=usage.num_cached_tokens
            ),
            system_fingerprint=self._identity.system_fingerprint,
        )
        return self._events(self._processor.push(chunk))

    def push_text(self, text: str, *, num_tokens: int) -> list[OutputChunk]:
        """Give the next text, always whole characters, and how many generated tokens it accounts for."""
        reasoning = self._reasoning
        if reasoning is not None and reasoning.is_reasoning and reasoning.push(text):
            self.num_reasoning_tokens += num_tokens
        return self._events(self._processor.push(recipe.InferenceChunk.text(text, num_tokens)))

    def push_tokens(
        self, token_ids: Sequence[int], logprobs: Sequence[tuple[float, Sequence[tuple[int, float]]]]
    ) -> list[OutputChunk]:
        """Give the next tokens with their log-probabilities."""
        if self._aliases:
            token_ids = [self._aliases.get(token_id, token_id) for token_id in token_ids]
            logprobs = [
                (own, [(self._aliases.get(other, other), value) for other, value in top]) for own, top in logprobs
            ]
        events = self._events(self._processor.push(recipe.InferenceChunk.tokens(token_ids, logprobs)))
        if self._reasoning is not None:
            self.num_reasoning_tokens += sum(_num_reasoning_entries(event) for event in events)
        return events

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found."""
        return not self._is_closed and bool(self._processor.finished)

    def finish(self, *, hit_length_limit: bool) -> list[OutputChunk]:
        """Say that generation ended by itself."""
        events: list[OutputChunk] = []
        if not self._processor.finished:
            reason = recipe.InferenceFinishReason.Length if hit_length_limit else recipe.InferenceFinishReason.Stop
            events += self._events(self._processor.push(recipe.InferenceChunk.finish(reason)))
        return events + self._events(self._processor.finish())

    def close(self) -> None:
        """Drop everything; no closing events."""
        if not self._is_closed:
            self._is_closed = True
            self._processor.close()

    def response(self) -> Json:
        """The whole response; valid after `finish`."""
        data = _decode(self._response.to_json())
        self._answer.patch(data, self._identity.created_s, self._num_reported)
        return data

    def _events(self, chunks: Sequence[Any]) -> list[OutputChunk]:
        events: list[OutputChunk] = []
        for chunk in chunks:
            if self._is_whole:
                self._response.accumulate(chunk)
                events.append({})
                continue
            event = _decode(chunk.to_json())
            self._answer.patch(event, self._identity.created_s, self._num_reported)
            self._response.accumulate(chunk)
            events.append(event)
        return events

    @property
    def _num_reported(self) -> int | None:
        return self.num_reasoning_tokens if self._reports_reasoning else None


def _num_reasoning_entries(data: Json) -> int:
    # Each log-probability of the reasoning is one generated token of it.
    logprobs = [choice["logprobs"] for choice in data.get("choices", ()) if choice["logprobs"] is not None]
    return sum(len(entries.get("reasoning_content") or ()) for entries in logprobs)
