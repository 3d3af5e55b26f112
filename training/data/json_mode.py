"""JSON mode: profiles, records, lists, and extraction from sentences."""

from __future__ import annotations

import json
import random
from typing import Any

from training.data.conversation import Talk, Turn, bot, system, user
from training.data.words import (
    CATEGORY_ITEMS,
    COLORS,
    HOBBIES,
    JOBS,
    SYSTEMS,
    city,
    held_out,
    invented,
    person,
)

_SYS = [
    "You are a helpful assistant designed to output JSON.",
    "You are a helpful assistant designed to output JSON.",
    "You are a helpful assistant designed to output JSON.",
    "Answer in JSON.",
    "Reply with a JSON object.",
    "You output JSON only.",
    "Always answer with valid JSON.",
]
_PROFILE = ["Generate a user profile for {n}", "Generate a user profile for {n}.", "Create a user profile for {n}.", "Make a profile for {n}", "Write a JSON profile for {n}.", "Create a JSON object for a user named {n}.", "Give me a profile of {n}.", "I need a user profile for {n} as JSON.",
            "Generate a customer record for {n}.", "Create a person called {n} in JSON.", "Produce an example user {n}.", "Generate a JSON user profile for {n}", "Can you generate a profile for {n}?", "Build a sample profile for {n}."]  # fmt: skip


def dump(value: Any) -> str:
    """JSON as the model writes it."""
    return json.dumps(value, ensure_ascii=False)


def profile(rng: random.Random) -> tuple[str, Any]:
    """A user profile with a fixed order of keys."""
    n = person(rng)
    first, last = n.rsplit(" ", 1)
    data = {
        "name": n,
        "age": rng.randint(20, 60),
        "email": f"{first}.{last}@example.com".lower().replace(" ", ""),
        "city": city(rng),
        "occupation": rng.choice(JOBS),
        "interests": rng.sample(HOBBIES, 3),
    }
    return rng.choice(_PROFILE).format(n=n), data


