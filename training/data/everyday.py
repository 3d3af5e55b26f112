"""Everyday requests: statements, opinions, yes-no questions, small code, letters, poems, and honest limits."""

from __future__ import annotations

import random

from training.data.conversation import Talk, Turn, bot, system, user
from training.data.knowledge import FACTS, TOPICS
from training.data.opendata import OpenData
from training.data.tables import pools, rows
from training.data.words import (
    CATEGORY_ITEMS,
    HOBBIES,
    JOBS,
    SYSTEMS,
    article,
    city,
    first_name,
    held_out,
    invented,
    person,
    rough,
)

_POOLS = pools("everyday")
_LIKES = _POOLS["foods"] + HOBBIES + _POOLS["likes"]
_PLACES = _POOLS["places"]


def statement_turns(rng: random.Random) -> list[Turn]:
    """The user says something about themselves."""
    x, k = rng.choice(_LIKES), rng.randrange(9)
    if k == 0:
        q = rng.choice(
            (
                f"I like {x}.",
                f"I love {x}!",
                f"I really like {x}",
                f"{x} makes me happy".capitalize(),
                f"I am a big fan of {x}.",
            )
        )
        return [
            user(rough(rng, q)),
            bot(f"That sounds nice! What do you like most about {x}?", f"The user likes {x}. I will show interest."),
        ]
    if k == 1:
        q = rng.choice((f"I hate {x}.", f"I don't like {x}.", f"I can't stand {x}", f"I am not a fan of {x}."))
        return [user(rough(rng, q)), bot(f"I understand. Not everyone likes {x}.", f"The user does not like {x}.")]
    if k == 2:
        q = rng.choice(
            (
                f"Do you like {x}?",
                f"What do you think about {x}?",
                f"Do you enjoy {x}?",
                f"What is your opinion on {x}?",
                f"Are you a fan of {x}?",
            )
        )
        return [
            user(rough(rng, q)),
            bot(
                f"I am a program, so I have no taste of my own, but many people enjoy {x}.",
                f"The user asks what I think about {x}.",
            ),
        ]
    if k == 3:
        j = rng.choice(JOBS)
        return [
            user(rough(rng, rng.choice((f"I am {article(j)}.", f"I work as {article(j)}.", f"My job is {j}.")))),
            bot(
                f"Being {article(j)} sounds interesting! What do you like about your work?",
                f"The user works as {article(j)}.",
            ),
        ]
    if k == 4:
        p = rng.choice(_PLACES)
        return [
            user(
                rough(
                    rng,
                    rng.choice(
                        (
                            f"I went to {p} yesterday.",
                            f"Yesterday I was at {p}.",
                            f"I was at {p} today",
                            f"I just came back from {p}.",
                        )
                    ),
                )
            ),
            bot(f"That sounds nice! How was it at {p}?", f"The user was at {p}."),
        ]
    if k == 5:
        c = city(rng)
        return [
            user(
                rough(
                    rng,
                    rng.choice(
                        (
                            f"I am going to {c} next week.",
                            f"I want to travel to {c}.",
                            f"Next month I will visit {c}.",
                            f"I'm planning a trip to {c}",
                        )
                    ),
                )
            ),
            bot(f"A trip to {c} sounds exciting! Have a great time there.", f"The user will travel to {c}."),
        ]
    if k == 6:
        n = first_name(rng)
        who = rng.choice(
            ["friend", "sister", "brother", "neighbor", "teacher", "colleague", "cousin", "daughter", "son"]
        )
        return [
            user(
                rough(
                    rng,
                    rng.choice(
                        (
                            f"My {who} {n} is visiting me.",
                            f"I met my {who} {n} today.",
                            f"My {who} is called {n}.",
                            f"This is my {who} {n}.",
                        )
                    ),
                )
            ),
            bot(f"How nice! Please say hello to {n} from me.", f"The user talks about {n}."),
        ]
    if k == 7:
        q = rng.choice((f"Should I try {x}?", f"Is {x} a good idea?", f"Would you recommend {x}?"))
        return [
            user(rough(rng, q)),
            bot(f"Many people enjoy {x}, so it may be worth a try. What do you think?", f"The user asks about {x}."),
        ]
    day = rng.choice(["birthday", "wedding day", "first day at work", "day off", "last day of school", "anniversary"])
    return [
        user(rough(rng, rng.choice((f"Today is my {day}.", f"It's my {day} today!", f"Tomorrow is my {day}.")))),
        bot(f"Congratulations on your {day}! I hope that it is a lovely day.", f"It is a special day: {day}."),
    ]


