"""Tools that search, convert and define."""

from __future__ import annotations

import json
import random

from training.data.kits import Args, Kit, Use, prop, result, simple
from training.data.tables import pools
from training.data.words import (
    person,
    subject,
)

_TOPICS = pools("questions")["search_topics"]


def search(rng: random.Random) -> Kit:
    """Web search, with an optional number of results."""
    key = rng.choice(("query", "q", "search_query", "text", "keywords"))
    limit = rng.choice((None, "limit", "max_results", "count"))
    props = {key: prop(rng, "string", "The search query", "What to search for")}
    if limit:
        props[limit] = prop(rng, "integer", "Number of results")

    def make(rng: random.Random) -> Use:
        t = rng.choice(_TOPICS) if rng.random() < 0.25 else subject(rng)
        say = rng.choice(
            (
                "Search for {t}.",
                "Search the web for {t}",
                "Look up {t}.",
                "Find information about {t}",
                "Can you search for {t}?",
                "Find out about {t}.",
                "I need information on {t}.",
                "Search {t} on the web",
                "Can you look up {t}?",
                "Please find something about {t}",
                "What does the web say about {t}?",
                "Find {t} on the internet.",
                "Could you find out more about {t}?",
                "search {t}",
            )
        ).format(t=t)
        args: Args = {key: t}
        if limit and rng.random() < 0.5:
            n = rng.randint(2, 10)
            say = say.rstrip(".?") + rng.choice((f" and show {n} results.", f", {n} results."))
            args[limit] = n
        title = f"{rng.choice(('A guide to', 'All about', 'An introduction to', 'News about'))} {t}"
        return Use(
            say=say,
            args=args,
            result=result(rng, {"results": [{"title": title}]}, title),
            answer=f'I found this: "{title}".',
        )

    return simple(
        rng,
        "search|web_search|search_web|find_information|google",
        "Search the web|Search the internet for information|Runs a web search",
        props,
        [key],
        make,
    )


def translate(rng: random.Random) -> Kit:
    """Translate a text."""
    k1, k2 = rng.choice(("text", "phrase", "sentence")), rng.choice(("target_language", "language", "to", "target"))
    words = {
        "Spanish": "Buenos días",
        "French": "Bonjour",
        "German": "Guten Morgen",
        "Italian": "Buongiorno",
        "Portuguese": "Bom dia",
        "Dutch": "Goedemorgen",
        "Polish": "Dzień dobry",
    }

    def make(rng: random.Random) -> Use:
        lang = rng.choice(list(words))
        t = rng.choice(
            [
                "good morning",
                "thank you very much",
                "where is the station",
                "I am hungry",
                "see you tomorrow",
                "how much is this",
                "the book is red",
                "my name is Anna",
                "the sea is calm",
                "can you help me",
            ]
        )
        say = rng.choice(
            (
                f"Translate '{t}' into {lang}.",
                f'Translate "{t}" to {lang}',
                f'How do you say "{t}" in {lang}?',
                f'What is "{t}" in {lang}?',
            )
        )
        return Use(
            say=say,
            args={k1: t, k2: lang},
            result=result(rng, {"translation": words[lang]}, words[lang]),
            answer=f'In {lang} it is "{words[lang]}".',
        )

    return simple(
        rng,
        "translate|translate_text|translator",
        "Translate text|Translate a text into another language",
        {k1: prop(rng, "string", "Text to translate"), k2: prop(rng, "string", "Language to translate into")},
        [k1, k2],
        make,
    )


def stock(rng: random.Random) -> Kit:
    """The price of a share."""
    key = rng.choice(("symbol", "ticker", "stock_symbol"))

    def make(rng: random.Random) -> Use:
        s = (
            rng.choice(
                [
                    "AAPL",
                    "MSFT",
                    "GOOG",
                    "TSLA",
                    "AMZN",
                    "NVDA",
                    "META",
                    "IBM",
                    "ORCL",
                    "INTC",
                    "AMD",
                    "NFLX",
                    "SAP",
                    "SONY",
                    "NKE",
                    "DIS",
                    "KO",
                    "PEP",
                    "WMT",
                    "BA",
                ]
            )
            if rng.random() < 0.6
            else "".join(rng.choices("ABCDEFGHIKLMNOPRSTUVXZ", k=rng.choice((3, 4))))
        )
        p = round(rng.uniform(5, 900), 2)
        say = rng.choice(
            (
                f"What is the stock price of {s}?",
                f"How much is {s} stock?",
                f"Get the price of {s}.",
                f"What's {s} trading at?",
                f"Stock price for {s}",
                f"Check {s} for me.",
            )
        )
        return Use(
            say=say,
            args={key: s},
            result=result(rng, {"symbol": s, "price": p}, f"{p} USD"),
            answer=f"{s} is trading at ${p}.",
        )

    return simple(
        rng,
        "get_stock_price|stock_price|get_quote|lookup_stock",
        "Get the current stock price|Returns the price of a stock",
        {key: prop(rng, "string", "Ticker symbol", "Stock symbol, e.g. AAPL")},
        [key],
        make,
    )


_CUR = {
    "dollars": "USD",
    "euros": "EUR",
    "pounds": "GBP",
    "yen": "JPY",
    "francs": "CHF",
    "rupees": "INR",
    "pesos": "MXN",
    "yuan": "CNY",
}


