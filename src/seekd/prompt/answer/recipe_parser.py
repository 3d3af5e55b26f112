"""Answers through DeepSeek's own protocol package: generated text in, protocol events out.

`recipe` makes the parsers.

Written for 0.2: generators are consumed by their use and chunks by accumulation. What the package lacks is added: a
constant `created`, the count of generated reasoning tokens, and an end that keeps silent after a failure (its own
`finish` would claim a natural stop).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import deepseek_recipe as recipe

from seekd.prompt.answer.reasoning import GivenCount, ReasoningCounter
from seekd.prompt.types import OutputChunk, PromptUsage, ResponseIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerClass:
    """The package's class for whole answers of one protocol, and the patches of what it and its chunks write."""

    response: Any
    set_created: Callable[[str, int], str]
    set_reasoning_tokens: Callable[[str, int], str]


@dataclass(frozen=True, slots=True)
class RecipeChunk:
    """One protocol event. Implements `types.OutputChunk`."""

    json_text: str
    event_name: str | None = None

    def to_json(self) -> str:
        """Compact JSON."""
        return self.json_text


class RecipeParser:
    """Generated text to protocol events. Implements `types.OutputParser`."""

    def __init__(
        self,
        *,
        identity: ResponseIdentity,
        processor: recipe.StreamProcessor,
        aliases: Mapping[int, int],
        answer: AnswerClass,
        reasoning: ReasoningCounter | GivenCount,
        reports_reasoning: bool,
    ) -> None:
        self._identity = identity
        self._processor = processor
        self._aliases = aliases
        self._answer = answer
        self._response: Any = None  # one of the package's three response classes; made by `ready`
        self._reasoning = reasoning
        self._reports_reasoning = reports_reasoning
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
        return self._push(
            recipe.InferenceChunk.ready(
                prompt_usage=recipe.PromptUsage(
                    prompt_tokens=usage.num_prompt_tokens, prompt_cache_hit_tokens=usage.num_cached_tokens
                ),
                system_fingerprint=self._identity.system_fingerprint,
            )
        )

    def push_text(self, text: str, *, num_tokens: int) -> list[OutputChunk]:
        """Give the next text, always whole characters, and how many generated tokens it accounts for."""
        self._reasoning.push(text, num_tokens)
        return self._push(recipe.InferenceChunk.text(text, num_tokens))

    def push_tokens(
        self, token_ids: Sequence[int], logprobs: Sequence[tuple[float, Sequence[tuple[int, float]]]]
    ) -> list[OutputChunk]:
        """Give the next tokens with their log-probabilities."""
        if self._aliases:
            token_ids = [self._aliases.get(token_id, token_id) for token_id in token_ids]
            logprobs = [
                (own, [(self._aliases.get(other, other), value) for other, value in top]) for own, top in logprobs
            ]
        events = self._push(recipe.InferenceChunk.tokens(token_ids, logprobs))
        self._reasoning.add(sum(_num_reasoning_entries(event.to_json()) for event in events))
        return events

    @property
    def num_reasoning_tokens(self) -> int:
        """Generated tokens so far that are reasoning."""
        return self._reasoning.num_tokens

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found."""
        return not self._is_closed and bool(self._processor.finished)

    def finish(self, *, hit_length_limit: bool) -> list[OutputChunk]:
        """Say that generation ended by itself."""
        events: list[OutputChunk] = []
        if not self._processor.finished:
            reason = recipe.InferenceFinishReason.Length if hit_length_limit else recipe.InferenceFinishReason.Stop
            events += self._push(recipe.InferenceChunk.finish(reason))
        return events + self._take(self._processor.finish())

    def close(self) -> None:
        """Drop everything; no closing events."""
        if not self._is_closed:
            self._is_closed = True
            self._processor.close()

    def response_json(self) -> str:
        """The whole response; valid after `finish`."""
        text = self._answer.set_created(self._response.to_json(), self._identity.created_s)
        return self._with_reasoning(text)

    def _push(self, chunk: recipe.InferenceChunk) -> list[OutputChunk]:
        return self._take(self._processor.push(chunk))

    def _take(self, chunks: Sequence[Any]) -> list[OutputChunk]:
        return [self._taken(chunk) for chunk in chunks]

    def _taken(self, chunk: Any) -> RecipeChunk:
        event_name = self._answer.response.sse_event_name(chunk)
        text = self._answer.set_created(chunk.to_json(), self._identity.created_s)
        self._response.accumulate(chunk)
        return RecipeChunk(self._with_reasoning(text), event_name)

    def _with_reasoning(self, text: str) -> str:
        if not self._reports_reasoning:
            return text
        return self._answer.set_reasoning_tokens(text, self._reasoning.num_tokens)


def _num_reasoning_entries(text: str) -> int:
    # Each log-probability of the reasoning is one generated token of it.
    if '"logprobs":{"reasoning_content":' not in text:
        return 0
    return len(json.loads(text)["choices"][0]["logprobs"]["reasoning_content"])