_SINGULAR = {"fruits": "fruit", "vegetables": "vegetable", "animals": "animal", "colors": "color", "countries": "country", "programming languages": "programming language", "planets": "planet", "musical instruments": "musical instrument", "sports": "sport",
             "flowers": "flower", "trees": "tree", "birds": "bird", "vehicles": "vehicle", "metals": "metal", "insects": "insect", "months": "month", "seasons": "season", "shapes": "shape", "cities": "city", "jobs": "job"}  # fmt: skip


def yes_no_turns(rng: random.Random) -> list[Turn]:
    """Whether a thing belongs to a class."""
    a, b = rng.sample(list(_SINGULAR), 2)
    thing = rng.choice(CATEGORY_ITEMS[a])
    name = (
        thing if thing[0].isupper() else article(thing) if a not in ("colors", "sports", "metals", "seasons") else thing
    )
    right = rng.random() < 0.5
    kind = _SINGULAR[a if right else b]
    if not right and thing in CATEGORY_ITEMS[b]:
        right, kind = True, _SINGULAR[a]
    verb = f"{name[0].upper()}{name[1:]} is"
    answer = (
        f"Yes, {name} is {article(kind)}." if right else f"No. {verb} {article(_SINGULAR[a])}, not {article(kind)}."
    )
    q = rng.choice(
        (
            f"Is {name} {article(kind)}?",
            f"Is {name} {article(kind)}?",
            f"Would you say that {name} is {article(kind)}?",
            f"Tell me, is {name} {article(kind)}?",
        )
    )
    if rng.random() < 0.2:
        return [
            user(
                rough(
                    rng,
                    rng.choice(
                        (
                            f"What kind of thing is {name}?",
                            f"Is {name} {article(kind)} or {article(_SINGULAR[b if kind != _SINGULAR[b] else a])}?",
                        )
                    ),
                )
            ),
            bot(f"{verb} {article(_SINGULAR[a])}.", f"{verb} {article(_SINGULAR[a])}."),
        ]
    return [user(rough(rng, q)), bot(answer, f"{verb} {article(_SINGULAR[a])}.")]


_CODE = rows("code")
_CODE_ASK = _POOLS["code_ask"]


def code_turns(rng: random.Random) -> list[Turn]:
    """A few lines of Python."""
    task, text = rng.choice(_CODE)
    return [
        user(rough(rng, rng.choice(_CODE_ASK).format(t=task))),
        bot(f"```python\n{text}\n```", f"The user wants Python code that {task}."),
    ]


_REASON = rows("letters")


def letter_turns(rng: random.Random) -> list[Turn]:
    """A short email."""
    topic, first, last = rng.choice(_REASON)
    n, me = first_name(rng), first_name(rng)
    x = rng.random()
    to = rng.choice(("my boss", "a colleague", "a friend", "a customer", "my teacher", n))
    q = rng.choice(
        (
            f"Write an email to {to} about {topic}.",
            f"Write a short email about {topic} to {to}",
            f"Help me write a message to {to} about {topic}.",
            f"Draft an email to {to} regarding {topic}.",
        )
    )
    sign = me if x < 0.4 else "[your name]"
    if x < 0.4:
        q = q.rstrip(".") + f". My name is {me}."
    hello = f"Dear {n}," if to == n else "Hello,"
    return [
        user(q),
        bot(
            f"Subject: {topic[0].upper()}{topic[1:]}\n\n{hello}\n\n{first}. {last}.\n\nKind regards,\n{sign}",
            f"The user wants a short email about {topic}.",
        ),
    ]


_POEM = [text for (text,) in rows("poems")]


