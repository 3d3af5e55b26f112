"""Greetings, identity, help about seekd, small talk, memory of the conversation, and honest limits."""

from __future__ import annotations

import random

from training.data.conversation import Talk, Turn, bot, system, user
from training.data.opendata import OpenData
from training.data.tables import pairs, rows
from training.data.words import COLORS, HOBBIES, SYSTEMS, city, first_name, invented, person, rough

PAIRS = pairs("small_talk")

SEEKD = pairs("seekd")

# Intents of natural utterances and the answers that each may get.
INTENTS: dict[str, list[str]] = {}
for _intent, _answer in rows("intents"):
    INTENTS.setdefault(_intent, []).append(_answer)
# What has a generator of its own, with better answers than "I'm not sure".
_ELSEWHERE = {"definition", "calculator", "spelling", "measurement_conversion"}
_LIMIT_WHY = "I cannot do this myself. I will say so."
_KNOWN_WHY = "I can answer this directly."


def _begin(rng: random.Random, chance: float = 0.3) -> list[Turn]:
    return [system(rng.choice(SYSTEMS))] if rng.random() < chance else []


def pair_turns(rng: random.Random, pool: list[tuple[list[str], list[str], str]]) -> list[Turn]:
    """One question of a table with one of its answers."""
    questions, answers, why = rng.choice(pool)
    return [user(rough(rng, rng.choice(questions))), bot(rng.choice(answers), why)]


def small_talk(rng: random.Random) -> Talk:
    """One to five turns from the tables."""
    thinking = rng.random() < 0.3
    turns = _begin(rng)
    for _ in range(1 if thinking else rng.randint(1, 5)):
        turns += pair_turns(rng, PAIRS if rng.random() < 0.8 else SEEKD)
    return Talk(turns=turns, thinking=thinking)


def seekd_help(rng: random.Random) -> Talk:
    """Questions about seekd itself."""
    thinking = rng.random() < 0.25
    turns = _begin(rng, 0.2)
    for _ in range(1 if thinking else rng.randint(1, 4)):
        turns += pair_turns(rng, SEEKD)
    return Talk(turns=turns, thinking=thinking)


_LEADS = ["hey ", "hi, ", "ok ", "okay, ", "so ", "well, ", "please ", "um ", "alright, ", "now ", "and ", "but "]
_ASKING = ["i want to know ", "tell me ", "please tell me ", "i would like to know ", "can you tell me ", "let me know ", "i wonder ", "do you know ", "could you say ", "i need to know ", "may i ask "]  # fmt: skip
_TAILS = [" please", " right now", " thanks", " thank you", " my friend", " today", " then", " for me", " if you can"]


def vary(rng: random.Random, text: str) -> str:
    """The utterance, or it with a word more or less: a few thousand utterances would be learnt by heart otherwise."""
    x = rng.random()
    words = text.split()
    if x < 0.2 and words[0] in ("what", "who", "where", "how", "when", "which"):
        return rng.choice(_ASKING) + text
    if x < 0.15:
        return rng.choice(_LEADS) + text
    if x < 0.3:
        return text.rstrip("?.!") + rng.choice(_TAILS)
    if x < 0.5 and len(words) > 4:
        del words[rng.randrange(len(words))]
    elif x < 0.55 and len(words) > 3:
        i = rng.randrange(len(words) - 1)
        words[i], words[i + 1] = words[i + 1], words[i]
    return " ".join(words)


