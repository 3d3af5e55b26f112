"""Tools of shops and travel, and made-up business tools."""

from __future__ import annotations

import random
from typing import Any

from training.data.kits import Args, Kit, Use, place, prop, result, schema, simple
from training.data.words import (
    ANIMALS,
    COLORS,
    PLAIN_NOUNS,
    TRAIN_FIRST,
    TRAIN_LAST,
    invented,
)


def flights(rng: random.Random) -> Kit:
    """Find a flight between two cities."""
    k1, k2 = rng.choice((("origin", "destination"), ("from_city", "to_city"), ("departure", "arrival"), ("from", "to")))
    k3 = rng.choice((None, "date", "day"))
    props = {k1: prop(rng, "string", "Departure city"), k2: prop(rng, "string", "Arrival city")}
    if k3:
        props[k3] = prop(rng, "string", "Travel date")

    def make(rng: random.Random) -> Use:
        a, b = place(rng)[0], place(rng)[0]
        d = rng.choice(
            [
                "Monday",
                "Tuesday",
                "Friday",
                "May 3",
                "June 12",
                "July 21",
                "2026-12-01",
                "2027-01-15",
                "tomorrow",
                "next Sunday",
            ]
        )
        say = rng.choice(
            (
                f"Find a flight from {a} to {b}",
                f"I want to fly from {a} to {b}",
                f"Search flights from {a} to {b}",
                f"Book a flight from {a} to {b}",
                f"Are there flights from {a} to {b}",
            )
        )
        args: Args = {k1: a, k2: b}
        if k3:
            say += f" {'' if d in ('tomorrow', 'next Sunday') else 'on '}{d}"
            args[k3] = d
        p, n = rng.randint(40, 900), f"{rng.choice('ABDKLSU')}{rng.choice('AFHLY')}{rng.randint(100, 999)}"
        return Use(
            say=say + ("?" if say.startswith("Are") else "."),
            args=args,
            result=result(rng, {"flight": n, "price": p}, f"{n}, {p} dollars"),
            answer=f"I found flight {n} from {a} to {b} for ${p}.",
        )

    return simple(
        rng,
        "search_flights|find_flights|book_flight|flight_search",
        "Search for flights|Find flights between two cities",
        props,
        [k1, k2] + ([k3] if k3 else []),
        make,
    )


def order(rng: random.Random) -> Kit:
    """Status of an order."""
    key = rng.choice(("order_id", "id", "order_number", "number"))
    text = rng.random() < 0.5

    def make(rng: random.Random) -> Use:
        v: Any = f"{rng.choice('ABCDEX')}{rng.randint(100, 99999)}" if text else rng.randint(100, 99999)
        s = rng.choice(["shipped", "on its way", "delivered", "being packed", "delayed", "cancelled"])
        say = rng.choice(
            (
                f"Where is my order {v}?",
                f"What is the status of order {v}?",
                f"Has order {v} been shipped?",
                f"Track order {v}",
                f"Can you check order {v} for me?",
                f"My order number is {v}. Where is it?",
            )
        )
        return Use(
            say=say,
            args={key: v},
            result=result(rng, {"status": s}, s),
            answer=f"Your order {v} is {s}." if s != "cancelled" else f"Your order {v} was cancelled.",
        )

    return simple(
        rng,
        "get_order_status|track_order|order_status|lookup_order",
        "Get the status of an order|Look up an order",
        {key: prop(rng, "string" if text else "integer", "Order number")},
        [key],
        make,
    )


def restaurant(rng: random.Random) -> Kit:
    """Book a table."""
    k1, k2 = rng.choice((("restaurant", "people"), ("name", "party_size"), ("restaurant_name", "guests")))

    def make(rng: random.Random) -> Use:
        r = f"{rng.choice(('The', 'Chez', 'Casa', 'Little'))} {rng.choice(('Green Door', 'Olive', 'Harbor', 'Garden', 'Lantern', 'Rose', 'Oak', 'Blue Fish', invented(rng), invented(rng)))}"
        n = rng.randint(2, 12)
        say = rng.choice(
            (
                f"Book a table for {n} at {r}.",
                f"Reserve a table at {r} for {n} people",
                f"I need a table for {n} at {r}.",
                f"Can you get us a table for {n} at {r}?",
            )
        )
        return Use(
            say=say,
            args={k1: r, k2: n},
            result=result(rng, {"confirmed": True}, "confirmed"),
            answer=f"Your table for {n} at {r} is booked.",
        )

    return simple(
        rng,
        "book_table|reserve_table|book_restaurant|make_reservation",
        "Book a table in a restaurant|Make a restaurant reservation",
        {k1: prop(rng, "string", "Name of the restaurant"), k2: prop(rng, "integer", "Number of people")},
        [k1, k2],
        make,
    )


