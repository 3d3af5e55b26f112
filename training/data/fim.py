"""Fill in the middle, and plain text to continue."""

from __future__ import annotations

import random

from training.data.context import passage
from training.data.conversation import BOS, EOS, Talk
from training.data.knowledge import TOPICS
from training.data.stories import story

FIM_BEGIN, FIM_HOLE, FIM_END = "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"
_OPS = [("add", "+", "sum"), ("subtract", "-", "difference"), ("multiply", "*", "product"), ("divide", "/", "quotient")]
_ARGS = [("a", "b"), ("x", "y"), ("first", "second"), ("left", "right"), ("m", "n")]
_ITEMS = ["items", "values", "numbers", "words", "names", "data"]


def code(rng: random.Random) -> str:
    """A very small Python program."""
    name, sign, noun = rng.choice(_OPS)
    a, b = rng.choice(_ARGS)
    v, n, m = rng.choice(_ITEMS), rng.randint(1, 9), rng.randint(1, 9)
    k = rng.randrange(12)
    return (
        f"def {name}({a}, {b}):\n    return {a} {sign} {b}\n\nprint({name}({n}, {m}))\n",
        f"def {name}({a}, {b}):\n    {noun} = {a} {sign} {b}\n    return {noun}\n",
        f"for i in range({n}):\n    print(i)\n",
        f"def is_even({a}):\n    return {a} % 2 == 0\n\nprint(is_even({n}))\n",
        f"def total({v}):\n    result = 0\n    for value in {v}:\n        result += value\n    return result\n",
        f"def largest({v}):\n    best = {v}[0]\n    for value in {v}:\n        if value > best:\n            best = value\n    return best\n",
        f"def square({a}):\n    return {a} * {a}\n\nprint(square({n}))\n",
        'def greet(name):\n    return "Hello, " + name + "!"\n\nprint(greet("World"))\n',
        f"{v} = [{n}, {m}, {n + m}]\nfor value in {v}:\n    print(value)\n",
        f"def count({v}):\n    return len({v})\n\nprint(count([{n}, {m}]))\n",
        "def factorial(n):\n    if n == 0:\n        return 1\n    return n * factorial(n - 1)\n",
        f"class Counter:\n    def __init__(self):\n        self.value = {n}\n\n    def add(self, amount):\n        self.value += amount\n        return self.value\n",
    )[k]


def _text(rng: random.Random) -> str:
    x = rng.random()
    if x < 0.5:
        return code(rng)
    if x < 0.7:
        return passage(rng)[0]
    if x < 0.85:
        return " ".join(rng.choice(TOPICS)[1:])
    return story(rng)


def fim_talk(rng: random.Random) -> Talk:
    """A text with a hole at word borders, or the text as it is."""
    text = _text(rng)
    if rng.random() < 0.2:
        return Talk(raw=[(BOS, True, False), (text, False, True), (EOS, True, True)])
    cuts = [i for i, c in enumerate(text) if c in " \n(" and 0 < i < len(text) - 1]
    if len(cuts) < 3:
        return fim_talk(rng)
    i = rng.randrange(len(cuts) - 1)
    j = min(len(cuts) - 1, i + rng.choice((1, 1, 2, 3, 4, 6)))
    start, end = cuts[i] + rng.choice((0, 1)), cuts[j] + rng.choice((0, 0, 1))
    if rng.random() < 0.3:  # up to the end of the line, the usual case in an editor
        stop = text.find("\n", start)
        end = stop if stop > start else end
    if end <= start:
        return fim_talk(rng)
    return Talk(
        raw=[
            (BOS, True, False),
            (FIM_BEGIN, True, False),
            (text[:start], False, False),
            (FIM_HOLE, True, False),
            (text[end:], False, False),
            (FIM_END, True, False),
            (text[start:end], False, True),
            (EOS, True, True),
        ]
    )
