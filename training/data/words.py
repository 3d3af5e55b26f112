"""Word pools of the generators, and the rule that keeps some of them for the evaluation."""

from __future__ import annotations

import hashlib
import random

from training.data.tables import pools

_POOLS = pools("words")
US_CITIES = _POOLS["us_cities"]
WORLD_CITIES = _POOLS["world_cities"]
FIRST = _POOLS["first_names"]
LAST = _POOLS["last_names"]
JOBS = _POOLS["jobs"]
HOBBIES = _POOLS["hobbies"]
ANIMALS = _POOLS["animals"]
COLORS = _POOLS["colors"]
CATEGORY_ITEMS = pools("categories")
NUMBER_WORDS = {
    1: "one",
    2: "two",
    3: "three",
    4: "four",
    5: "five",
    6: "six",
    7: "seven",
    8: "eight",
    9: "nine",
    10: "ten",
}
_ALWAYS = {"New York", "John", "Doe", "items"}


def held_out(value: str) -> bool:
    """Whether a word belongs to the evaluation (about one in ten), so that no generator may use it."""
    return value not in _ALWAYS and hashlib.sha256(value.encode()).digest()[0] < 26


def keep(pool: list[str]) -> list[str]:
    """The part of a pool that training may use."""
    return [w for w in dict.fromkeys(pool) if not held_out(w)]


TRAIN_US, TRAIN_WORLD, TRAIN_FIRST, TRAIN_LAST = keep(US_CITIES), keep(WORLD_CITIES), keep(FIRST), keep(LAST)
_TYPO = str.maketrans("", "", "'")


_PLACES = ["City", "Grove", "Springs", "Beach", "Falls", "Lake", "Park", "Hills", "Bay", "Valley", "Creek", "Island", "Heights", "Bridge"]  # fmt: skip


def two_words(rng: random.Random) -> str:
    """A place of two words, put together from places and the second words of many: a copy must not end after the first."""
    first = rng.choice(TRAIN_US + TRAIN_WORLD).split()[0] if rng.random() < 0.5 else invented(rng)
    second = rng.choice(_PLACES) if rng.random() < 0.5 else invented(rng)
    return f"{first} {second}" if not held_out(f"{first} {second}") else f"{second} {first}"


def city(rng: random.Random) -> str:
    """A city; some are invented so that copying is learnt rather than a closed list."""
    if rng.random() < 0.15:
        return two_words(rng)
    x = rng.random()
    if x < 0.4:
        return rng.choice(TRAIN_US)
    return rng.choice(TRAIN_WORLD) if x < 0.8 else invented(rng)


_ONSET = [
    "b",
    "br",
    "c",
    "ch",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
    "w",
    "z",
    "sh",
    "th",
    "kl",
]
_VOWEL = ["a", "e", "i", "o", "u", "a", "e", "o", "ai", "ea", "ou"]
_CODA = ["", "", "n", "r", "l", "s", "m", "t", "nd", "rt", "ck", "x", "ll", "ng"]
_END = ["ton", "ville", "burg", "ford", "ham", "field", "port", "dale", "ia", "o", "a", "en", "is", "", ""]


def invented(rng: random.Random) -> str:
    """An invented proper name."""
    body = "".join(rng.choice(_ONSET) + rng.choice(_VOWEL) + rng.choice(_CODA) for _ in range(rng.choice((1, 2))))
    return (body + rng.choice(_END)).capitalize()


def first_name(rng: random.Random) -> str:
    """A given name, sometimes an invented one."""
    return rng.choice(TRAIN_FIRST) if rng.random() < 0.85 else invented(rng)


def person(rng: random.Random) -> str:
    """A full name."""
    return f"{first_name(rng)} {rng.choice(TRAIN_LAST) if rng.random() < 0.85 else invented(rng)}"


PLAIN_NOUNS = sorted(
    {w for items in CATEGORY_ITEMS.values() for w in items if w.islower()} | set(ANIMALS) | set(_POOLS["nouns"])
)
_QUALITIES = ["old", "new", "small", "cheap", "famous", "modern", "wild", "simple", "rare", "early", "warm", "quiet", "broken", "heavy", "local", "young", *_POOLS["qualities"]]  # fmt: skip
_WHERE = ["under the bed", "at noon", "in the garden", "behind the house", "at seven", "on Friday", "next week", "in my room", "by the door", "tomorrow", "near the river", "after lunch"]  # fmt: skip
_HAPPENS = ["is ready", "are gone", "was lost", "is too late", "has arrived", "looks good", "needs help", "is closed", "was sold", "will come", "is waiting", "are here"]  # fmt: skip


