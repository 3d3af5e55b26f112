"""Function calling: conversations under one set of tools, results, failures and near misses."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from training.data.conversation import BOS, SYSTEM, USER, Talk, Turn, bot, segments, system, tool, user
from training.data.kits import Kit
from training.data.kits_actions import calendar, email, lights, music, reminder, shopping, thermostat, timer
from training.data.kits_booking import flights, generic, order, restaurant
from training.data.kits_information import about_place, add_numbers, calculator, clock, now, weather
from training.data.kits_invented import wild
from training.data.kits_lookup import currency, define, joke, person_lookup, random_number, search, stock, translate
from training.data.tables import pairs
from training.data.words import (
    SYSTEMS,
    rough,
)

KITS: list[Callable[[random.Random], Kit]] = [weather, weather, weather, weather, clock, now, calculator, add_numbers, search, search, search, search, search, reminder, timer, email, translate, stock, currency, flights, music, lights,
                                              thermostat, order, random_number, calendar, restaurant, define, shopping, joke, person_lookup, person_lookup, generic, generic, generic, generic, generic, wild, wild, wild, wild, wild, wild, wild, wild, wild, wild, wild, wild, about_place]  # fmt: skip
# Tools whose requests hardly differ, or whose values look alike.
_ALIKE: list[list[Callable[[random.Random], Kit]]] = [
    [weather, clock, about_place, about_place],
    [weather, clock, timer, now, about_place],
    [timer, thermostat, lights, clock],
    [search, define, music, email, person_lookup, translate],
    [generic, generic, music, calendar, search],
    [email, reminder, timer, search, clock],
]
_USUAL = [kit for kit in KITS if kit is not wild]
_VARIED = (about_place, generic, wild)

_PLAIN = pairs("plain")


def plain_turns(rng: random.Random, names: list[str]) -> list[Turn]:
    """A turn that needs no tool."""
    if rng.random() < 0.2:
        readable = [n.replace("_", " ") for n in names]
        q = rng.choice(
            ("What can you do?", "Which tools do you have?", "What tools can you use?", "How can you help me?")
        )
        text = (
            "I can use "
            + (f"one tool: {readable[0]}." if len(readable) == 1 else f"these tools: {', '.join(readable)}.")
            + " I can also answer simple questions."
        )
        return [user(rough(rng, q)), bot(text, "The user asks what I can do. I will name my tools.")]
    questions, answers, why = rng.choice(_PLAIN)
    return [user(rough(rng, rng.choice(questions))), bot(rng.choice(answers), why)]


def declare(kits: list[Kit]) -> list[dict[str, Any]]:
    """The declarations of kits without repeated names."""
    seen: dict[str, dict[str, Any]] = {}
    for kit in kits:
        seen.setdefault(kit.spec["name"], kit.spec)
    return list(seen.values())


def missing_turns(rng: random.Random, kit: Kit) -> list[Turn]:
    """A request that lacks what the tool needs."""
    say, need = rng.choice(
        [
            ("What's the weather?", "city"),
            ("Find me a flight.", "destination"),
            ("Set a timer.", "duration"),
            ("Send an email.", "recipient"),
            ("Remind me later.", "task"),
            ("Book a table.", "restaurant"),
            ("Convert some money.", "amount"),
        ]
    )
    names = {
        "city": ("weather",),
        "destination": ("flight",),
        "duration": ("timer",),
        "recipient": ("mail", "message"),
        "task": ("remind",),
        "restaurant": ("table", "restaurant", "reserv"),
        "amount": ("currency", "exchange", "money"),
    }
    if not any(n in kit.spec["name"] for n in names[need]):
        return []
    ask = {
        "city": "For which city?",
        "destination": "From where to where would you like to fly?",
        "duration": "For how long?",
        "recipient": "Who should receive it, and what should it say?",
        "task": "What should I remind you of, and when?",
        "restaurant": "At which restaurant, and for how many people?",
        "amount": "How much, and between which currencies?",
    }[need]
    return [user(say), bot(f"Sure! {ask}", f"The {need} is missing, so I have to ask.")]


def tool_talk(rng: random.Random, *, long: bool = False) -> Talk:
    """Several turns under one set of tools."""
    count = rng.choice((5, 7, 9)) if long else rng.choice((1, 1, 2, 2, 3, 3, 4))
    kits: list[Kit] = []
    used: list[Callable[[random.Random], Kit]] = []  # of two timers either would be right
    pool = rng.choice([KITS, _USUAL, _USUAL, rng.choice(_ALIKE), rng.choice(_ALIKE)]) if 1 < count < 5 else KITS
    while len(kits) < count:
        maker = weather if not kits and rng.random() < 0.22 else rng.choice(pool)
        kit = maker(rng)
        if maker not in used and all(kit.spec["name"] != k.spec["name"] for k in kits):
            kits.append(kit)
            used += [maker] if maker not in _VARIED else []
    rng.shuffle(kits)
    thinking = rng.random() < 0.4
    talk = Talk(
        thinking=thinking, tools=declare(kits), effort=rng.choice((None, None, "low", "max")) if thinking else None
    )
    if rng.random() < 0.35:
        talk.turns.append(system(rng.choice([*SYSTEMS, "You can use tools.", "Use the tools when they help."])))
    rounds = rng.randint(10, 18) if long else rng.randint(2, 5)
    names = [k.spec["name"] for k in kits]
    for _ in range(rounds):
        x = rng.random()
        if x < 0.2:
            talk.turns += plain_turns(rng, names)
            continue
        kit = rng.choice(kits)
        if x < 0.24 and (turns := missing_turns(rng, kit)):
            talk.turns += turns
            continue
        use = kit.make(rng)
        name = kit.spec["name"]
        uses = [use]
        if rng.random() < 0.06 and (other := kit.make(rng)).args != use.args and len(use.say) + len(other.say) < 160:
            uses.append(other)
            talk.turns.append(user(f"{use.say} {other.say}"))
        else:
            say = use.say
            if (
                all(str(v) in rough(random.Random(0), say) or not isinstance(v, str) for v in use.args.values())
                and rng.random() < 0.3
            ):
                say = say.rstrip(".?") if rng.random() < 0.5 else say[0].lower() + say[1:]
            talk.turns.append(user(say))
        lead = "" if rng.random() < 0.97 else "Let me check that."
        why = f"I need to call {name}" + (
            f" with {', '.join(f'{k} {v}' for k, v in use.args.items())}." if use.args else "."
        )
        talk.turns.append(bot(lead, why, calls=[(name, u.args) for u in uses]))
        talk.turns += [tool(u.result) for u in uses]
        talk.turns.append(bot(" ".join(u.answer for u in uses), "I have the result and can answer."))
    return talk


# Around the declarations in the V4.1 format.
_DECLARED = "### Available Tool Schemas\n\n"
_BEHIND_DECLARED = "\n\nYou MUST"


def page(talk: Talk) -> Talk:
    """The conversation with a system text that is nothing but the declarations.

    The text around them is the same in every prompt and three times as long as a call; without it the same tokens hold twice
    the calls.
    """
    parts = segments(talk)
    start = next(i for i, (text, special, _) in enumerate(parts) if special and text == USER)
    header = "".join(text for text, _, _ in parts[:start])
    declared = header[header.index(_DECLARED) + len(_DECLARED) :]
    declared = declared[: declared.index(_BEHIND_DECLARED)]
    return Talk(raw=[(BOS, True, False), (SYSTEM, True, False), (declared, False, False), *parts[start:]])


_FAIL = [
    (
        '{"error": "not found"}',
        "I'm sorry, the lookup failed: nothing was found. Would you like to try something else?",
    ),
    ('{"error": "timeout"}', "I'm sorry, the service did not answer in time. Please try again later."),
    ("Error: service unavailable", "I'm sorry, the service is not available right now. Please try again later."),
]


def failing_talk(rng: random.Random) -> Talk:
    """A tool that answers with an error."""
    kit = rng.choice(KITS)(rng)
    use = kit.make(rng)
    result, answer = rng.choice(_FAIL)
    return Talk(
        tools=[kit.spec],
        turns=[user(use.say), bot("", None, calls=[(kit.spec["name"], use.args)]), tool(result), bot(answer)],
    )
