"""Tools that look something up or compute it."""

from __future__ import annotations

import random

from training.data.kits import Args, Kit, Use, place, prop, result, schema, simple, tool_name
from training.data.tables import pools

_ASK_WEATHER = pools("questions")["weather"]
PLACE_KEYS = ("place", "city_name", "town", "where", "area", "region", "name", "target", "query", "location_name")
_TOPICS = pools("questions")["place_topics"]
_ASK_TOPIC = pools("questions")["place_questions"]


def weather(rng: random.Random) -> Kit:
    """Current weather; the unit follows the country unless the user names one."""
    usual = ["get_weather", "get_weather", "get_weather", "get_current_weather", "weather", "weather_lookup"]
    name = tool_name(rng, [*usual, "fetch_weather", "current_weather"])
    key = rng.choice(("location", "location", "city", "city", *PLACE_KEYS))
    style = rng.choice(("enum", "enum", "enum", "none", "units"))
    props = {
        key: prop(
            rng,
            "string",
            "City name",
            "The city",
            "The city and state, e.g. San Francisco, CA",
            "Name of the city",
            "Location to look up",
        )
    }
    unit_key = "units" if style == "units" else "unit"
    if style != "none":
        props[unit_key] = prop(rng, "string", "Temperature unit", "Unit of temperature", enum=["celsius", "fahrenheit"])
    spec = {"name": name, "description": rng.choice(("Get current weather information", "Get the current weather", "Returns the weather for a city", "Get the current weather in a given location", "Look up the weather")),
            "parameters": schema(rng, props, [key])}  # fmt: skip

    def make(rng: random.Random) -> Use:
        c, us = place(rng)
        unit = "fahrenheit" if us else "celsius"
        say = rng.choice(_ASK_WEATHER).format(c=c)
        if style != "none" and rng.random() < 0.15:
            unit = rng.choice(("celsius", "fahrenheit"))
            say = say.rstrip("?. ") + f" in {unit}?" if "weather" in say else f"{say} Use {unit}."
        args = {key: c} | ({unit_key: unit} if style != "none" else {})
        degrees = rng.randint(20, 99) if unit == "fahrenheit" else rng.randint(-9, 38)
        sky = rng.choice(["sunny", "cloudy", "rainy", "partly cloudy", "windy", "clear", "foggy", "snowy"])
        sign = "°F" if unit == "fahrenheit" else "°C"
        data: Args = {
            rng.choice(("temperature", "temp")): degrees,
            rng.choice(("condition", "conditions", "description")): sky,
        }
        if rng.random() < 0.4:
            data = {"location": c} | data
        answer = rng.choice(
            (
                f"The weather in {c} is {sky} with a temperature of {degrees}{sign}.",
                f"It is currently {degrees}{sign} and {sky} in {c}.",
            )
        )
        return Use(
            say=say,
            args=args,
            result=result(rng, data, rng.choice((f"{degrees}{sign}, {sky}", f"{sky}, {degrees} degrees"))),
            answer=answer,
        )

    return Kit(spec=spec, make=make)


def clock(rng: random.Random) -> Kit:
    """The time in a place."""
    key = rng.choice(("city", "location", "timezone_city", *PLACE_KEYS))

    def make(rng: random.Random) -> Use:
        c, _ = place(rng)
        t = f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
        say = rng.choice(
            (
                "What time is it in {c}?",
                "Tell me the time in {c}.",
                "Current time in {c}",
                "What's the local time in {c}?",
                "Do you know what time it is in {c}?",
                "What is the time in {c} right now?",
                "How late is it in {c}?",
                "I need to know the time in {c}",
                "the time in {c} please",
                "What does the clock say in {c}?",
                "Is it late in {c}?",
                "What hour is it in {c}?",
                "Clock time in {c}",
                "I want to call somebody in {c}, what time do they have?",
                "What do clocks show in {c} now?",
                "What's the hour in {c} at the moment?",
                "{c} time please",
                "Local time for {c}?",
                "What time do they have in {c}?",
            )
        ).format(c=c)
        return Use(say=say, args={key: c}, result=result(rng, {"time": t}, t), answer=f"It is {t} in {c}.")

    return simple(
        rng,
        "get_time|get_time|get_current_time|current_time|time_in_city|local_time|get_clock",
        "Get the current time in a city|Returns the local time|Get the current time",
        {key: prop(rng, "string", "City name", "Name of the city")},
        [key],
        make,
    )