def thing(rng: random.Random) -> str:
    """A common noun, or an invented one: words in small letters that nobody has seen are copied too."""
    return rng.choice(PLAIN_NOUNS) if rng.random() < 0.7 else invented(rng).lower()


def subject(rng: random.Random) -> str:
    """What somebody may look for: a few words that hardly ever come together twice."""
    noun = thing(rng)
    other = rng.choice(PLAIN_NOUNS)
    return rng.choice(
        (
            f"{rng.choice(_QUALITIES)} {noun}s",
            f"the {rng.choice(('story', 'origin', 'price', 'meaning', 'future', 'age'))} of {noun}s",
            f"{noun} and {other}",
            f"{noun} {rng.choice(('lessons', 'prices', 'recipes', 'clubs', 'facts', 'pictures', 'music', 'schools'))}",
            f"{noun}s in {city(rng)}",
            f"how to {rng.choice(('draw', 'find', 'buy', 'paint', 'choose'))} {article(noun)}",
            f"{rng.choice(_QUALITIES)} {rng.choice(COLORS)} {noun}s",
        )
    )


def message(rng: random.Random) -> str:
    """What somebody may want to tell: a short sentence without its full stop."""
    noun = thing(rng)
    return rng.choice(
        (
            f"{rng.choice(('the', 'my', 'our', 'your'))} {noun} {rng.choice(_HAPPENS)}",
            f"the {rng.choice(_QUALITIES)} {noun} is {rng.choice(_WHERE)}",
            f"{rng.choice(('I', 'we'))} {rng.choice(('need', 'found', 'bought', 'saw', 'want', 'lost', 'sold'))} {rng.choice(('a', 'the', 'your', 'some', 'three'))} {noun}",
            f"{rng.choice(('I', 'we'))} will {rng.choice(('come', 'be there', 'call you', 'leave', 'wait', 'meet you'))} {rng.choice(_WHERE)}",
            f"{first_name(rng)} {rng.choice(('is here', 'says hello', 'will call you', 'has the tickets', 'cannot come'))}",
            f"please {rng.choice(('bring', 'buy', 'check', 'send', 'open'))} the {noun}",
            f"{rng.choice(('the', 'my', 'our', 'your', 'some'))} {noun}s are {rng.choice(_WHERE)}",
            f"{rng.choice(('the', 'my', 'our', 'your'))} {noun} is {rng.choice(('with', 'for', 'from'))} {first_name(rng)}",
            f"{first_name(rng)} {rng.choice(('took', 'likes', 'has', 'sells', 'broke'))} the {rng.choice(_QUALITIES)} {noun}",
            f"there are {rng.randint(2, 40)} {noun}s {rng.choice(_WHERE)}",
            f"{rng.choice(('I', 'we'))} put the {noun} {rng.choice(_WHERE)}",
        )
    )


def article(noun: str) -> str:
    """The noun with its indefinite article."""
    return ("an " if noun[0].lower() in "aeiou" else "a ") + noun


def join(items: list[str], last: str = "and") -> str:
    """Items as an English enumeration."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + f" {last} " + items[-1]


def rough(rng: random.Random, text: str) -> str:
    """User text as people type it: now and then without capitals, punctuation or with a polite word."""
    x = rng.random()
    if x < 0.10:
        text = text.lower()
    elif x < 0.16:
        text = text.rstrip("?.!")
    elif x < 0.24:
        text = text.lower().rstrip("?.!")
    elif x < 0.28:
        text = text.translate(_TYPO)
    elif x < 0.30:
        text = text.upper()
    y = rng.random()
    if y < 0.03:
        text = "Please " + text[0].lower() + text[1:]
    elif y < 0.06:
        text = rng.choice(("Hey, ", "Hi, ", "Hello, ", "Okay, ", "So, ")) + text[0].lower() + text[1:]
    elif y < 0.08:
        text += rng.choice((" Thanks!", " Thank you.", " please"))
    return text


SYSTEMS = _POOLS["systems"]