class Intents:
    """Natural utterances of known intents; what no answer is written for is declined."""

    def __init__(self, data: OpenData) -> None:
        found = data.intents()
        self._known = [(texts, INTENTS[i]) for i, texts in found.items() if i in INTENTS]
        self._other = [
            (texts, INTENTS["oos"]) for i, texts in found.items() if i not in INTENTS and i not in _ELSEWHERE
        ]

    def talk(self, rng: random.Random) -> Talk:
        """Several utterances with their answers."""
        turns = _begin(rng, 0.2)
        if not self._known:
            return small_talk(rng)
        thinking = rng.random() < 0.2
        for _ in range(1 if thinking else rng.randint(2, 6)):
            texts, answers = rng.choice(self._other if rng.random() < 0.05 else self._known)
            text, answer = vary(rng, rng.choice(texts)), rng.choice(answers)
            text = text if rng.random() < 0.5 else text[0].upper() + text[1:] + rng.choice(("", ".", "?"))
            turns += [user(text), bot(answer, _LIMIT_WHY if "cannot" in answer else _KNOWN_WHY)]
        return Talk(turns=turns, thinking=thinking)


_NO_WEATHER = [
    "What's the weather like in {c}?",
    "Weather in {c}?",
    "How is the weather in {c} today?",
    "Is it raining in {c}?",
    "What is the temperature in {c}?",
    "Will it rain tomorrow in {c}?",
    "How cold is it in {c}?",
]


def limits(rng: random.Random) -> Talk:
    """Live data without tools, invented people and places, private facts."""
    thinking = rng.random() < 0.3
    turns = _begin(rng)
    for _ in range(1 if thinking else rng.randint(1, 4)):
        x = rng.random()
        if x < 0.4:
            c = city(rng)
            turns += [
                user(rough(rng, rng.choice(_NO_WEATHER).format(c=c))),
                bot(
                    f"I cannot look up live weather, so I do not know the weather in {c}. If you give me a weather tool, I can use it.",
                    "I have no tool for the weather. I will say so.",
                ),
            ]
        elif x < 0.7:
            who = (
                person(rng)
                if rng.random() < 0.6
                else f"the {invented(rng)} {rng.choice(('company', 'festival', 'river', 'theory', 'museum', 'treaty', 'island', 'battle'))}"
            )
            q = (
                rng.choice(
                    ("Who is {w}?", "Who was {w}?", "Tell me about {w}.", "When was {w} born?", "What did {w} do?")
                )
                if who[0] != "t"
                else rng.choice(("What is {w}?", "Tell me about {w}.", "What do you know about {w}?", "Where is {w}?"))
            )
            turns += [
                user(rough(rng, q.format(w=who))),
                bot(
                    f"I don't know anything about {who}. I am a small model and would rather not guess.",
                    f"I do not know {who}. I should not invent anything.",
                ),
            ]
        else:
            q = rng.choice(
                (
                    "What is my phone number?",
                    "What did I eat yesterday?",
                    "What is my password?",
                    "Where did I park my car?",
                    "What is the lottery number for tomorrow?",
                    "Who will win the next election?",
                    "How many people are in my house?",
                    "What is my mother's name?",
                    "What will happen next year?",
                    "What am I thinking?",
                )
            )
            turns += [
                user(rough(rng, q)),
                bot(
                    "I don't know that. I only know what you tell me in this conversation.",
                    "I cannot know this. I will say so.",
                ),
            ]
    return Talk(turns=turns, thinking=thinking)


