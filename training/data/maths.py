"""Small arithmetic, with visible steps and with brief thinking."""

from __future__ import annotations

import random

from training.data.conversation import BOS, EOS, Segment, Talk, Turn, bot, system, user
from training.data.words import SYSTEMS, first_name, rough

_ASK = ("What is {e}?", "{e}", "{e} = ?", "Calculate {e}.", "How much is {e}?", "What's {e}?", "Compute {e}", "Solve {e}.", "Can you tell me what {e} is?", "{e}?",
        "What do you get for {e}?", "what's the result of {e}", "Please work out {e}.", "{e} is what?", "{e} makes how much?", "And {e}?", "So how much is {e}?", "What would you get for {e}?",
        "Give me {e}", "Now {e}, please.", "The result of {e}?", "{e} comes to what?", "I want to know {e}", "One question: how much is {e}?", "Let me know {e}", "Say, what is {e}?", "What could {e} be?",
        "{e} gives what?", "What will {e} be?", "what's {e} then?", "What number is {e}?", "Any idea what {e} is?", "Do you know {e}?", "Find {e}", "Evaluate {e}", "Could you do {e} for me?",
        "I have to work out {e}", "Help me with {e}", "What about {e}?", "My homework asks for {e}", "I need the answer to {e}", "Next one: {e}", "Here's another one: {e}?", "What does {e} come to?",
        "What does {e} give?", "Could you tell me what {e} comes to?", "And what would be {e}?", "Then what is {e}?", "So {e} makes?", "{e}: how much?", "{e} results in what?", "Show me {e}",
        "Question: what is {e}?", "Maths: {e}", "Let's do {e}", "I was wondering what {e} is", "How much would {e} be?", "how many is {e}", "Answer this: {e}", "Check {e} for me", "Count {e}",
        "I'd like to have {e}", "What is the answer to {e}?", "Well, {e} is how much?", "{e}, please", "Would you know {e}?", "Try {e}", "For a quiz: {e}?", "{e} comes out as what?")  # fmt: skip
_WORDS = {"+": ("plus", "the sum of {a} and {b}", "add {a} and {b}"), "-": ("minus", "{a} take away {b}", "subtract {b} from {a}"),
          "*": ("times", "the product of {a} and {b}", "multiply {a} by {b}"), "/": ("divided by", "{a} over {b}", "divide {a} by {b}")}  # fmt: skip
_THINGS = [
    "apples",
    "books",
    "coins",
    "cookies",
    "marbles",
    "pencils",
    "eggs",
    "cards",
    "stamps",
    "flowers",
    "stickers",
    "balls",
    "oranges",
    "toys",
]


def problem(rng: random.Random) -> tuple[int, str, int, int]:
    """Operands, operator and result of a small exercise."""
    op = rng.choice("+++---**/")
    if op == "+":
        a, b = rng.randint(0, 99), rng.randint(0, 99)
        if rng.random() < 0.35:
            a, b = rng.randint(1, 20), rng.randint(1, 20)
        return a, op, b, a + b
    if op == "-":
        a = rng.randint(1, 99)
        b = rng.randint(0, a)
        return a, op, b, a - b
    a, b = rng.randint(1, 12), rng.randint(1, 12)
    if op == "*":
        return a, op, b, a * b
    return a * b, op, b, a


def steps(a: int, op: str, b: int, r: int) -> str:
    """One line of reasoning that leads to the result."""
    if op == "+" and a > 9 and b > 9:
        t, o = a // 10 * 10 + b // 10 * 10, a % 10 + b % 10
        return f"{a // 10 * 10} + {b // 10 * 10} = {t}, {a % 10} + {b % 10} = {o}, {t} + {o} = {r}."
    if op == "-" and a > 9 and b > 9:
        t = a - b // 10 * 10
        return f"{a} - {b // 10 * 10} = {t}, {t} - {b % 10} = {r}."
    if op == "/":
        return f"{b} * {r} = {a}, so {a} / {b} = {r}."
    return f"{a} {op} {b} = {r}."