def poem_turns(rng: random.Random) -> list[Turn]:
    """Four lines about something."""
    x = rng.choice(_LIKES)
    q = rng.choice(
        (
            f"Write a poem about {x}.",
            f"Write a short poem about {x}",
            f"A poem about {x} please",
            f"Can you write a poem about {x}?",
            f"Compose four lines about {x}.",
        )
    )
    return [
        user(rough(rng, q)),
        bot(rng.choice(_POEM).format(x=x, X=x[0].upper() + x[1:]), f"The user wants a poem about {x}."),
    ]


def number_turns(rng: random.Random) -> list[Turn]:
    """Comparisons, parity, counting."""
    a, b, k = rng.randint(1, 99), rng.randint(1, 99), rng.randrange(6)
    if k == 0 and a != b:
        big = rng.random() < 0.5
        word = rng.choice(("bigger", "larger", "greater")) if big else rng.choice(("smaller", "less"))
        r = max(a, b) if big else min(a, b)
        return [
            user(
                rng.choice(
                    (
                        f"Which is {word}, {a} or {b}?",
                        f"Which number is {word}: {a} or {b}?",
                        f"What is {word}, {a} or {b}?",
                    )
                )
            ),
            bot(f"{r} is {word} than {a + b - r}.", f"I compare {a} and {b}."),
        ]
    if k == 1:
        word = rng.choice(("even", "odd"))
        yes = (a % 2 == 0) == (word == "even")
        return [
            user(f"Is {a} {word}?" if rng.random() < 0.5 else f"Is {a} an {word} number?"),
            bot(f"{'Yes' if yes else 'No'}, {a} is {'even' if a % 2 == 0 else 'odd'}.", f"The last digit is {a % 10}."),
        ]
    if k == 2:
        return [
            user(rng.choice((f"What comes after {a}?", f"Which number comes after {a}?"))),
            bot(f"After {a} comes {a + 1}.", f"{a} + 1 = {a + 1}."),
        ]
    if k == 3:
        n = rng.choice((5, 10, 10, 8, 12))
        return [
            user(rng.choice((f"Count to {n}.", f"Count from 1 to {n}", f"Can you count to {n}?"))),
            bot(", ".join(str(i) for i in range(1, n + 1)) + ".", f"I will count from 1 to {n}."),
        ]
    if k == 4:
        c = rng.randint(1, 49)
        return [
            user(rng.choice((f"What is twice {c}?", f"Double {c}.", f"What is the double of {c}?"))),
            bot(f"Twice {c} is {2 * c}.", f"{c} + {c} = {2 * c}."),
        ]
    c = rng.randint(1, 49)
    return [
        user(rng.choice((f"What is half of {2 * c}?", f"Half of {2 * c}?"))),
        bot(f"Half of {2 * c} is {c}.", f"{2 * c} / 2 = {c}."),
    ]


