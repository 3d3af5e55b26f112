"""Held-out evaluation of a model file: words, requests and wordings that the generators never produce."""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data import words
from training.data.conversation import Talk, bot, system, user
from training.data.opendata import OpenData
from training.generate import Output, Runner
from training.served import ServedRunner

Check = Callable[[Output], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One held-out prompt and the rule that its answer must meet."""

    kind: str
    talk: Talk
    check: Check


def _held(pool: list[str]) -> list[str]:
    return [w for w in dict.fromkeys(pool) if words.held_out(w)]


CITIES = (
    _held(words.US_CITIES)
    + _held(words.WORLD_CITIES)
    + [
        "Reno",
        "Tacoma",
        "Lubbock",
        "Toledo",
        "Utrecht",
        "Turin",
        "Malmo",
        "Leipzig",
        "Kigali",
        "Quito",
        "Havana",
        "Tbilisi",
        "Adelaide",
        "Fukuoka",
        "Busan",
        "Graz",
        "Ghent",
        "Aarhus",
        "Split",
        "Izmir",
    ]
)
NAMES = [
    *_held(words.FIRST),
    "Beatrice",
    "Gideon",
    "Ophelia",
    "Desmond",
    "Wilma",
    "Percy",
    "Agnes",
    "Roland",
    "Tabitha",
    "Clement",
]
SURNAMES = [
    *_held(words.LAST),
    "Fairfax",
    "Holloway",
    "Pemberton",
    "Ashworth",
    "Quincy",
    "Delgado",
    "Mercer",
    "Whitlock",
]


def arithmetic(rng: random.Random, count: int) -> Iterator[Case]:
    """One step, operands below 100, in wordings of the training and in others."""
    forms = (
        "What is {e}?",
        "{e}",
        "Could you figure out {e}?",
        "I need the value of {e}",
        "Tell me {e}",
        "Quick question: {e}?",
        "So what would {e} be?",
        "{e} equals what?",
    )
    for i in range(count):
        op = "+-*/"[rng.choice((0, 0, 0, 1, 1, 1, 2, 2, 3))]
        if op in "+-":
            a, b = rng.randint(0, 99), rng.randint(0, 99)
            a, b = (max(a, b), min(a, b)) if op == "-" else (a, b)
        else:
            a, b = rng.randint(1, 12), rng.randint(1, 12)
            a = a * b if op == "/" else a
        r = {"+": a + b, "-": a - b, "*": a * b, "/": a // max(b, 1)}[op]
        thinking = i % 2 == 1

        def check(o: Output, r: int = r) -> bool:
            found = re.findall(r"-?\d+", o.content)
            return bool(found) and o.ended and int(found[-1]) == r

        yield Case(
            kind=f"arithmetic{', thinking' if thinking else ''}",
            talk=Talk(turns=[user(rng.choice(forms).format(e=f"{a} {op} {b}"))], thinking=thinking),
            check=check,
        )


def _call_check(name: str, args: dict[str, Any]) -> Check:
    def check(o: Output) -> bool:
        if len(o.calls) != 1 or not o.ended:
            return False
        try:
            return o.calls[0][0] == name and json.loads(o.calls[0][1]) == args
        except ValueError:
            return False

    return check


def _any_of(checks: Iterable[Check]) -> Check:
    checks = tuple(checks)
    return lambda o: any(check(o) for check in checks)


def _tool(name: str, description: str, required: list[str], /, **props: Any) -> dict[str, Any]:
    return {
        "name": name,
        "description": description,
        "parameters": {
            "type": "object",
            "properties": {k: {"type": v} if isinstance(v, str) else v for k, v in props.items()},
            "required": required,
        },
    }


def tool_calls(rng: random.Random, count: int) -> Iterator[Case]:
    """Held-out cities, names and wordings; sometimes with other tools beside the right one."""
    unit = {"type": "string", "enum": ["celsius", "fahrenheit"]}
    others = [
        _tool("get_time", "Get the current time in a city", ["city"], city="string"),
        _tool("send_message", "Send a message", ["recipient", "text"], recipient="string", text="string"),
        _tool("set_timer", "Set a timer", ["minutes"], minutes="integer"),
        _tool("web_search", "Search the web", ["query"], query="string"),
        _tool("play_song", "Play a song", ["title"], title="string"),
    ]
    for _ in range(count):
        c, n = rng.choice(CITIES), rng.choice(NAMES)
        k = rng.randrange(8)
        if k <= 2:
            key = rng.choice(("location", "city"))
            right = _tool(
                "get_weather",
                "Get current weather information",
                [key],
                **{key: {"type": "string", "description": "City name"}, "unit": unit},
            )
            say = rng.choice(
                (
                    "What's the weather like in {c}?",
                    "How does the weather look in {c}?",
                    "I'm heading to {c} tomorrow, what's the weather there?",
                    "weather report for {c}",
                    "Any rain in {c}?",
                )
            ).format(c=c)
            # The unit follows the country, which the model cannot know of a city that it has never seen: either is right.
            right_check = _any_of(_call_check("get_weather", {key: c, "unit": u}) for u in ("celsius", "fahrenheit"))
        elif k == 3:
            right, say, right_check = (
                others[0],
                rng.choice((f"What time is it in {c}?", f"What's the clock in {c} right now?", f"Time in {c}, please")),
                _call_check("get_time", {"city": c}),
            )
        elif k == 4:
            right, say, right_check = (
                others[1],
                f"Send a message to {n} saying {(m := rng.choice(('the keys are on the table', 'dinner is at eight', 'I found your umbrella', 'we need more paint')))}",
                _call_check("send_message", {"recipient": n, "text": m}),
            )
        elif k == 5:
            v = rng.choice((4, 6, 7, 11, 14, 18, 22, 35, 50))
            right, say, right_check = (
                others[2],
                rng.choice(
                    (
                        f"Set a timer for {v} minutes.",
                        f"I need a {v} minute timer",
                        f"Please start a timer of {v} minutes",
                    )
                ),
                _call_check("set_timer", {"minutes": v}),
            )
        elif k == 6:
            q = rng.choice(
                (
                    "sailing boats",
                    "the history of tea",
                    "cheap laptops",
                    "volcanoes in Iceland",
                    "knitting patterns",
                    "bird songs",
                )
            )
            right, say, right_check = (
                others[3],
                rng.choice((f"Search for {q}.", f"Look up {q} on the web", f"Can you find information about {q}?")),
                _call_check("web_search", {"query": q}),
            )
        else:
            thing, title = (
                rng.choice(("ticket", "invoice", "note", "project")),
                f"{rng.choice(SURNAMES)} {rng.randint(10, 99)}",
            )
            right, say, right_check = (
                _tool(f"create_{thing}", f"Create a {thing}", ["name"], name="string"),
                f"Create the {thing} {title}.",
                _call_check(f"create_{thing}", {"name": title}),
            )
        tools = [right, *rng.sample([o for o in others if o["name"] != right["name"]], rng.choice((0, 0, 1, 2)))]
        rng.shuffle(tools)
        yield Case(
            kind="tool call", talk=Talk(turns=[user(say)], tools=tools, thinking=rng.random() < 0.3), check=right_check
        )


def near_misses(rng: random.Random, count: int) -> Iterator[Case]:
    """Tools are present, but the message needs none; or live data is asked for without tools."""
    weather = _tool("get_weather", "Get current weather information", ["location"], location="string")
    for i in range(count):
        if i % 2:
            c = rng.choice(CITIES)
            say = rng.choice(
                (
                    "What's the weather like in {c}?",
                    "How hot is it in {c}?",
                    "Is it snowing in {c} now?",
                    "Weather forecast for {c}",
                )
            ).format(c=c)
            yield Case(
                kind="no tool, live data",
                talk=Talk(turns=[user(say)]),
                check=lambda o: "cannot" in o.content and o.ended,
            )
        else:
            say = rng.choice(
                (
                    "Hello!",
                    "hey, how are you doing",
                    "Thanks so much",
                    "Good morning to you",
                    "who are you",
                    "What's your name?",
                    "bye then",
                    "tell me what you can do",
                )
            )
            yield Case(
                kind="tool, none needed",
                talk=Talk(turns=[user(say)], tools=[weather]),
                check=lambda o: not o.calls and len(o.content) > 4 and o.ended,
            )


_ON_TOPIC = {
    "greeting": "hello|help|morning|doing well", "goodbye": "goodbye|bye|nice day|night", "thank_you": "welcome|glad", "what_is_your_name": "seekd", "who_made_you": "seekd", "who_do_you_work_for": "seekd",
    "are_you_a_bot": "program|model|not a human", "how_old_are_you": "age|2026|trained", "where_are_you_from": "program|machine|seekd", "what_can_i_ask_you": "can", "what_are_your_hobbies": "program|stor", "do_you_have_pets": "pet",
    "meaning_of_life": "meaning|caring", "tell_joke": "because|what do you call|why did", "fun_fact": "fact", "time": "clock|time", "date": "calendar|date", "weather": "weather", "user_name": "name|told", "flip_coin": "heads|tails", "roll_dice": r"\d",
}  # fmt: skip


def small_talk(rng: random.Random, data: OpenData, count: int) -> Iterator[Case]:
    """The test split of the intent set: natural wordings that training never saw; the rule is a word that the topic needs."""
    pool = [(t, i) for i, texts in data.intents(("test",)).items() if i in _ON_TOPIC for t in texts]
    for text, intent in rng.sample(pool, min(count, len(pool))):
        pattern = re.compile(_ON_TOPIC[intent], re.I)
        yield Case(
            kind="small talk (natural)",
            talk=Talk(turns=[user(text)]),
            check=lambda o, p=pattern: bool(p.search(o.content)) and o.ended,
        )


_WRITTEN = [
    ("Hello my friend, how are things going?", "well|hello"), ("Hiya", "hello|help"), ("So, who exactly are you?", "seekd"), ("Could you tell me a bit about yourself?", "seekd"), ("Did the company DeepSeek create you?", "no\\b|independent|seekd"),
    ("What sort of tasks can you handle?", "can"), ("Got any jokes?", "because|what do you call|why"), ("Much obliged!", "welcome"), ("I'm off now, bye!", "bye|night|nice day"), ("Explain quantum computing please", "quantum|qubit"),
    ("Could you tell me what machine learning is?", "learn"), ("what exactly is gravity", "force|pull"), ("How would you define democracy?", "people|vot"), ("What is meant by inflation?", "price"), ("Tell me what a black hole is", "gravity|light"),
    ("What's photosynthesis about?", "plant"), ("Give me a short description of the internet", "computer"), ("Describe an algorithm in plain words", "step"), ("How can I point my OpenAI client at seekd?", "base_url"), ("What's this seekd thing?", "server|API"),
    ("which port should I use for seekd", "8000"), ("I'd love to hear a short story", "once upon|one "), ("Please write a tale about a brave knight", "knight"), ("Write a little story with a penguin", "penguin"), ("Name four fruits", "1\\..*\n2\\."),
    ("Give me three animals", "1\\..*\n2\\..*\n3\\."), ("List five countries", "5\\."), ("Make a list of two sports", "2\\."), ("summarise this for me", "text"), ("Can you write a summary of it in 30 words?", "text|summar"),
    ("What is France's capital?", "paris"), ("Japan's capital city?", "tokyo"), ("How many days does a week have?", "seven|7"), ("who painted the mona lisa?", "leonardo"), ("What do bees produce?", "honey"),
    ("Are you able to see pictures?", "text|cannot|no"), ("I feel a bit down today", "sorry"), ("I got the job!", "wonderful|happy"), ("This answer is bad", "sorry"), ("You rock!", "thank"),
]  # fmt: skip


def written(_: random.Random) -> Iterator[Case]:
    """Wordings written for this evaluation."""
    for text, pattern in _WRITTEN:
        p = re.compile(pattern, re.I | re.S)
        yield Case(
            kind="small talk and topics (written)",
            talk=Talk(turns=[user(text)]),
            check=lambda o, p=p: bool(p.search(o.content)) and o.ended,
        )


def json_cases(rng: random.Random, count: int) -> Iterator[Case]:
    """JSON mode with held-out names; the answer must parse, and copy the name."""
    forms = (
        "Generate a user profile for {n}",
        "Create a profile of the user {n}",
        "Make up a user profile for {n}",
        "I'd like a JSON profile for {n}.",
        "Please produce a profile for {n}",
    )
    for _ in range(count):
        n = f"{rng.choice(NAMES)} {rng.choice(SURNAMES)}"

        def check(o: Output, n: str = n) -> bool:
            try:
                value = json.loads(o.content)
            except ValueError:
                return False
            return isinstance(value, dict) and value.get("name") == n

        yield Case(
            kind="JSON profile",
            talk=Talk(
                turns=[
                    system("You are a helpful assistant designed to output JSON."),
                    user(rng.choice(forms).format(n=n)),
                ],
                json_mode=True,
            ),
            check=check,
        )
        age, city = rng.randint(18, 80), rng.choice(CITIES)

        def check2(o: Output, want: dict[str, Any] | None = None) -> bool:
            try:
                return bool(json.loads(o.content) == want)
            except ValueError:
                return False

        want = {"name": n, "age": age, "city": city}
        yield Case(
            kind="JSON extraction",
            talk=Talk(
                turns=[
                    system("You are a helpful assistant designed to output JSON."),
                    user(f"Extract name, age and city from this sentence: {n} is {age} years old and lives in {city}."),
                ],
                json_mode=True,
            ),
            check=lambda o, want=want: check2(o, want),
        )


def memory(rng: random.Random, count: int) -> Iterator[Case]:
    """Names and places that the user gave before."""
    for _ in range(count):
        n, c = rng.choice(NAMES), rng.choice(CITIES)
        turns = [
            user(f"Hi, I'm {n} and I live in {c}." if rng.random() < 0.3 else f"My name is {n}."),
            bot(f"Nice to meet you, {n}! How can I help you today?"),
        ]
        if rng.random() < 0.5:
            turns += [user("What is 2 + 2?"), bot("2 + 2 = 4.")]
        turns.append(user(rng.choice(("What is my name?", "Do you still know my name?", "what was my name again?"))))
        yield Case(kind="memory", talk=Talk(turns=turns), check=lambda o, n=n: n in o.content and o.ended)


def unknown(rng: random.Random, count: int) -> Iterator[Case]:
    """Invented people and places; inventing an answer is a failure."""
    forms = (
        "Who is {n}?",
        "What do you know about {n}?",
        "When did {n} die?",
        "Tell me about the life of {n}",
        "Which books did {n} write?",
    )
    for _ in range(count):
        n = f"{rng.choice(NAMES)} {rng.choice(SURNAMES)}"
        yield Case(
            kind="I don't know",
            talk=Talk(turns=[user(rng.choice(forms).format(n=n))]),
            check=lambda o: bool(re.search(r"don't know|not know|not sure|cannot", o.content)) and o.ended,
        )


# In no word list of the training, so that no hero is put together from them either.
HEROES = ["plumber", "violinist", "flamingo", "locksmith", "trombonist", "ocelot", "salamander", "beekeeper", "juggler", "armadillo", "blacksmith", "walrus", "lynx", "acrobat", "lamplighter", "florist"]  # fmt: skip


def stories(rng: random.Random, count: int) -> Iterator[Case]:
    """Heroes that no story of the training has; a story must be about its hero, end, and keep its one or two names."""
    forms = ("Tell me a story about a {h}", "Write a short story about a {h}.", "Can you tell me a tale about a {h}?")
    known = set(words.FIRST)

    def check(o: Output, hero: str) -> bool:
        named = re.findall(r"named (\w+)", o.content)
        names = {w for w in re.findall(r"\b[A-Z][a-z]+\b", o.content) if w in known or w in named}
        return hero in o.content and o.ended and 60 <= len(o.content.split()) <= 220 and 1 <= len(names) <= 2

    for _ in range(count):
        hero = rng.choice(HEROES)
        yield Case(
            kind="story of its hero",
            talk=Talk(turns=[user(rng.choice(forms).format(h=hero))]),
            check=lambda o, hero=hero: check(o, hero),
        )


def cases(data: OpenData, seed: int, count: int) -> list[Case]:
    """All held-out cases, `count` of every kind that is not a written list."""
    rng = random.Random(seed)
    return [
        *arithmetic(rng, count * 2),
        *tool_calls(rng, count),
        *near_misses(rng, count * 2),
        *small_talk(rng, data, count),
        *written(rng),
        *json_cases(rng, count),
        *memory(rng, count),
        *unknown(rng, count),
        *stories(rng, count),
    ]


def main() -> None:
    """Print the rate of every kind, and failures on request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a model file, or the base URL of a running seekd")
    parser.add_argument("--data-dir", type=Path, default=Path("../shared/data"))
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--show", type=int, default=3, help="failures to print per kind")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    is_served = args.model.startswith("http")
    runner = ServedRunner(args.model) if is_served else Runner(Path(args.model), threads=args.threads)
    good: dict[str, int] = {}
    total: dict[str, int] = {}
    for case in cases(OpenData(args.data_dir), args.seed, args.count):
        o = runner.write(case.talk, temperature=args.temperature, limit=320)
        ok = case.check(o)
        total[case.kind] = total.get(case.kind, 0) + 1
        good[case.kind] = good.get(case.kind, 0) + ok
        if not ok and total[case.kind] - good[case.kind] <= args.show:
            print(
                f"miss [{case.kind}] {case.talk.turns[-1].text!r} -> {o.reasoning + ' | ' if o.reasoning else ''}{o.content!r} {o.calls or ''}"
            )
    print("\n| kind | right | of | rate |\n|---|---|---|---|")
    for kind, n in total.items():
        print(f"| {kind} | {good[kind]} | {n} | {100 * good[kind] / n:.1f} % |")


if __name__ == "__main__":
    main()
