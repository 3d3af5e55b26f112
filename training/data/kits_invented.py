"""Tools that nobody has: every name must be read from the declaration, every value from the message."""

from __future__ import annotations

import random
from typing import Any

from training.data.kits import Args, Kit, Use, prop, result, schema
from training.data.words import PLAIN_NOUNS, first_name, invented, message, person, subject

_VERBS = ["add", "ask", "bind", "call", "carry", "check", "clear", "close", "draw", "fetch", "fill", "fix", "grade", "greet", "hide", "hold", "join", "lift", "load", "log", "mark", "measure", "mix", "move", "name", "order", "paint", "pick", "plan", "print", "pull", "push", "rate", "read", "rent", "scan", "sell", "send", "share", "show", "sort", "store", "tag", "test", "track", "turn", "wash", "weigh"]  # fmt: skip


def _word(rng: random.Random) -> str:
    """A name's part: a common noun or an invented word."""
    return rng.choice(PLAIN_NOUNS).split()[-1] if rng.random() < 0.8 else invented(rng).lower()


def _value(rng: random.Random) -> Any:
    x = rng.random()
    if x < 0.25:
        return rng.randint(0, 10 ** rng.randint(1, 4))
    if x < 0.5:
        return invented(rng)
    if x < 0.6:
        return f"{invented(rng)} {rng.randint(1, 99)}"
    if x < 0.7:
        return person(rng)
    if x < 0.8:
        return first_name(rng)
    if x < 0.88:
        return subject(rng)
    return message(rng) if x < 0.94 else _word(rng)


def wild(rng: random.Random) -> Kit:
    """A tool of random words with one to three parameters of random words."""
    verb, noun = rng.choice(_VERBS), _word(rng)
    name = rng.choice((f"{verb}_{noun}", f"{noun}_{verb}", f"{verb}{noun.capitalize()}", verb))
    keys = list(dict.fromkeys(_word(rng) for _ in range(rng.choice((1, 1, 2, 2, 3)))))
    if rng.random() < 0.3:
        keys[0] += rng.choice(("_name", "_id", "_text"))
    examples = {key: _value(rng) for key in keys}
    props = {
        key: prop(rng, "integer" if isinstance(value, int) else "string", f"The {key.replace('_', ' ')}")
        for key, value in examples.items()
    }

    def make(rng: random.Random) -> Use:
        args: Args = {}
        while len(args) < len(keys):
            value, key = _value(rng), keys[len(args)]
            if isinstance(value, int) == isinstance(examples[key], int):
                args[key] = value
        said = {key.replace("_", " "): value for key, value in args.items()}
        parts = [f"{key} {value}" for key, value in said.items()]
        listed = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
        first = next(iter(said.values()))
        say = rng.choice((f"{verb.capitalize()} the {noun} with {listed}.", f"Please {verb} the {noun}, {listed}", f"Can you {verb} the {noun} with {listed}?", f"{verb} {noun}: {listed}"))  # fmt: skip
        if len(parts) == 1 and rng.random() < 0.5:
            say = rng.choice((f"{verb.capitalize()} the {noun} {first}.", f"Please {verb} {first}", f"{verb.capitalize()} {first} for me.", f"I want to {verb} the {noun} {first}"))  # fmt: skip
        return Use(
            say=say,
            args=args,
            result=result(rng, {"status": "ok", keys[0]: args[keys[0]]}, "ok"),
            answer=rng.choice((f"Done with {first}.", f"The {noun} is done: {first}.")),
        )

    described = rng.choice((f"{verb.capitalize()} a {noun}", f"{verb.capitalize()}s {noun}s", ""))
    return Kit(
        spec={"name": name, "description": described, "parameters": schema(rng, props, keys)},
        make=make,
    )
