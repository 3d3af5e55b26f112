"""Short stories from a grammar with one or two heroes, kept consistent to the end."""

from __future__ import annotations

import random

from training.data.conversation import Talk, bot, system, user
from training.data.tables import pools, rows
from training.data.words import ANIMALS, SYSTEMS, TRAIN_FIRST, article, held_out, keep, rough, thing

_POOLS = pools("stories")
_HUMANS = _POOLS["heroes"]
_TRAIN_ANIMALS = keep(ANIMALS)
_HEROES = keep(ANIMALS + _HUMANS)
_ADJ = _POOLS["adjectives"]
_PLACE = _POOLS["places"]
_LIKE = _POOLS["habits"]
_TIME = _POOLS["times"]
# (what is found or lost, problem, trial, solution with a friend, lesson)
_PLOTS = rows("plots")
_FRIEND = _POOLS["friend"]
_FEEL = _POOLS["feel"]
_END = _POOLS["end"]
_LESSON = _POOLS["lesson"]
# Friends have names of their own: with one pool for both, the likeliest name of a friend was that of the hero.
_NAMES = TRAIN_FIRST[:130]  # the familiar ones come first
_FRIEND_NAMES = _NAMES[::5]
_HERO_NAMES = [n for n in _NAMES if n not in _FRIEND_NAMES]
_ASK = _POOLS["ask"]
_ASK_ABOUT = _POOLS["ask_about"]
_ASK_NAME = _POOLS["ask_name"]


def _hero(rng: random.Random) -> str:
    """Who a story is asked for; half of them are put together, so that a hero is read from the request."""
    x = rng.random()
    noun = thing(rng)
    if x < 0.5 or held_out(noun):
        return rng.choice(_HEROES)
    if x < 0.65:
        return f"{rng.choice(_HUMANS)}'s {rng.choice(_TRAIN_ANIMALS)}"
    return noun if x < 0.85 else f"{noun} {rng.choice(('maker', 'seller', 'painter', 'keeper', 'driver'))}"


def story(rng: random.Random, hero: str | None = None, name: str | None = None) -> str:
    """A story of about 110 to 160 words."""
    hero = hero or rng.choice(_HEROES)
    n = name or rng.choice(_HERO_NAMES)
    m = rng.choice([f for f in _FRIEND_NAMES if f != n])
    found, trouble, trial, solved, lesson = rng.choice(_PLOTS)
    adj = [a for a in _ADJ if a not in hero.split()]
    a1, a2 = rng.sample(adj, 2)
    friend = rng.choice([h for h in ANIMALS if h != hero])
    feel = rng.choice(["sad", "worried", "nervous", "excited", "unsure"])
    parts = [
        f"Once upon a time, {article(f'{a1} {hero}')} named {n} lived {rng.choice(_PLACE)}. {n} {rng.choice(_LIKE)}.",
        f"{rng.choice(_TIME)}, {n} {found}. {trouble}. " + rng.choice(_FEEL).format(N=n, n=n, f=feel),
        trial.format(n=n)
        + ". "
        + rng.choice(_FRIEND).format(n=n, m=m, a=article(f"{a2} {friend}"))
        + ". "
        + solved.format(n=n, m=m)
        + ".",
        rng.choice(_END).format(n=n, m=m) + " " + rng.choice(_LESSON).format(n=n, l=lesson),
    ]
    return "\n\n".join(parts)


def story_talk(rng: random.Random) -> Talk:
    """A request for a story and the story, sometimes with a second one."""
    thinking = rng.random() < 0.2
    turns = (
        [system(rng.choice([*SYSTEMS, "You are a storyteller.", "You tell stories for children."]))]
        if rng.random() < 0.3
        else []
    )
    hero = name = None
    x = rng.random()
    if x < 0.45:
        ask = rng.choice(_ASK)
        why = "The user wants a story. I will write a short one with a clear ending."
    else:
        hero = _hero(rng)
        if x > 0.85:
            name = rng.choice(TRAIN_FIRST)
            ask = rng.choice(_ASK_NAME).format(h=article(hero), n=name)
        else:
            ask = rng.choice(_ASK_ABOUT).format(h=article(hero))
        why = f"The user wants a story about {article(hero)}. I will write a short one with a clear ending."
    turns += [user(rough(rng, ask)), bot(story(rng, hero, name), why)]
    if not thinking and rng.random() < 0.15:
        turns += [
            user(rng.choice(("Another one, please.", "Tell me another story.", "One more!", "Nice! Another one?"))),
            bot(story(rng)),
        ]
    return Talk(turns=turns, thinking=thinking)
