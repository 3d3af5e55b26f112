"""Text that repeats itself and tables to look things up in: where copying is learnt before it is needed.

A small network finds out late that it can copy what it has read, and until then it answers with the most common name.
These pages reward nothing else. Short ones in small steps teach it within 400 steps; with long ones in large steps, or
inside the whole mixture, it had learnt nothing of it after 600.
"""

from __future__ import annotations

import random

from training.data.conversation import BOS, EOS, Segment, Talk
from training.data.opendata import OpenData
from training.data.words import TRAIN_FIRST, TRAIN_LAST, TRAIN_US, TRAIN_WORLD, held_out, invented


class Copybook:
    """Lists that are written twice, and keys with values that are asked for."""

    def __init__(self, data: OpenData) -> None:
        self._words = [m for r in data.lines("wordnet") for m in r["members"] if len(m) < 24 and not held_out(m)]
        self._words = self._words or [*TRAIN_FIRST, *TRAIN_WORLD]

    def _word(self, rng: random.Random) -> str:
        x = rng.random()
        if x < 0.45:
            word = rng.choice(self._words)
            return word if rng.random() < 0.6 else word.capitalize() if rng.random() < 0.8 else word.upper()
        if x < 0.65:
            return invented(rng)
        if x < 0.8:
            return rng.choice(rng.choice((TRAIN_FIRST, TRAIN_LAST, TRAIN_US, TRAIN_WORLD)))
        if x < 0.92:
            return str(rng.randint(0, 10 ** rng.randint(1, 5)))
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789-_.ABCDEFGH") for _ in range(rng.randint(3, 10)))

    def _value(self, rng: random.Random) -> str:
        """One word, or several: a copy must also go on to its end."""
        count = 1 if rng.random() < 0.65 else rng.randint(2, 4)
        return " ".join(self._word(rng) for _ in range(count))

    def short(self, rng: random.Random) -> Talk:
        """A page of at most about a hundred tokens."""
        return self._page(self._repeated(rng, 9) if rng.random() < 0.35 else self._looked_up(rng, 5))

    def long(self, rng: random.Random) -> Talk:
        """A page of up to a few hundred tokens."""
        return self._page(self._repeated(rng, 30) if rng.random() < 0.5 else self._looked_up(rng, 12))

    def _page(self, text: list[Segment]) -> Talk:
        return Talk(raw=[(BOS, True, False), *text, (EOS, True, False)])

    def _repeated(self, rng: random.Random, most: int) -> list[Segment]:
        between = rng.choice((" ", ", ", "\n", "; ", '", "'))
        text = between.join(self._word(rng) for _ in range(rng.randint(3, most)))
        after = rng.choice(("\n\n", "\n", " | ", ". "))
        return [(text + after, False, False), (text, False, True)]

    def _looked_up(self, rng: random.Random, most: int) -> list[Segment]:
        link = rng.choice((": ", " = ", " is ", " -> ", '": "'))
        after = rng.choice(("\n", "; ", ", ", ". "))
        keys = {self._word(rng): self._value(rng) for _ in range(rng.randint(2, most))}
        out: list[Segment] = [(after.join(k + link + v for k, v in keys.items()) + "\n\n", False, False)]
        if rng.random() < 0.65:  # a word behind a space and the same word without one are different tokens
            link, after = rng.choice((('="', '"\n'), (">", "</\n"), ('":"', '"\n'), ("(", ")\n")))
        for k in rng.sample(list(keys), len(keys)):
            out += [(k + link, False, False), (keys[k] + after, False, True)]
        return out
