"""What a grammar may cost: bounds that are read off a keyword, and the limits that llguidance keeps to.

What passes here may still be slow, since the cost of merged conditions is not
seen in any one of them; so compiling has limits of time and memory too, in `service.rule_worker`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from llguidance import LLParserLimits

from seekd.constrain.lark import end_of_class

MAX_REMAINDERS = 100_000
"""Most remainders of a schema's `multipleOf` values together. The lexer has a state for each, which llguidance's limits
do not count: 0.4 s and 50 MiB for as many, and no end in sight for ten million."""
MAX_REPETITIONS = 10_000
"""Most copies of one piece that the counts of an expression may ask for, nested ones multiplied."""
MAX_EXPRESSION_CHARS = 16_384
"""Longest regular expression."""

_COUNTS = re.compile(r"\{(\d{0,9}),?(\d{0,9})\}", re.ASCII)


def parser_limits() -> LLParserLimits:
    """The limits of every matcher; the same to check a grammar and to use it, so that what was checked can be used."""
    return LLParserLimits(
        max_items_in_row=2_000,
        initial_lexer_fuel=1_000_000,
        step_lexer_fuel=200_000,  # about 15 ms of one mask
        step_max_items=50_000,
        max_lexer_states=100_000,  # 1 to 2 kB each
        max_grammar_size=500_000,
        verbose_errors=False,
    )


def num_remainders(multiple: float) -> int:
    """How many remainders have to be told apart for `multipleOf`; for a power of ten the last digits say it all."""
    numerator = Fraction(Decimal(str(multiple))).numerator
    return 1 if str(numerator).rstrip("0") == "1" else numerator


def num_repetitions(expression: str) -> int:
    """The most copies of one piece that an expression's counts ask for: 20 for `(a{1,4}b){5}`."""
    most = [1]  # in each open group, the outermost first
    piece, index = 1, 0
    while index < len(expression):
        char, end = expression[index], index + 1
        if counts := _COUNTS.match(expression, index):
            least, largest = counts.groups()
            piece, end = piece * max(1, int(largest or least or 1)), counts.end()
        elif char == ")" and len(most) > 1:
            piece = most.pop()
        elif char not in "*+?":
            piece = 1
            if char == "(":
                most.append(1)
            elif char == "[":
                end = end_of_class(expression, index)
            elif char == "\\":
                end = index + 2
        most[-1] = max(most[-1], piece)
        index = end
    return max(most)