def currency(rng: random.Random) -> Kit:
    """Convert money."""
    k1, k2, k3 = rng.choice(
        (("amount", "from", "to"), ("amount", "from_currency", "to_currency"), ("value", "source", "target"))
    )
    props = {
        k1: prop(rng, "number", "Amount of money"),
        k2: prop(rng, "string", "Currency code"),
        k3: prop(rng, "string", "Currency code"),
    }

    def make(rng: random.Random) -> Use:
        a, (x, y) = rng.choice((5, 10, 20, 25, 50, 75, 100, 120, 200, 250, 300, 500, 1000)), rng.sample(list(_CUR), 2)
        r = round(a * rng.uniform(0.2, 8), 2)
        if rng.random() < 0.5:
            say = rng.choice((f"Convert {a} {_CUR[x]} to {_CUR[y]}.", f"How much is {a} {_CUR[x]} in {_CUR[y]}?"))
        else:
            say = rng.choice(
                (
                    f"Convert {a} {x} to {y}.",
                    f"How much is {a} {x} in {y}?",
                    f"What are {a} {x} in {y}?",
                    f"Change {a} {x} into {y}",
                )
            )
        return Use(
            say=say,
            args={k1: a, k2: _CUR[x], k3: _CUR[y]},
            result=result(rng, {"result": r}, f"{r} {_CUR[y]}"),
            answer=f"{a} {_CUR[x]} is {r} {_CUR[y]}.",
        )

    return simple(
        rng,
        "convert_currency|currency_converter|exchange|convert_money",
        "Convert an amount between currencies|Currency conversion",
        props,
        [k1, k2, k3],
        make,
    )


def random_number(rng: random.Random) -> Kit:
    """A number in a range."""
    k1, k2 = rng.choice((("min", "max"), ("low", "high"), ("minimum", "maximum"), ("start", "end")))

    def make(rng: random.Random) -> Use:
        a = rng.randint(0, 20)
        b = a + rng.choice((5, 10, 50, 80, 100, 980))
        r = rng.randint(a, b)
        say = rng.choice(
            (
                f"Give me a random number between {a} and {b}.",
                f"Pick a number from {a} to {b}",
                f"Random number between {a} and {b} please",
                f"Choose a number between {a} and {b}.",
            )
        )
        return Use(
            say=say,
            args={k1: a, k2: b},
            result=result(rng, {"number": r}, str(r)),
            answer=f"Your random number is {r}.",
        )

    return simple(
        rng,
        "random_number|get_random_number|rand|roll",
        "Returns a random number|Get a random number in a range",
        {k1: prop(rng, "integer", "Lower bound"), k2: prop(rng, "integer", "Upper bound")},
        [k1, k2],
        make,
    )


def define(rng: random.Random) -> Kit:
    """Look up a word."""
    key = rng.choice(("word", "term"))

    def make(rng: random.Random) -> Use:
        w, d = rng.choice(
            [
                ("serene", "calm and peaceful"),
                ("vast", "very large"),
                ("brisk", "quick and active"),
                ("frugal", "careful with money"),
                ("novice", "a beginner"),
                ("summit", "the top of a mountain"),
                ("meadow", "a field of grass"),
                ("candid", "honest and direct"),
                ("hasty", "too quick"),
                ("murky", "dark and unclear"),
                ("feeble", "weak"),
                ("lucid", "clear and easy to understand"),
            ]
        )
        say = rng.choice(
            (f"What does '{w}' mean?", f'Define "{w}".', f"Look up the word {w}.", f"What is the meaning of {w}?")
        )
        return Use(
            say=say, args={key: w}, result=result(rng, {"definition": d}, d), answer=f'"{w.capitalize()}" means {d}.'
        )

    return simple(
        rng,
        "define_word|dictionary|lookup_word|get_definition",
        "Look up a word in the dictionary|Get the definition of a word",
        {key: prop(rng, "string", "The word")},
        [key],
        make,
    )


def joke(rng: random.Random) -> Kit:
    """No parameters at all."""
    name, desc, say, answer = rng.choice([("get_joke", "Get a joke", "Tell me a joke.", "Why did the bicycle fall over? Because it was two-tired!"), ("get_quote", "Get a famous quote", "Give me a quote.", "Here is a quote: practice makes perfect."),
                                          ("get_location", "Get the location of the user", "Where am I?", "You are in the city center."), ("get_news", "Get the latest news", "What's in the news?", "The top story today: the new bridge is open."),
                                          ("list_files", "List the files of the user", "Which files do I have?", "You have two files: notes.txt and plan.txt."), ("get_battery", "Get the battery level", "How full is my battery?", "Your battery is at 80 percent.")])  # fmt: skip

    def make(_: random.Random) -> Use:
        return Use(say=say, args={}, result=json.dumps({"result": answer}), answer=answer)

    return simple(rng, name, desc, {}, [], make)


def person_lookup(rng: random.Random) -> Kit:
    """Find a person by name."""
    key = rng.choice(("name", "full_name", "person", "user"))

    def make(rng: random.Random) -> Use:
        p, n = person(rng), f"555-{rng.randint(1000, 9999)}"
        say = rng.choice(
            (
                f"What is the phone number of {p}?",
                f"Find {p} in the contacts.",
                f"Look up {p}",
                f"I need the number of {p}.",
            )
        )
        return Use(
            say=say, args={key: p}, result=result(rng, {"phone": n}, n), answer=f"The phone number of {p} is {n}."
        )

    return simple(
        rng,
        "find_contact|lookup_person|get_contact|find_user",
        "Look up a person|Find a contact by name",
        {key: prop(rng, "string", "Name of the person")},
        [key],
        make,
    )