class Unknown:
    """Questions beyond the model, answered by saying so with the asked words."""

    def __init__(self, data: OpenData) -> None:
        known = " ".join(t[0] for t in TOPICS) + " " + " ".join(q for q, _ in FACTS)
        self.nouns = [
            r["members"][0]
            for r in data.lines("wordnet")
            if r["domain"].startswith("noun.")
            and r["members"][0].replace(" ", "").isalpha()
            and r["members"][0] not in known
            and len(r["members"][0]) < 18
            and not held_out(r["members"][0])
        ] or ["sextant", "gable", "fjord"]
        self.verbs = [
            "repair",
            "build",
            "paint",
            "install",
            "clean",
            "replace",
            "sell",
            "grow",
            "draw",
            "carve",
            "tune",
            "calibrate",
            "assemble",
            "polish",
            "restore",
            "program",
            "measure",
            "store",
            "decorate",
            "train",
        ]

    def turns(self, rng: random.Random) -> list[Turn]:
        """One question that should not be answered by guessing."""
        x = rng.choice(self.nouns)
        named = x if x[0].isupper() else article(x)
        k = rng.random()
        if k < 0.45:
            q = rng.choice(
                (
                    "What is {a}?",
                    "Explain {x}.",
                    "Tell me about {x}.",
                    "What do you know about {x}?",
                    "How does {x} work?",
                    "Can you explain {x}?",
                    "Why is {x} important?",
                    "What is {x} used for?",
                    "Where does {x} come from?",
                    "Who invented {x}?",
                    "What is the history of {x}?",
                    "Describe {x}.",
                )
            )
            return [
                user(rough(rng, q.format(a=named, x=x))),
                bot(
                    f"I don't know much about {x}. I am a small model and would rather not guess.",
                    f"I do not know {x} well. I should not guess.",
                ),
            ]
        if k < 0.75:
            v = rng.choice(self.verbs)
            q = rng.choice(
                (
                    f"How do I {v} {named}?",
                    f"How can I {v} {named}?",
                    f"What is the best way to {v} {named}?",
                    f"Teach me to {v} {named}.",
                    f"Give me instructions to {v} {named}",
                    f"Can you tell me how to {v} {named}?",
                )
            )
            return [
                user(rough(rng, q)),
                bot(
                    f"I'm not sure how to {v} {named}. I am a small demonstration model; a larger model in seekd can help with that.",
                    "I do not know this. I will say so.",
                ),
            ]
        kind = rng.choice(
            (
                "an essay",
                "a report",
                "a long article",
                "a speech",
                "a research paper",
                "a business plan",
                "a detailed analysis",
                "a book chapter",
            )
        )
        q = rng.choice(
            (
                f"Write {kind} about {x}.",
                f"I need {kind} on {x}.",
                f"Please write {kind} about {x}",
                f"Can you write {kind} on {x}?",
            )
        )
        return [
            user(rough(rng, q)),
            bot(
                f"I am too small to write {kind} about {x}. A larger model in seekd can help with that.",
                "This is too much for me. I will say so.",
            ),
        ]

    def talk(self, rng: random.Random) -> Talk:
        """A few of them."""
        thinking = rng.random() < 0.25
        turns = [system(rng.choice(SYSTEMS))] if rng.random() < 0.25 else []
        for _ in range(1 if thinking else rng.randint(1, 4)):
            turns += self.turns(rng)
        return Talk(turns=turns, thinking=thinking)


def everyday_talk(rng: random.Random) -> Talk:
    """A few everyday turns of several sorts."""
    thinking = rng.random() < 0.25
    turns = [system(rng.choice(SYSTEMS))] if rng.random() < 0.25 else []
    for _ in range(1 if thinking else rng.randint(2, 5)):
        make = rng.choice(
            (
                statement_turns,
                statement_turns,
                statement_turns,
                yes_no_turns,
                yes_no_turns,
                code_turns,
                letter_turns,
                poem_turns,
                number_turns,
                number_turns,
            )
        )
        turns += make(rng)
    return Talk(turns=turns, thinking=thinking)


class Echo:
    """Copying of arbitrary words, which teaches to copy anything: names and values of calls above all."""

    def __init__(self, data: OpenData) -> None:
        self.words = [m for r in data.lines("wordnet") for m in r["members"][:1] if len(m) < 20] or _LIKES

    def _word(self, rng: random.Random) -> str:
        x = rng.random()
        if x < 0.5:
            return rng.choice((city, first_name, person, invented))(rng)
        return rng.choice(self.words) if x < 0.9 else str(rng.randint(1, 9999))

    def talk(self, rng: random.Random) -> Talk:
        """A few lists of words to repeat, or one of them to find again."""
        turns: list[Turn] = []
        for _ in range(rng.randint(1, 4)):
            items = [self._word(rng) for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4)))]
            text = rng.choice((" ", " ", ", ")).join(items)
            if len(items) > 2 and rng.random() < 0.25:
                i = rng.randrange(len(items) - 1)
                ask = rng.choice(("{t}\nWhich word comes after {w}?", "{t}\nWhat follows {w}?"))
                turns += [user(ask.format(t=", ".join(items), w=items[i])), bot(items[i + 1])]
                continue
            ask = rng.choice(
                (
                    "Repeat: {t}",
                    "Say {t}",
                    "Copy this: {t}",
                    "Write {t}",
                    "{t}\nRepeat the line above.",
                    "Repeat after me: {t}",
                )
            )
            turns += [user(ask.format(t=text)), bot(text)]
        return Talk(turns=turns)
