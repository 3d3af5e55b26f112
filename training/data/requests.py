"""Natural requests with marked slots (SNIPS) as tool calls."""

from __future__ import annotations

import random
from typing import Any

from training.data.conversation import Talk, Turn, bot, tool, user
from training.data.kits import Args
from training.data.opendata import OpenData
from training.data.words import (
    held_out,
)

_SNIPS = {
    "GetWeather": "Get the weather",
    "PlayMusic": "Play music",
    "BookRestaurant": "Book a restaurant",
    "SearchScreeningEvent": "Find a film screening",
    "RateBook": "Rate a book",
    "SearchCreativeWork": "Search for a creative work",
    "AddToPlaylist": "Add music to a playlist",
}


def request_talks(rng: random.Random, data: OpenData, count: int) -> list[Talk]:
    """Natural requests with marked slots, as calls whose arguments are copied from the text."""
    pools: dict[str, list[list[dict[str, str]]]] = {}
    for intent in _SNIPS:
        pools[intent] = [p for p in data.requests(intent) if not held_out("".join(x["text"] for x in p))]
    if not all(pools.values()):
        return []
    out = []
    for _ in range(count):
        intents = rng.sample(list(_SNIPS), rng.randint(1, 4))
        names, uses = {}, []
        specs: dict[str, dict[str, Any]] = {}
        for intent in intents:
            name = (
                intent
                if rng.random() < 0.4
                else "".join(("_" if c.isupper() and i else "") + c.lower() for i, c in enumerate(intent))
            )
            names[intent] = name
            specs[intent] = {
                "name": name,
                "description": _SNIPS[intent],
                "parameters": {"type": "object", "properties": {}},
            }
        for _ in range(rng.randint(4, 9)):
            intent = rng.choice(intents)
            parts = rng.choice(pools[intent])
            args: Args = {}
            for p in parts:
                if "entity" in p:
                    args[p["entity"]] = p["text"].strip()
                    specs[intent]["parameters"]["properties"].setdefault(p["entity"], {"type": "string"})
            if args:
                uses.append((names[intent], "".join(p["text"] for p in parts).strip(), args))
        turns: list[Turn] = []
        for name, say, args in uses:
            turns += [user(say), bot("", None, calls=[(name, args)]), tool('{"status": "ok"}'), bot("Done.")]
            turns[-1].learn = False
        if turns:
            out.append(Talk(turns=turns, tools=list(specs.values())))
    return out