def ask(rng: random.Random, a: int, op: str, b: int) -> str:
    """The exercise in words or signs."""
    x = rng.random()
    if x < 0.62:
        sign = rng.choice("*x×*") if op == "*" else rng.choice("/÷/") if op == "/" else op
        e = f"{a} {sign} {b}" if rng.random() < 0.85 else f"{a}{sign}{b}"
        return rng.choice(_ASK).format(e=e)
    if x < 0.8:
        return rng.choice(_ASK).format(e=f"{a} {_WORDS[op][0]} {b}")
    if x < 0.9:
        return f"What is {_WORDS[op][1].format(a=a, b=b)}?"
    text = _WORDS[op][2].format(a=a, b=b)
    return rng.choice((text.capitalize() + ".", f"Can you {text}?", f"Please {text}."))


def word_problem(rng: random.Random) -> tuple[str, str, str]:
    """Question, reasoning, answer of a one-step word problem."""
    n, m, t = first_name(rng), first_name(rng), rng.choice(_THINGS)
    a, b = rng.randint(2, 50), rng.randint(2, 40)
    k = rng.randrange(5)
    if k == 0:
        q = rng.choice(
            (
                f"{n} has {a} {t} and gets {b} more. How many {t} does {n} have now?",
                f"{n} had {a} {t}. {m} gave {n} {b} more. How many {t} does {n} have?",
            )
        )
        return q, f"{a} + {b}: {steps(a, '+', b, a + b)}", f"{n} has {a + b} {t}."
    if k == 1:
        a, b = max(a, b) + 1, min(a, b)
        q = rng.choice(
            (
                f"{n} has {a} {t} and gives {b} to {m}. How many {t} are left?",
                f"There are {a} {t} on the table. {n} takes {b}. How many {t} are left?",
            )
        )
        return q, f"{a} - {b}: {steps(a, '-', b, a - b)}", f"There are {a - b} {t} left."
    if k == 2:
        a, b = rng.randint(2, 12), rng.randint(2, 12)
        q = rng.choice(
            (
                f"There are {a} boxes with {b} {t} each. How many {t} are there in total?",
                f"{n} buys {a} bags. Each bag has {b} {t}. How many {t} does {n} buy?",
            )
        )
        return q, f"{a} * {b} = {a * b}.", f"There are {a * b} {t} in total."
    if k == 3:
        a, b = rng.randint(2, 12), rng.randint(2, 12)
        q = f"{n} shares {a * b} {t} equally among {b} friends. How many {t} does each friend get?"
        return q, f"{a * b} / {b} = {a}.", f"Each friend gets {a} {t}."
    q = f"A {t[:-1] if t.endswith('s') else t} costs {a} dollars. {n} pays with {a + b} dollars. How much change does {n} get?"
    return q, f"{a + b} - {a}: {steps(a + b, '-', a, b)}", f"{n} gets {b} dollars in change."


def exercise(rng: random.Random, thinking: bool) -> list[Turn]:
    """One question and its answer."""
    if rng.random() < 0.22:
        q, why, answer = word_problem(rng)
        return [
            user(rough(rng, q)),
            bot(answer if thinking else f"{why[why.index(':') + 2 :] if ':' in why else why} {answer}", why),
        ]
    a, op, b, r = problem(rng)
    sign = {"*": "×", "/": "÷"}.get(op, op)
    answer = f"{a} {sign} {b} = {r}."
    if not thinking and op in "+-" and a > 9 and b > 9:  # too much for one step, so the steps are shown
        answer = f"{steps(a, op, b, r)} So {answer}"
    return [user(rough(rng, ask(rng, a, op, b))), bot(answer, f"{a} {op} {b}: {steps(a, op, b, r)}")]


def arithmetic(rng: random.Random) -> Talk:
    """Several exercises in one conversation."""
    thinking = rng.random() < 0.55
    turns = [system(rng.choice(SYSTEMS))] if rng.random() < 0.3 else []
    for _ in range(1 if thinking else rng.randint(1, 6)):
        turns += exercise(rng, thinking)
    return Talk(turns=turns, thinking=thinking)


def page(rng: random.Random) -> Talk:
    """Many exercises in a few tokens each: number facts are learnt by their count, not by the words around them."""
    out: list[Segment] = [(BOS, True, False)]
    for _ in range(rng.randint(6, 16)):
        a, op, b, r = problem(rng)
        out += [(f"{a} {op} {b}: ", False, False), (f"{steps(a, op, b, r)}\n", False, True)]
    return Talk(raw=[*out, (EOS, True, False)])
