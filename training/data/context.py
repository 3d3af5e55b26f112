"""Questions about given text, summaries, rewriting, and simple instructions."""

from __future__ import annotations

import random

from training.data.conversation import Talk, Turn, bot, system, user
from training.data.knowledge import TOPICS
from training.data.opendata import OpenData
from training.data.tables import rows
from training.data.words import COLORS, JOBS, SYSTEMS, city, first_name, held_out, invented, rough

_SHOPS = [
    "bakery",
    "book shop",
    "flower shop",
    "bicycle shop",
    "hotel",
    "restaurant",
    "museum",
    "library",
    "coffee bar",
    "garden center",
    "music school",
    "swimming pool",
]


def shop_talk(rng: random.Random) -> Talk:
    """An assistant of a made-up place whose system prompt holds the facts."""
    shop, name, town = rng.choice(_SHOPS), f"{invented(rng)}", city(rng)
    o, c = rng.randint(6, 11), rng.randint(15, 22)
    price, thing = (
        rng.randint(2, 40),
        rng.choice(["coffee", "ticket", "breakfast", "lesson", "map", "sandwich", "bag", "cake", "tour", "cup"]),
    )
    day, boss, phone = (
        rng.choice(["Monday", "Tuesday", "Wednesday", "Sunday"]),
        first_name(rng),
        f"555-{rng.randint(1000, 9999)}",
    )
    helper = first_name(rng)
    facts = [
        (
            f"The {shop} is open from {o}:00 to {c}:00.",
            (
                "When do you open?",
                "What are your opening hours?",
                "When are you open?",
                "How long are you open?",
                "opening hours?",
            ),
            f"We are open from {o}:00 to {c}:00.",
        ),
        (
            f"It is closed on {day}.",
            ("On which day are you closed?", "When are you closed?", "Is there a day when you are closed?"),
            f"We are closed on {day}.",
        ),
        (
            f"A {thing} costs {price} dollars.",
            (
                f"How much is a {thing}?",
                f"What does a {thing} cost?",
                f"Price of a {thing}?",
                f"How expensive is a {thing}?",
            ),
            f"A {thing} costs {price} dollars.",
        ),
        (
            f"The owner is {boss}.",
            ("Who is the owner?", "Who owns this place?", "Who runs this place?"),
            f"The owner is {boss}.",
        ),
        (
            f"The phone number is {phone}.",
            ("What is your phone number?", "How can I call you?", "Do you have a phone number?"),
            f"Our phone number is {phone}.",
        ),
        (
            f"It is in {town}.",
            ("Where are you?", "In which city are you?", "Where can I find you?"),
            f"We are in {town}.",
        ),
    ]
    rng.shuffle(facts)
    used = facts[: rng.randint(3, 6)]
    text = f"You are {helper}, the assistant of the {shop} {name}. " + " ".join(f[0] for f in used)
    turns: list[Turn] = [system(text)]
    thinking = rng.random() < 0.2
    for _ in range(1 if thinking else rng.randint(2, 6)):
        x = rng.random()
        if x < 0.12:
            turns += [
                user(rough(rng, rng.choice(("Who are you?", "What is your name?", "Hi, who is this?")))),
                bot(f"I am {helper}, the assistant of the {shop} {name}.", "The system message says who I am."),
            ]
        elif x < 0.2:
            turns += [
                user(rng.choice(("Hello", "Hi!", "Good morning"))),
                bot(f"Hello! Welcome to the {shop} {name}. How can I help you?", "I will greet the guest."),
            ]
        elif x < 0.3 and len(used) < 6:
            other = facts[len(used)]
            turns += [
                user(rough(rng, rng.choice(other[1]))),
                bot("I'm sorry, I don't know that.", "The system message does not say this."),
            ]
        else:
            f = rng.choice(used)
            turns += [user(rough(rng, rng.choice(f[1]))), bot(f[2], f"The system message says: {f[0]}")]
    return Talk(turns=turns, thinking=thinking)


