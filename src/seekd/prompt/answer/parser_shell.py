"""A parser around a parser; what it does not change goes through."""

from __future__ import annotations

from collections.abc import Sequence

from seekd.prompt.types import Json, OutputChunk, OutputParser, PromptUsage


class ParserShell:
    """Gives everything on. Implements `types.OutputParser`.

    Args:
        parser: does the work.
    """

    def __init__(self, parser: OutputParser) -> None:
        self._parser = parser

    def ready(self, usage: PromptUsage) -> list[OutputChunk]:
        """Say that generation begins."""
        return self._parser.ready(usage)

    def push_text(self, text: str, *, num_tokens: int) -> list[OutputChunk]:
        """Give the next text."""
        return self._parser.push_text(text, num_tokens=num_tokens)

    def push_tokens(
        self, token_ids: Sequence[int], logprobs: Sequence[tuple[float, Sequence[tuple[int, float]]]]
    ) -> list[OutputChunk]:
        """Give the next tokens with their log-probabilities."""
        return self._parser.push_tokens(token_ids, logprobs)

    @property
    def num_reasoning_tokens(self) -> int:
        """Generated tokens so far that are reasoning."""
        return self._parser.num_reasoning_tokens

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found."""
        return self._parser.stopped

    def finish(self, *, hit_length_limit: bool) -> list[OutputChunk]:
        """Say that generation ended by itself."""
        return self._parser.finish(hit_length_limit=hit_length_limit)

    def close(self) -> None:
        """Drop everything."""
        self._parser.close()

    def response(self) -> Json:
        """The whole response."""
        return self._parser.response()
