"""Simple explanations with analogies, common facts, definitions and lists."""

from __future__ import annotations

import random
import re

from training.data.conversation import Talk, Turn, bot, system, user
from training.data.opendata import OpenData
from training.data.tables import rows
from training.data.words import CATEGORY_ITEMS, NUMBER_WORDS, SYSTEMS, article, held_out, invented, join, rough

TOPICS = rows("topics")
FACTS = rows("facts")
_WHAT = ["What is {t}?", "Explain {t}.", "What is {t}?", "Can you explain {t}?", "Tell me about {t}.", "Explain {t} simply.", "What does {t} mean?", "Explain {t} in simple terms.", "Please explain {t} to a child.", "What's {t}?", "Define {t}.", "I want to learn about {t}.",
         "Could you describe {t}?", "How would you explain {t}?", "Give me a short explanation of {t}.", "What do you know about {t}?", "Help me understand {t}.", "{t}?", "How does {t} work?", "In one sentence, what is {t}?"]  # fmt: skip
_ANALOGY = ["Can you give me a simple analogy?", "Give me an analogy.", "Can you give an example?", "Can you make it simpler?", "I don't understand. Is there a picture for it?", "Do you have a simple comparison?", "Explain it with an analogy.", "Can you compare it to something?",
            "Could you give me a simple analogy for that?", "What is it like?", "Simpler, please.", "An analogy please", "Explain it like I'm five."]  # fmt: skip
_WHY = [
    "Why is it important?",
    "Why does it matter?",
    "What is it used for?",
    "Why should I care?",
    "What is it good for?",
    "How is it useful?",
    "Tell me more.",
    "What else can you tell me?",
    "Why is that useful?",
]
_ANALOGY_ONE = [
    "Give me a simple analogy for {t}.",
    "What is a good analogy for {t}?",
    "Can you give me an analogy for {t}?",
    "Compare {t} to something simple.",
    "Explain {t} with an analogy.",
]
_WHY_ONE = ["Why is {t} important?", "Why does {t} matter?", "What is {t} used for?", "What is {t} good for?"]


def _bare(topic: str) -> str:
    return re.sub(r"^(an?|the) ", "", topic)


def _pictured(topic: str, analogy: str) -> str:
    """The analogy behind the name of its topic: naming it first keeps a small model on it."""
    return f"Here is a simple picture for {topic}: {analogy[0].lower()}{analogy[1:]}"


def _shortened(rng: random.Random, text: str) -> str:
    """An explanation as others would have given it: cut off somewhere, as in examples of API documents."""
    words = text.split(". ")[0].split()
    return " ".join(words[: rng.randint(min(6, len(words)), len(words))]).rstrip(".,") + rng.choice(("...", "...", "."))


def topic_talk(rng: random.Random) -> Talk:
    """What a thing is, then an analogy and its use, in natural orders."""
    thinking = rng.random() < 0.3
    turns = [system(rng.choice(SYSTEMS))] if rng.random() < 0.4 else []
    for _ in range(1 if thinking else rng.choice((1, 1, 2))):
        topic, text, analogy, why = rng.choice(TOPICS)
        x = rng.random()
        if x < 0.12:
            turns += [
                user(rough(rng, rng.choice(_ANALOGY_ONE).format(t=topic))),
                bot(
                    _pictured(topic, analogy),
                    f"The user wants an analogy for {topic}. I will use a picture from daily life.",
                ),
            ]
        elif x < 0.2:
            turns += [
                user(rough(rng, rng.choice(_WHY_ONE).format(t=topic))),
                bot(why, f"The user asks why {topic} matters. I will give a short reason."),
            ]
        else:
            turns += [
                user(rough(rng, rng.choice(_WHAT).format(t=topic if rng.random() < 0.85 else _bare(topic)))),
                bot(text, f"The user asks about {topic}. I will explain it simply."),
            ]
            if rng.random() < 0.35:  # what was said before need not be what this model would have said
                turns[-1].text, turns[-1].learn = _shortened(rng, text), False
        follow = rng.choice(((), (_ANALOGY,), (_ANALOGY,), (_WHY,), (_ANALOGY, _WHY), (_WHY, _ANALOGY)))
        for group in follow:
            turns += [
                user(rough(rng, rng.choice(group))),
                bot(
                    _pictured(topic, analogy) if group is _ANALOGY else why,
                    f"The user wants {'an analogy' if group is _ANALOGY else 'to know more'}. The topic is {topic}.",
                ),
            ]
    if thinking and rng.random() < 0.5:
        turns = turns[:-2] if len(turns) > 3 else turns
    return Talk(turns=turns, thinking=thinking)


def fact_talk(rng: random.Random) -> Talk:
    """Common facts, with unknown ones between them."""
    thinking = rng.random() < 0.25
    turns = [system(rng.choice(SYSTEMS))] if rng.random() < 0.25 else []
    for _ in range(1 if thinking else rng.randint(2, 7)):
        if rng.random() < 0.12:
            place = invented(rng)
            q = rng.choice(
                (
                    "What is the capital of {p}?",
                    "How many people live in {p}?",
                    "Who is the mayor of {p}?",
                    "What language is spoken in {p}?",
                    "When was {p} founded?",
                )
            )
            turns += [
                user(rough(rng, q.format(p=place))),
                bot(
                    f"I don't know anything about {place}. I am a small model and would rather not guess.",
                    f"I do not know {place}. I should not guess.",
                ),
            ]
            continue
        q, a = rng.choice(FACTS)
        if q.startswith("What is the capital of ") and rng.random() < 0.4:
            place = q[23:-1]
            q = rng.choice(
                (
                    f"Capital of {place}?",
                    f"Which city is the capital of {place}?",
                    f"Tell me the capital of {place}.",
                    f"Do you know the capital of {place}?",
                    f"{place}: what is the capital?",
                )
            )
        turns += [user(rough(rng, q)), bot(a, "This is a common fact. " + a)]
    return Talk(turns=turns, thinking=thinking)