def passage(rng: random.Random) -> tuple[str, list[tuple[str, str]]]:
    """A short text and questions with answers."""
    n, c, j = first_name(rng), city(rng), rng.choice(JOBS)
    col, thing, m = (
        rng.choice(COLORS),
        rng.choice(["bicycle", "car", "house", "boat", "coat", "hat", "piano", "bag", "kite", "lamp"]),
        first_name(rng),
    )
    y, k, day = (
        rng.randint(1950, 2025),
        rng.randint(2, 90),
        rng.choice(["Monday", "Tuesday", "Friday", "Saturday", "Sunday"]),
    )
    pool = [
        (
            f"{n} is a {j} from {c}.",
            [("What is {n}'s job?", f"{n} is a {j}."), ("Where is {n} from?", f"{n} is from {c}.")],
        ),
        (
            f"{n} has a {col} {thing}.",
            [
                (f"What color is the {thing}?", f"The {thing} is {col}."),
                ("What does {n} have?", f"{n} has a {col} {thing}."),
            ],
        ),
        (f"{n}'s best friend is called {m}.", [("Who is {n}'s best friend?", f"{n}'s best friend is {m}.")]),
        (
            f"The story began in {y}.",
            [
                ("When did the story begin?", f"The story began in {y}."),
                ("In which year did it begin?", f"It began in {y}."),
            ],
        ),
        (
            f"On {day}, {n} visits {m} in the garden.",
            [
                ("When does {n} visit {m}?", f"{n} visits {m} on {day}."),
                ("Where does {n} visit {m}?", f"{n} visits {m} in the garden."),
            ],
        ),
        (
            f"{n} collected {k} shells at the beach.",
            [
                ("How many shells did {n} collect?", f"{n} collected {k} shells."),
                ("Where did {n} collect the shells?", f"{n} collected the shells at the beach."),
            ],
        ),
    ]
    first, rest = pool[0], rng.sample(pool[1:], rng.randint(1, 4))
    used = [first, *rest]
    qa = [(q.format(n=n, m=m), a) for _, qs in used for q, a in qs]
    return " ".join(s for s, _ in used), qa


def reading_talk(rng: random.Random) -> Talk:
    """Questions about a passage in the first message."""
    text, qa = passage(rng)
    rng.shuffle(qa)
    thinking = rng.random() < 0.2
    q, a = qa[0]
    form = rng.choice(
        (
            "{t} {q}",
            "{t}\n\n{q}",
            "Text: {t}\n\nQuestion: {q}",
            "Read this: {t} {q}",
            "{q}\n\n{t}",
            "Answer the question from the text.\n\n{t}\n\n{q}",
        )
    )
    turns = [system(rng.choice(SYSTEMS))] if rng.random() < 0.2 else []
    turns += [user(form.format(t=text, q=q)), bot(a, f"The text says it. {a}")]
    for q, a in [] if thinking else qa[1 : rng.randint(1, 5)]:
        turns += [user(rough(rng, q)), bot(a)]
    return Talk(turns=turns, thinking=thinking)


_SUM = [
    "Summarize this in 50 words: {t}",
    "Summarize: {t}",
    "Summarize this text: {t}",
    "Give me a one sentence summary: {t}",
    "{t}\n\nSummarize this in one sentence.",
    "Please summarize the following text.\n\n{t}",
    "What is the main point of this text? {t}",
    "tl;dr: {t}",
    "Shorten this: {t}",
    "Summarize this in 20 words:\n{t}",
]


def summary_talk(rng: random.Random) -> Talk:
    """A text and its first statement as the summary."""
    thinking = rng.random() < 0.2
    turns = [system(rng.choice(SYSTEMS))] if rng.random() < 0.2 else []
    for _ in range(1 if thinking else rng.randint(1, 2)):
        if rng.random() < 0.6:
            _, text, analogy, why = rng.choice(TOPICS)
            lead = text.split(". ")[0].rstrip(".") + "."
            body = f"{text} {analogy} {why}"
        else:
            body, _ = passage(rng)
            lead = body.split(". ")[0].rstrip(".") + "."
        turns += [
            user(rng.choice(_SUM).format(t=body)),
            bot(f"In short: {lead}", "The main point is in the first sentence."),
        ]
    return Talk(turns=turns, thinking=thinking)


