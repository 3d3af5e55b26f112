"""The parser of a family that the protocol package does not know: its text is translated for the package's parser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seekd.prompt.answer.detokenizer import Detokenizer
from seekd.prompt.answer.recipe_parser import RecipeParser
from seekd.prompt.answer.translator import AnswerTranslator
from seekd.prompt.types import Json, OutputChunk, PromptUsage

TokenLogprobs = tuple[float, Sequence[tuple[int, float]]]


class FamilyParser:
    """Implements `types.OutputParser`.

    Args:
        inner: reads what `translator` writes; its reasoning tokens are counted here.
        translator: of the family's answer.
        token_bytes: the bytes of each token; None where no log-probabilities were asked for.
    """

    def __init__(
        self,
        inner: RecipeParser,
        translator: AnswerTranslator,
        *,
        token_bytes: Mapping[int, bytes] | None,
    ) -> None:
        self._inner = inner
        self._translator = translator
        self._token_bytes = token_bytes
        self._detokenizer = Detokenizer()
        self._pending: list[tuple[int, TokenLogprobs]] = []
        self._pending_text = ""

    def ready(self, usage: PromptUsage) -> list[OutputChunk]:
        """Say that generation begins; yields the opening events."""
        events = self._inner.ready(usage)
        lead = self._translator.push("")
        return events + self._inner.push_text(lead, num_tokens=0) if lead else events

    def push_text(self, text: str, *, num_tokens: int) -> list[OutputChunk]:
        """Give the next text and how many generated tokens it accounts for."""
        translated = self._translate(text, num_tokens)
        return self._inner.push_text(translated, num_tokens=num_tokens)

    def push_tokens(self, token_ids: Sequence[int], logprobs: Sequence[TokenLogprobs]) -> list[OutputChunk]:
        """Give the next tokens with their log-probabilities.

        Tokens whose text passes unchanged go on as tokens, with what was known of them; those of markup go on as the
        text that was made of them.
        """
        if self._token_bytes is None:
            raise ValueError("The parser was opened without a tokenizer.")
        events: list[OutputChunk] = []
        for token_id, entry in zip(token_ids, logprobs, strict=True):
            text = self._detokenizer.push(self._token_bytes[token_id])
            self._pending.append((token_id, entry))
            self._pending_text += text
            events += self._pass_on(self._translate(text, 1))
        return events

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found."""
        return self._inner.stopped

    @property
    def num_reasoning_tokens(self) -> int:
        """Generated tokens so far that were reasoning."""
        return self._inner.num_reasoning_tokens

    def finish(self, *, hit_length_limit: bool) -> list[OutputChunk]:
        """Say that generation ended by itself."""
        events: list[OutputChunk] = []
        if not self._inner.stopped:
            translated = self._translator.push(self._detokenizer.flush())
            translated += self._translator.flush(is_cut=hit_length_limit)
            events += self._pass_on(translated) or self._inner.push_text("", num_tokens=len(self._pending))
        return events + self._inner.finish(hit_length_limit=hit_length_limit)

    def close(self) -> None:
        """Drop everything; no closing events."""
        self._inner.close()

    def response(self) -> Json:
        """The whole response; valid after `finish`."""
        return self._inner.response()

    def _translate(self, text: str, num_tokens: int) -> str:
        was_reasoning = self._translator.is_reasoning
        translated = self._translator.push(text)
        if was_reasoning and self._translator.is_reasoning:
            self._inner.num_reasoning_tokens += num_tokens
        return translated

    def _pass_on(self, translated: str) -> list[OutputChunk]:
        """Send what a piece became: as the pending tokens where it is their text, else as text."""
        if not translated:
            return []
        pending, text, self._pending, self._pending_text = self._pending, self._pending_text, [], ""
        if not text or not translated.endswith(text):
            return self._inner.push_text(translated, num_tokens=len(pending))
        lead = translated.removesuffix(text)
        events = self._inner.push_text(lead, num_tokens=0) if lead else []
        return events + self._inner.push_tokens([token for token, _ in pending], [entry for _, entry in pending])