_LIST = [
    "List {n} {c}.",
    "List {n} {c}:",
    "Name {n} {c}.",
    "Give me {n} {c}.",
    "Can you list {n} {c}?",
    "Tell me {n} {c}.",
    "Write a list of {n} {c}.",
    "I need {n} {c}.",
    "What are {n} {c}?",
    "Give me a list of {n} {c}",
    "Please list {n} {c}",
    "Show me {n} {c}.",
    "Suggest {n} {c}.",
    "{n} {c}, please.",
]


def numbered(items: list[str]) -> str:
    """Items as a numbered list."""
    return "\n".join(f"{i}. {x[0].upper()}{x[1:]}" for i, x in enumerate(items, 1))


def list_turns(rng: random.Random) -> list[Turn]:
    """One request for a list."""
    c = rng.choice(["items", "items", "things", *[k for k in CATEGORY_ITEMS if not held_out(k)]])
    pool = CATEGORY_ITEMS[c]
    n = min(rng.choice((2, 3, 3, 3, 3, 4, 5, 5, 6)), len(pool))
    plain = rng.random() < 0.08
    word = "" if plain else (NUMBER_WORDS[n] if rng.random() < 0.6 else str(n))
    q = rng.choice(_LIST).format(n=word or "some", c=c)
    n = 5 if plain and len(pool) > 4 else n
    first = rng.randrange(max(1, len(pool) - n + 1)) if rng.random() < 0.5 else 0
    items = pool[first : first + n]
    if rng.random() < 0.08:
        q = q.rstrip(".?:") + rng.choice((" separated by commas.", " in one line.", " with commas."))
        return [user(q), bot(join(items).capitalize() + ".", f"The user wants {len(items)} {c} in one line.")]
    return [
        user(rough(rng, q) if not q.endswith(":") else q),
        bot(numbered(items), f"The user wants a list of {len(items)} {c}."),
    ]


def list_talk(rng: random.Random) -> Talk:
    """Lists, sometimes followed by questions about them."""
    thinking = rng.random() < 0.25
    turns = [system(rng.choice(SYSTEMS))] if rng.random() < 0.25 else []
    for _ in range(1 if thinking else rng.randint(1, 3)):
        turns += list_turns(rng)
    last = turns[-1].text.split("\n")
    if len(last) > 2 and not thinking and rng.random() < 0.4:
        i = rng.randrange(min(4, len(last)))
        word = ("first", "second", "third", "fourth")[i]
        turns += [
            user(rng.choice((f"What was the {word} one?", f"Which is the {word}?", f"Tell me only the {word} one."))),
            bot(last[i][3:] + ".", None),
        ]
    return Talk(turns=turns, thinking=thinking)


class Glossary:
    """Definitions of common nouns from WordNet."""

    def __init__(self, data: OpenData, size: int = 500) -> None:
        common: dict[str, int] = {}
        for record in data.lines("gsm8k"):
            for word in re.findall(r"[a-z]+", record["question"]):
                common[word] = common.get(word, 0) + 1
        for record in data.lines("simple_instructions"):
            for word in re.findall(r"[a-z]+", record["output"]):
                common[word] = common.get(word, 0) + 3
        found: dict[str, str] = {}
        for record in data.lines("wordnet"):
            if record["domain"] not in (
                "noun.animal",
                "noun.food",
                "noun.artifact",
                "noun.plant",
                "noun.object",
                "noun.body",
                "noun.person",
                "noun.substance",
            ):
                continue
            word, text = record["members"][0], record["definition"][0].split(";")[0]
            if (
                common.get(word, 0) >= 4
                and word not in found
                and 15 < len(text) < 90
                and "(" not in text
                and not held_out(word)
            ):
                found[word] = text
        top = sorted(found, key=lambda w: -common[w])[:size]
        self.entries = [(w, found[w]) for w in sorted(top)]

    def talk(self, rng: random.Random) -> Talk:
        """Definitions of a few words."""
        if not self.entries:
            return topic_talk(rng)
        turns = [system(rng.choice(SYSTEMS))] if rng.random() < 0.25 else []
        for _ in range(rng.randint(2, 5)):
            if rng.random() < 0.12:
                word = invented(rng).lower()
                turns += [
                    user(rng.choice(("What is a {w}?", "Define {w}.", "What does {w} mean?")).format(w=word)),
                    bot(f'I don\'t know the word "{word}". I am a small model and would rather not guess.'),
                ]
                continue
            word, text = rng.choice(self.entries)
            q = rng.choice(
                (
                    "What is {a}?",
                    "Define {w}.",
                    "What does {w} mean?",
                    "Definition of {w}",
                    "Define the word {w}.",
                    "What's {a}?",
                    'What does "{w}" mean?',
                    "Give me a definition of {w}.",
                )
            )
            turns += [user(rough(rng, q.format(w=word, a=article(word)))), bot(f"{word.capitalize()}: {text}.")]
        return Talk(turns=turns)