_GRAMMAR = rows("grammar")
_POLITE = rows("polite")
_VERBS = [
    ("walk", "walked", "walks"),
    ("play", "played", "plays"),
    ("cook", "cooked", "cooks"),
    ("visit", "visited", "visits"),
    ("paint", "painted", "paints"),
    ("clean", "cleaned", "cleans"),
    ("open", "opened", "opens"),
    ("help", "helped", "helps"),
    ("call", "called", "calls"),
    ("watch", "watched", "watches"),
]
_OBJ = ["in the park", "the house", "dinner", "a friend", "the old door", "the neighbors", "a film", "the kitchen"]


def rewrite_turns(rng: random.Random) -> list[Turn]:
    """One small rewriting task."""
    k = rng.randrange(5)
    n, (base, past, third), o = first_name(rng), rng.choice(_VERBS), rng.choice(_OBJ)
    if k == 0:
        bad, good = rng.choice(_GRAMMAR)
        if rng.random() < 0.5:
            bad, good = f"{n} {base} {o} every day.", f"{n} {third} {o} every day."
        return [
            user(
                rng.choice(
                    (
                        "Fix the grammar: {s}",
                        "Correct this sentence: {s}",
                        'Correct the grammar in "{s}"',
                        "Please fix this sentence: {s}",
                        "Is this correct? {s}",
                    )
                ).format(s=bad)
            ),
            bot(good, "I will correct the verb."),
        ]
    if k == 1:
        a, b = rng.choice(_POLITE)
        return [
            user(
                rng.choice(
                    (
                        "Make this polite: {s}",
                        "Rewrite this politely: {s}",
                        "Say this in a more polite way: {s}",
                        'How can I say "{s}" politely?',
                    )
                ).format(s=a)
            ),
            bot(b, "I will add please."),
        ]
    if k == 2:
        return [
            user(
                rng.choice(
                    ("Put this into the past tense: {s}", "Rewrite in the past tense: {s}", "Change to past tense: {s}")
                ).format(s=f"{n} {third} {o}.")
            ),
            bot(f"{n} {past} {o}.", "I will use the past tense."),
        ]
    if k == 3:
        s = f"{n} {past} {o}."
        return [
            user(
                rng.choice(
                    ("Write this in capital letters: {s}", "Uppercase this: {s}", "Convert to uppercase: {s}")
                ).format(s=s)
            ),
            bot(s.upper(), "I will use capital letters."),
        ]
    s = rng.choice(
        (
            f"{n} {past} {o}.",
            f"The {rng.choice(COLORS)} {rng.choice(('bird', 'boat', 'lamp', 'flower'))} is beautiful.",
            f"{invented(rng)} is a quiet place.",
            f"{rng.randint(2, 99)} {rng.choice(('ships', 'trees', 'cards'))}",
        )
    )
    return [
        user(
            rng.choice(
                ("Repeat after me: {s}", "Repeat this: {s}", "Say exactly: {s}", "Echo: {s}", 'Write "{s}"')
            ).format(s=s)
        ),
        bot(s, "I will repeat the text."),
    ]


def rewrite_talk(rng: random.Random) -> Talk:
    """One to four rewriting tasks."""
    thinking = rng.random() < 0.2
    turns = [system(rng.choice(SYSTEMS))] if rng.random() < 0.2 else []
    for _ in range(1 if thinking else rng.randint(1, 4)):
        turns += rewrite_turns(rng)
    return Talk(turns=turns, thinking=thinking)


class Instructions:
    """Short instructions with answers from an open set."""

    def __init__(self, data: OpenData) -> None:
        self.pool = []
        for r in data.lines("simple_instructions"):
            q = f"{r['instruction']}\n{r['input']}" if r["input"] else r["instruction"]
            if len(r["output"]) < 300 and not held_out(q):
                self.pool.append((q, r["output"]))

    def talk(self, rng: random.Random) -> Talk:
        """A few of them in one conversation."""
        if not self.pool:
            return rewrite_talk(rng)
        turns = [system(rng.choice(SYSTEMS))] if rng.random() < 0.2 else []
        for _ in range(rng.randint(1, 4)):
            q, a = rng.choice(self.pool)
            turns += [user(q), bot(a)]
        return Talk(turns=turns)