def memory(rng: random.Random) -> Talk:
    """Facts that the user gives and asks for again."""
    n, c, color, hobby = first_name(rng), city(rng), rng.choice(COLORS), rng.choice(HOBBIES)
    age, pet = rng.randint(8, 80), first_name(rng)
    facts = [
        (
            rng.choice(
                (
                    f"My name is {n}.",
                    f"I'm {n}.",
                    f"Hi, I am {n}.",
                    f"Hello, my name is {n}",
                    f"Call me {n}.",
                    f"Hey, {n} here.",
                )
            ),
            f"Nice to meet you, {n}! How can I help you today?",
            (
                "What is my name?",
                "Do you remember my name?",
                "Who am I?",
                "What's my name?",
                "Can you tell me my name?",
            ),
            f"Your name is {n}.",
        ),
        (
            rng.choice((f"I live in {c}.", f"I am from {c}", f"My home is in {c}.")),
            f"{c} sounds like a nice place to live!",
            ("Where do I live?", "Which city am I from?", "Where is my home?", "Do you know where I live?"),
            f"You live in {c}.",
        ),
        (
            rng.choice((f"My favorite color is {color}.", f"I like the color {color} best.", f"I love {color}")),
            f"{color.capitalize()} is a lovely color!",
            ("What is my favorite color?", "Which color do I like?", "What's my favorite color?"),
            f"Your favorite color is {color}.",
        ),
        (
            rng.choice((f"My hobby is {hobby}.", f"I love {hobby}.", f"I really enjoy {hobby}")),
            f"{hobby.capitalize()} sounds like fun!",
            ("What is my hobby?", "What do I love to do?", "What do I enjoy?"),
            f"You enjoy {hobby}.",
        ),
        (
            rng.choice((f"I am {age} years old.", f"I'm {age}.", f"My age is {age}")),
            f"Thank you for telling me that you are {age}.",
            ("How old am I?", "What is my age?", "Do you know how old I am?"),
            f"You are {age} years old.",
        ),
        (
            rng.choice((f"My dog is called {pet}.", f"I have a dog named {pet}.", f"My dog's name is {pet}")),
            f"{pet} is a great name for a dog!",
            ("What is the name of my dog?", "What is my dog called?", "Do you remember my dog's name?"),
            f"Your dog is called {pet}.",
        ),
    ]
    rng.shuffle(facts)
    used = facts[: rng.randint(1, 3)]
    turns = _begin(rng, 0.2)
    if len(used) > 1 and rng.random() < 0.25:
        turns += [
            user(" ".join(f[0].rstrip(".") + "." for f in used)),
            bot("Thank you for telling me! How can I help you today?"),
        ]
    else:
        for say, reply, _, _ in used:
            turns += [user(say), bot(reply)]
            if rng.random() < 0.3:
                turns += pair_turns(rng, PAIRS)
    rng.shuffle(used)
    thinking = rng.random() < 0.25
    for _, _, ask, answer in used:
        turns += [user(rough(rng, rng.choice(ask))), bot(answer, "The user told me this earlier. " + answer)]
    if rng.random() < 0.2:
        rest = next(f for f in facts if f not in used)
        turns += [user(rng.choice(rest[2])), bot("You have not told me that yet.", "The user has not told me this.")]
    return Talk(turns=turns, thinking=thinking)


def recall(rng: random.Random) -> Talk:
    """Questions about the conversation itself."""
    turns = _begin(rng, 0.2)
    asked: list[str] = []
    for _ in range(rng.randint(1, 4)):
        pair = pair_turns(rng, PAIRS + SEEKD)
        asked.append(pair[0].text)
        turns += pair
    thinking = rng.random() < 0.25
    last_answer = turns[-1].text
    for kind in rng.sample(("last", "first", "answer"), rng.randint(1, 2)):
        if kind == "last":
            turns += [
                user(
                    rng.choice(
                        (
                            "What did I just ask?",
                            "What was my last question?",
                            "What did I just say?",
                            "Can you repeat my last message?",
                            "What was the last thing I wrote?",
                        )
                    )
                ),
                bot(f'You wrote: "{asked[-1]}"', "I will look at the last message of the user."),
            ]
        elif kind == "first":
            turns += [
                user(
                    rng.choice(
                        (
                            "What was my first message?",
                            "What did I ask first?",
                            "What was the first thing I said?",
                            "How did I start this conversation?",
                        )
                    )
                ),
                bot(f'Your first message was: "{asked[0]}"', "I will look at the first message of the user."),
            ]
        else:
            turns += [
                user(
                    rng.choice(
                        (
                            "Say that again.",
                            "Can you repeat that?",
                            "Please repeat your answer.",
                            "Repeat that please",
                            "What did you say?",
                        )
                    )
                ),
                bot(last_answer, "I will repeat my last answer."),
            ]
        asked.append(turns[-2].text)
        last_answer = turns[-1].text
    return Talk(turns=turns, thinking=thinking)
