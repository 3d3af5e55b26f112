"""A parser that writes down what it gets."""

from collections.abc import Sequence

from seekd.prompt.types import Json, OutputChunk, PromptUsage


class ListeningParser:
    """Implements `types.OutputParser`."""

    def __init__(self) -> None:
        self.pushed: list[tuple[object, int]] = []
        self.stopped = False
        self.num_reasoning_tokens = 7
        self.closed = False

    def ready(self, usage: PromptUsage) -> list[OutputChunk]:
        self.pushed.append(("ready", usage.num_prompt_tokens))
        return []

    def push_text(self, text: str, *, num_tokens: int) -> list[OutputChunk]:
        self.pushed.append((text, num_tokens))
        return []

    def push_tokens(
        self, token_ids: Sequence[int], logprobs: Sequence[tuple[float, Sequence[tuple[int, float]]]]
    ) -> list[OutputChunk]:
        self.pushed.append((bytes(token_ids).decode(errors="replace"), len(logprobs)))
        return []

    def finish(self, *, hit_length_limit: bool) -> list[OutputChunk]:
        self.pushed.append(("finish", int(hit_length_limit)))
        return []

    def close(self) -> None:
        self.closed = True

    def response(self) -> Json:
        return {}