def about_place(rng: random.Random) -> Kit:
    """One thing that can be asked of a place: beside others of its sort only that word tells which tool is meant."""
    topic = rng.choice(_TOPICS)
    noun = topic.replace(" ", "_")
    key = rng.choice(("location", "city", *PLACE_KEYS))

    def make(rng: random.Random) -> Use:
        c, _ = place(rng)
        value = rng.choice((rng.randint(2, 900), "good", "low", "high", "not known"))
        return Use(
            say=rng.choice(_ASK_TOPIC).format(c=c, t=topic),
            args={key: c},
            result=result(rng, {noun: value}, str(value)),
            answer=f"The {topic} in {c}: {value}.",
        )

    return simple(
        rng,
        f"get_{noun}|{noun}|find_{noun}|check_{noun}|{noun}_lookup|{noun}_in_city",
        f"Get the {topic} of a city|Returns the {topic}|Look up the {topic} in a place|",
        {key: prop(rng, "string", "City name", "Name of the city", "The place")},
        [key],
        make,
    )


def now(rng: random.Random) -> Kit:
    """Date or time without parameters."""

    def make(rng: random.Random) -> Use:
        d = f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
        say = rng.choice(
            (
                "What's the date today?",
                "What day is it?",
                "Tell me today's date.",
                "What is today's date?",
                "Which date is it today?",
            )
        )
        return Use(say=say, args={}, result=result(rng, {"date": d}, d), answer=f"Today is {d}.")

    return simple(
        rng, "get_date|today|get_today|current_date", "Get today's date|Returns the current date", {}, [], make
    )


def calculator(rng: random.Random) -> Kit:
    """Evaluate an expression."""
    key = rng.choice(("expression", "expr", "formula", "input"))

    def make(rng: random.Random) -> Use:
        op = rng.choice("+-*/")
        a, b = (rng.randint(2, 99), rng.randint(2, 99)) if op == "*" else (rng.randint(10, 9999), rng.randint(2, 999))
        if op == "/":
            a = a // b * b or b
        r = {"+": a + b, "-": a - b, "*": a * b, "/": a // b}[op]
        word = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}[op]
        e = f"{a} {op} {b}"
        say = rng.choice(
            (
                f"What is {e}?",
                f"Calculate {e}",
                f"What is {a} {word} {b}?",
                f"How much is {a} {word} {b}?",
                f"Compute {e} for me.",
                f"Use the calculator: {e}",
            )
        )
        return Use(say=say, args={key: e}, result=result(rng, {"result": r}, str(r)), answer=f"{e} = {r}.")

    return simple(
        rng,
        "calculate|calculator|evaluate|math|compute",
        "Evaluate a math expression|A simple calculator|Calculate the result of an expression",
        {key: prop(rng, "string", "The expression", "Math expression, e.g. 2 + 2")},
        [key],
        make,
    )


def add_numbers(rng: random.Random) -> Kit:
    """Two numbers as integers."""
    x, y = rng.choice((("a", "b"), ("x", "y"), ("first", "second"), ("num1", "num2")))
    name, word, sign = rng.choice(
        (("add", "add", "+"), ("multiply", "multiply", "*"), ("add_numbers", "add", "+"), ("sum", "add", "+"))
    )

    def make(rng: random.Random) -> Use:
        a, b = rng.randint(1, 999), rng.randint(1, 99)
        r = a + b if sign == "+" else a * b
        word2 = "plus" if sign == "+" else "times"
        say = rng.choice(
            (
                f"What is {a} {sign} {b}?",
                f"{word.capitalize()} {a} and {b}.",
                f"Please {word} {a} and {b}",
                f"How much is {a} {word2} {b}?",
            )
        )
        return Use(
            say=say, args={x: a, y: b}, result=result(rng, {"result": r}, str(r)), answer=f"{a} {sign} {b} = {r}."
        )

    kind = rng.choice(("integer", "number"))
    return simple(
        rng,
        name,
        f"{word.capitalize()} two numbers|{word.capitalize()}s two numbers and returns the result",
        {x: prop(rng, kind, "First number"), y: prop(rng, kind, "Second number")},
        [x, y],
        make,
    )