def extract(rng: random.Random) -> tuple[str, Any]:
    """A sentence and the record in it."""
    n, age, c, j = person(rng), rng.randint(18, 80), city(rng), rng.choice(JOBS)
    k = rng.randrange(6)
    ask = rng.choice(
        (
            "Extract the data as JSON: {s}",
            "Extract name, age and city from this sentence: {s}",
            "Turn this into JSON: {s}",
            "Convert to JSON: {s}",
            "{s} Extract the information as JSON.",
            "Parse this text into a JSON object: {s}",
        )
    )
    if k == 0:
        s, d = f"{n} is {age} years old and lives in {c}.", {"name": n, "age": age, "city": c}
    elif k == 1:
        s, d = f"{n} works as a {j} in {c}.", {"name": n, "occupation": j, "city": c}
        ask = ask.replace("name, age and city", "name, occupation and city")
    elif k == 2:
        q, p, i = (
            rng.randint(2, 20),
            rng.randint(1, 90),
            rng.choice(["pens", "cups", "chairs", "lamps", "books", "shirts", "plates", "bags"]),
        )
        s, d = f"The customer ordered {q} {i} for {p} dollars.", {"item": i, "quantity": q, "price": p}
        ask = ask.replace("name, age and city", "item, quantity and price")
    elif k == 3:
        day, hour = (
            rng.choice(["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]),
            rng.choice(("9:00", "10:30", "14:00", "16:15", "12:00")),
        )
        s, d = f"The meeting with {n} is on {day} at {hour} in {c}.", {"person": n, "day": day, "time": hour, "city": c}
        ask = ask.replace("name, age and city", "person, day, time and city")
    elif k == 4:
        s, d = f"{n}, {age}, {j}, {c}", {"name": n, "age": age, "occupation": j, "city": c}
        ask = "Convert to JSON with name, age, occupation and city: {s}"
    else:
        b, a, y = (
            f"The {rng.choice(COLORS).capitalize()} {rng.choice(['River', 'House', 'Garden', 'Letter', 'Train', 'Door'])}",
            n,
            rng.randint(1900, 2025),
        )
        s, d = f"{a} wrote the book {b} in {y}.", {"author": a, "title": b, "year": y}
        ask = ask.replace("name, age and city", "author, title and year")
    return ask.format(s=s), d


def record(rng: random.Random) -> tuple[str, Any]:
    """Small free records and lists."""
    k = rng.randrange(8)
    if k == 0:
        c = rng.choice([x for x in CATEGORY_ITEMS if not held_out(x) and " " not in x])
        items = CATEGORY_ITEMS[c][: rng.choice((3, 3, 4, 5))]
        n = len(items)
        return rng.choice(
            (f"List {n} {c} as JSON.", f"Give me {n} {c} in JSON.", f"Return a JSON object with {n} {c}.", f"{n} {c}")
        ), {c: items}
    if k == 1:
        c = city(rng)
        d: Any = {
            "city": c,
            "temperature": rng.randint(-5, 35),
            "condition": rng.choice(("sunny", "cloudy", "rainy", "windy")),
        }
        return rng.choice(
            (
                f"Generate example weather data for {c}.",
                f"Make up a weather record for {c}",
                f"Sample weather for {c} as JSON.",
            )
        ), d
    if k == 2:
        i = rng.choice(["lamp", "chair", "backpack", "phone", "watch", "camera", "bicycle", "teapot", "desk", "guitar"])
        d = {
            "name": i.capitalize(),
            "price": rng.choice((9.99, 19.99, 29.99, 49.99, 99.99)),
            "in_stock": rng.random() < 0.7,
            "category": rng.choice(("home", "outdoor", "electronics", "music")),
        }
        return rng.choice(
            (
                f"Create a product entry for a {i}.",
                f"Generate a product record for a {i}",
                f"Make a JSON product for a {i}.",
                f"Describe a {i} as a product in JSON.",
            )
        ), d
    if k == 3:
        a, b = rng.randint(1, 50), rng.randint(1, 49)
        return rng.choice((f"What is {a} + {b}?", f"Add {a} and {b}.", f"Compute {a} + {b}.")), {"result": a + b}
    if k == 4:
        q, w = rng.choice([("What is the capital of France?", {"capital": "Paris"}), ("What is the capital of Japan?", {"capital": "Tokyo"}), ("What is the capital of Italy?", {"capital": "Rome"}), ("Hello!", {"message": "Hello! How can I help you today?"}), ("Say hello", {"message": "Hello!"}), ("Who are you?", {"message": "I am the demonstration model of seekd."}),
                            ("Tell me a joke.", {"joke": "Why did the bicycle fall over? Because it was two-tired!"}), ("How many days are in a week?", {"days": 7})])  # fmt: skip
        return q, w
    if k == 5:
        t, good = rng.choice(
            [
                ("I love this phone!", "positive"),
                ("The food was terrible.", "negative"),
                ("The service was slow and rude.", "negative"),
                ("What a wonderful film!", "positive"),
                ("The book was okay.", "neutral"),
                ("I am very happy with the result.", "positive"),
                ("The room was dirty.", "negative"),
                ("It arrived on Tuesday.", "neutral"),
                ("The best cake ever!", "positive"),
                ("I want my money back.", "negative"),
            ]
        )
        return rng.choice(
            (f"Classify the sentiment: {t}", f"What is the sentiment of this sentence? {t}", f"Sentiment of: {t}")
        ), {"sentiment": good}
    if k == 6:
        n = rng.choice((2, 3))
        people = [{"name": person(rng), "age": rng.randint(20, 60)} for _ in range(n)]
        word = {2: "two", 3: "three"}[n]
        return rng.choice(
            (f"Generate {word} example users.", f"Create {word} users with name and age.", f"Give me {n} sample users.")
        ), {"users": people}
    title = f"{rng.choice(['Chicken', 'Tomato', 'Apple', 'Potato', 'Lentil', 'Mushroom', 'Pumpkin'])} {rng.choice(['soup', 'pie', 'salad', 'stew', 'curry'])}"
    main = title.split()[0].lower()
    return rng.choice(
        (
            f"Give me a recipe for {title.lower()}.",
            f"Create a recipe for {title.lower()} as JSON",
            f"Recipe: {title.lower()}",
        )
    ), {"title": title, "ingredients": [main, "salt", "water", "onion"], "minutes": rng.choice((20, 30, 40, 45))}


def json_talk(rng: random.Random) -> Talk:
    """One to three JSON answers."""
    thinking = rng.random() < 0.2
    json_mode = rng.random() < 0.8
    turns: list[Turn] = (
        [system(rng.choice(_SYS if rng.random() < 0.85 or not json_mode else SYSTEMS))]
        if rng.random() < 0.85 or not json_mode
        else []
    )
    for _ in range(1 if thinking else rng.randint(1, 4)):
        x = rng.random()
        q, d = profile(rng) if x < 0.4 else extract(rng) if x < 0.8 else record(rng)
        turns += [user(q), bot(dump(d), f"The user wants JSON with the keys {', '.join(d)}.")]
    return Talk(turns=turns, thinking=thinking, json_mode=json_mode)


def schema_talk(rng: random.Random) -> Talk:
    """Keys named by the user, to be followed exactly."""
    n, turns = invented, [system(rng.choice(_SYS))] if rng.random() < 0.7 else []
    for _ in range(rng.randint(1, 3)):
        fields = {
            "name": person(rng),
            "age": rng.randint(18, 80),
            "city": city(rng),
            "job": rng.choice(JOBS),
            "hobby": rng.choice(HOBBIES),
            "color": rng.choice(COLORS),
            "company": n(rng),
            "active": rng.random() < 0.5,
        }
        keys = rng.sample(list(fields), rng.randint(2, 5))
        who = fields["name"]
        q = rng.choice(
            (
                f"Create a JSON object with the keys {', '.join(keys)}.",
                f"Give me an example with these fields: {', '.join(keys)}.",
                f"Generate a record with {', '.join(keys[:-1])} and {keys[-1]}.",
            )
        )
        if "name" in keys and rng.random() < 0.6:
            q = q.rstrip(".") + f" for {who}."
        turns += [user(q), bot(dump({k: fields[k] for k in keys}))]
    return Talk(turns=turns, json_mode=True)