_VERBS = [
    "create",
    "update",
    "delete",
    "get",
    "open",
    "close",
    "start",
    "stop",
    "find",
    "assign",
    "archive",
    "share",
    "rename",
    "approve",
    "print",
    "export",
]


_NOUNS = [
    "ticket",
    "project",
    "customer",
    "invoice",
    "note",
    "folder",
    "report",
    "contract",
    "account",
    "device",
    "printer",
    "server",
    "room",
    "ticket",
    "document",
    "playlist",
    "parcel",
    "recipe",
    "album",
    "channel",
    "course",
    "badge",
]


def generic(rng: random.Random) -> Kit:
    """A made-up business tool, so that names must be read from the declaration."""
    verb, noun = rng.choice(_VERBS), rng.choice(_NOUNS)
    style = rng.randrange(3)
    name = (f"{verb}_{noun}", f"{noun}_{verb}", f"{verb}{noun.capitalize()}")[style]
    usual = ("name", "title", f"{noun}_name", "label", f"{noun}_id", "subject", "text", "item", "key")
    key = rng.choice(usual) if rng.random() < 0.8 else rng.choice(PLAIN_NOUNS).split()[-1]
    extra = rng.choice((None, "priority", "color", "owner", "urgent", "number"))
    props = {key: prop(rng, "string", f"The {noun}", f"Name of the {noun}")}
    if extra == "priority":
        props[extra] = prop(rng, "string", enum=["low", "medium", "high"])
    elif extra == "urgent":
        props[extra] = prop(rng, "boolean", "Whether it is urgent")
    elif extra == "number":
        props[extra] = prop(rng, "integer", "A number")
    elif extra:
        props[extra] = prop(rng, "string", f"The {extra}")

    def make(rng: random.Random) -> Use:
        v = rng.choice(
            (
                invented(rng),
                f"{rng.choice(COLORS)} {rng.choice(ANIMALS)}",
                f"{rng.choice(TRAIN_LAST) if rng.random() < 0.4 else invented(rng)} {rng.randint(1, 99)}",
                rng.choice(TRAIN_LAST),
                f"{noun[0].upper()}-{rng.randint(10, 999)}",
            )
        )
        say, args = (
            rng.choice(
                (
                    f"{verb.capitalize()} the {noun} {v}",
                    f"Please {verb} the {noun} {v}",
                    f"Can you {verb} the {noun} called {v}",
                )
            ),
            {key: v},
        )
        if extra == "priority":
            args[extra] = rng.choice(("low", "medium", "high"))
            say += f" with {args[extra]} priority"
        elif extra == "urgent":
            args[extra] = rng.random() < 0.5  # type: ignore[assignment]
            say += ", it is urgent" if args[extra] else ", it is not urgent"
        elif extra == "number":
            args[extra] = rng.randint(1, 500)  # type: ignore[assignment]
            say += f" with number {args[extra]}"
        elif extra == "color":
            args[extra] = rng.choice(COLORS)
            say += f" in {args[extra]}"
        elif extra == "owner":
            args[extra] = rng.choice(TRAIN_FIRST)
            say += f" for {args[extra]}"
        past = (
            verb + ("d" if verb.endswith("e") else "ed")
            if verb not in ("get", "find", "stop")
            else {"get": "read", "find": "found", "stop": "stopped"}[verb]
        )
        return Use(
            say=say + ("?" if say.startswith("Can") else "."),
            args=args,
            result=result(rng, {"status": "ok"}, "ok"),
            answer=f"Done. The {noun} {v} was {past}.",
        )

    spec = {
        "name": name,
        "description": rng.choice(
            (f"{verb.capitalize()} a {noun}", f"{verb.capitalize()}s a {noun} in the system", "")
        ),
        "parameters": schema(rng, props, list(props)),
    }
    return Kit(spec=spec, make=make)
