"""A small vocabulary with the family's markers, and a random model that walks a constraint."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from seekd.constrain.matcher import ConstraintCompiler, GrammarMatcher
from seekd.vocabulary import TokenKind

END, USER, THINK, THINK_END, DSML = range(256, 261)
MARKERS = MappingProxyType(
    {
        "<｜end▁of▁sentence｜>": END,
        "<｜User｜>": USER,
        "<think>": THINK,
        "</think>": THINK_END,
        "｜DSML｜": DSML,
    }
)
# Longer entries cross the borders of lexemes, where a mask is easiest to get wrong.
PIECES = (
    '{"',
    '": "',
    '": ',
    '", "',
    '"}',
    ', "',
    "}, {",
    "\n\n",
    ">\n",
    "</",
    "the ",
    "name",
    '="',
    "tr",
    "ue",
    "é",
    "天",
)


class ByteVocabulary:
    """Every byte, the family's markers and some pieces; encodes by the longest match."""

    def __init__(self) -> None:
        entries = [bytes([byte]) for byte in range(256)]
        entries += [spelling.encode() for spelling in MARKERS]
        entries += [piece.encode() for piece in PIECES]
        self._entries = entries
        self._longest_first = [THINK, THINK_END, DSML, *range(len(entries) - len(PIECES), len(entries)), *range(256)]
        self._longest_first.sort(key=lambda token_id: -len(entries[token_id]))

    @property
    def size(self) -> int:
        return len(self._entries)

    @property
    def end_token_ids(self) -> frozenset[int]:
        return frozenset({END})

    @property
    def special_tokens(self) -> Mapping[str, int]:
        return MARKERS

    def kind(self, token_id: int) -> TokenKind:
        if token_id in (THINK, THINK_END, DSML):
            return TokenKind.USER_DEFINED
        return TokenKind.CONTROL if token_id in (END, USER) else TokenKind.NORMAL

    def token_bytes(self, token_id: int) -> bytes:
        return self._entries[token_id]

    def tokenize(self, text: str) -> list[int]:
        rest = text.encode()
        token_ids = []
        while rest:
            token_id = next(i for i in self._longest_first if rest.startswith(self._entries[i]))
            token_ids.append(token_id)
            rest = rest[len(self._entries[token_id]) :]
        return token_ids

    def tokenize_pieces(self, text: str) -> Iterator[list[int]]:
        yield self.tokenize(text)


class RandomModel:
    """Chooses uniformly among the allowed tokens: worse than any temperature makes a real model.

    Attributes:
        vocabulary: what it writes in.
        compiler: keeps the vocabulary's tables.
    """

    def __init__(self) -> None:
        self.vocabulary = ByteVocabulary()
        self.compiler = ConstraintCompiler()

    def matcher(self, grammar: str) -> GrammarMatcher:
        return self.compiler(grammar, self.vocabulary)

    def starts_with(self, start: bytes) -> list[int]:
        """The tokens that begin with these bytes."""
        return [n for n in range(self.vocabulary.size) if self.vocabulary.token_bytes(n).startswith(start)]

    def write(
        self, grammar: str, *, seed: int, max_steps: int = 400, closing: float = 0.4, hostile: float = 0.1
    ) -> str | None:
        """The text of one walk; None when `max_steps` did not reach the end.

        Args:
            grammar: an llguidance grammar.
            seed: of the choices.
            max_steps: tokens to choose, forced ones not counted.
            closing: how often a token that closes something is preferred, so that walks end.
            hostile: how often a token of the call format's marks is preferred, so that values try to break out.
        """
        chance = random.Random(seed)
        matcher = self.matcher(grammar)
        text = b""
        for _ in range(max_steps):
            while forced := matcher.forced_token_ids():
                for token_id in forced:
                    matcher.accept(token_id)
                    text += self.vocabulary.token_bytes(token_id)
            if matcher.is_complete():
                return text.decode()
            choices = np.flatnonzero(matcher.allowed()).tolist()
            draw = chance.random()
            preferred = CLOSING if draw < closing else HOSTILE if draw < closing + hostile else frozenset(choices)
            token_id = chance.choice([choice for choice in choices if choice in preferred] or choices)
            if token_id == END:
                return text.decode()
            matcher.accept(token_id)
            text += self.vocabulary.token_bytes(token_id)
        return None


HOSTILE = frozenset({ord("<"), 256 + len(MARKERS) + PIECES.index("</"), DSML, *"｜DSML｜".encode()})
CLOSING = frozenset({END, ord('"'), ord("}"), ord("]"), ord("<"), 256 + len(MARKERS) + PIECES.index('"}')})
