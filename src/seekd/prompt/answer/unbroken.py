"""Generated text on its way to the parser, with certain texts kept in one piece.

A placeholder that the model writes comes in several tokens; what is to be put in its place can only be put there when
it is whole in one event. So text is held back while it may be the beginning of one, and everything else flows:

    "Dear ["  "EMA"  "IL_"  "1]"  ", "     tokens
    "Dear "  ·      ·      "[EMAIL_1]"  ", "     to the parser
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from seekd.prompt.answer.detokenizer import Detokenizer
from seekd.prompt.types import Json, OutputChunk, OutputParser, PromptUsage


class UnbrokenTexts:
    """Holds back the end of a text while it may go on to one of `texts`; none of them has its first sign twice."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._first_signs = {text[0] for text in texts}
        self._texts = sorted(texts)
        self.held = ""

    def push(self, text: str) -> str:
        """What can be given on."""
        text = self.held + text
        start = max((text.rfind(sign) for sign in self._first_signs), default=-1)
        cut = start if start >= 0 and self._may_go_on(text[start:]) else len(text)
        self.held = text[cut:]
        return text[:cut]

    def _may_go_on(self, beginning: str) -> bool:
        place = bisect_right(self._texts, beginning)
        return place < len(self._texts) and self._texts[place].startswith(beginning)

    def flush(self) -> str:
        """What was held back, at the end."""
        held, self.held = self.held, ""
        return held


class UnbrokenParser:
    """A parser that gets `texts` in one piece. Implements `types.OutputParser`.

    Args:
        parser: gets the text.
        texts: as of `UnbrokenTexts`.
        token_bytes: the bytes that a token stands for.
    """

    def __init__(self, parser: OutputParser, texts: Sequence[str], token_bytes: Callable[[int], bytes]) -> None:
        self._parser = parser
        self._texts = UnbrokenTexts(texts)
        self._token_bytes = token_bytes
        self._detokenizer = Detokenizer()
        self._num_held_tokens = 0
        self._held_token_ids: list[int] = []
        self._held_logprobs: list[tuple[float, Sequence[tuple[int, float]]]] = []

    def ready(self, usage: PromptUsage) -> list[OutputChunk]:
        """Say that generation begins."""
        return self._parser.ready(usage)

    @property
    def num_reasoning_tokens(self) -> int:
        """Generated tokens so far that are reasoning."""
        return self._parser.num_reasoning_tokens

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found."""
        return self._parser.stopped

    def push_text(self, text: str, *, num_tokens: int) -> list[OutputChunk]:
        """Give the next text; tokens of what is held back count when it is given on."""
        self._num_held_tokens += num_tokens
        free = self._texts.push(text)
        return self._give(free) if free else []

    def push_tokens(
        self, token_ids: Sequence[int], logprobs: Sequence[tuple[float, Sequence[tuple[int, float]]]]
    ) -> list[OutputChunk]:
        """Give the next tokens; those of a text that is kept in one piece are given on together."""
        self._held_token_ids += token_ids
        self._held_logprobs += logprobs
        self._texts.push("".join(self._detokenizer.push(self._token_bytes(token_id)) for token_id in token_ids))
        return [] if self._texts.held else self._give_tokens()

    def finish(self, *, hit_length_limit: bool) -> list[OutputChunk]:
        """Say that generation ended by itself; what was held back is given on before."""
        events: list[OutputChunk] = []
        if not self._parser.stopped:
            held = self._texts.flush()
            if self._held_token_ids:
                events += self._give_tokens()
            elif held or self._num_held_tokens:
                events += self._give(held)
        return events + self._parser.finish(hit_length_limit=hit_length_limit)

    def close(self) -> None:
        """Drop everything."""
        self._parser.close()

    def response(self) -> Json:
        """The whole response; valid after `finish`."""
        return self._parser.response()

    def _give(self, text: str) -> list[OutputChunk]:
        num_tokens, self._num_held_tokens = self._num_held_tokens, 0
        return self._parser.push_text(text, num_tokens=num_tokens)

    def _give_tokens(self) -> list[OutputChunk]:
        token_ids, self._held_token_ids = self._held_token_ids, []
        logprobs, self._held_logprobs = self._held_logprobs, []
        return self._parser.push_tokens(token_ids, logprobs)
