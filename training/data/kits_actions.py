"""Tools that do something for the user."""

from __future__ import annotations

import random

from training.data.kits import Kit, Use, prop, result, simple
from training.data.tables import pools
from training.data.words import (
    TRAIN_FIRST,
    invented,
    message,
)

_POOLS = pools("questions")
_TASKS, _CLOCKS = _POOLS["tasks"], _POOLS["clocks"]


def reminder(rng: random.Random) -> Kit:
    """Set a reminder."""
    k1, k2 = rng.choice(("task", "text", "message", "title", "note")), rng.choice(("time", "when", "at", "due"))
    props = {
        k1: prop(rng, "string", "What to remember", "Reminder text"),
        k2: prop(rng, "string", "When to remind", "Time of the reminder"),
    }

    def make(rng: random.Random) -> Use:
        t, w = rng.choice(_TASKS), rng.choice(_CLOCKS)
        at = w if w.startswith("to") else ("on " if w[:3] in ("Mon", "Fri") else "at ") + w
        say = rng.choice(
            (
                "Remind me to {t} {at}.",
                "Set a reminder to {t} {at}",
                "{At} remind me to {t}.",
                "I need a reminder to {t} {at}.",
                "Please remind me to {t} {at}",
            )
        ).format(t=t, at=at, At=at[0].upper() + at[1:])
        return Use(
            say=say,
            args={k1: t, k2: w},
            result=result(rng, {"status": "ok"}, "Reminder set."),
            answer=f"Done! I will remind you to {t} {at}.",
        )

    return simple(
        rng,
        "set_reminder|create_reminder|add_reminder|remind",
        "Set a reminder|Create a reminder for the user",
        props,
        [k1, k2],
        make,
    )


def timer(rng: random.Random) -> Kit:
    """A timer in minutes or seconds."""
    unit = rng.choice(("minutes", "minutes", "seconds"))
    key = rng.choice((unit, "duration", "duration_" + unit))

    def make(rng: random.Random) -> Use:
        n = rng.choice((1, 2, 5, 10, 15, 20, 30, 45, 60, 90, rng.randint(1, 120)))
        say = rng.choice(
            (
                f"Set a timer for {n} {unit}.",
                f"Start a {n} {unit[:-1]} timer",
                f"Timer {n} {unit} please",
                f"Can you set a timer for {n} {unit}?",
                f"Count down {n} {unit}.",
                f"I want a timer of {n} {unit}.",
                f"Give me {n} {unit} on the timer",
                f"Please start the timer, {n} {unit}",
                f"Time {n} {unit} for me",
                f"Wake me in {n} {unit}",
                f"My eggs need {n} {unit}, start the timer",
                f"{n} {unit} from now, please ring",
                f"I want to be told when {n} {unit} are over",
                f"timer: {n} {unit}",
                f"Put {n} {unit} on a timer",
            )
        )
        return Use(
            say=say,
            args={key: n},
            result=result(rng, {"started": True}, "Timer started"),
            answer=f"The timer is set for {n} {unit}.",
        )

    return simple(
        rng,
        "set_timer|start_timer|timer",
        f"Start a timer|Set a timer in {unit}",
        {key: prop(rng, "integer", f"Duration in {unit}", f"Number of {unit}")},
        [key],
        make,
    )


def email(rng: random.Random) -> Kit:
    """Send a message to somebody."""
    k1, k2 = rng.choice(
        (("to", "subject"), ("recipient", "message"), ("to", "body"), ("name", "text"), ("contact", "message"))
    )
    props = {
        k1: prop(rng, "string", "Who receives it", "Name of the recipient"),
        k2: prop(rng, "string", "The text", "What to say"),
    }
    word = {"subject": "with the subject", "message": "saying", "body": "saying", "text": "saying"}[k2]

    def make(rng: random.Random) -> Use:
        p = rng.choice(TRAIN_FIRST) if rng.random() < 0.5 else invented(rng)
        m = (
            message(rng)
            if rng.random() < 0.75
            else rng.choice(
                [
                    "I will be late",
                    "the meeting is at noon",
                    "happy birthday",
                    "thank you for the help",
                    "please call me",
                    "dinner is ready",
                    "the report is done",
                    "see you on Monday",
                    "good luck today",
                    "I am on my way",
                    "the train is delayed",
                    "we won the game",
                ]
            )
        )
        say = rng.choice(
            (
                f"Send {rng.choice(('a message', 'an email'))} to {p} {word} {m}.",
                f"Write to {p} {word} {m}",
                f"Email {p} {word} {m}",
                f'Please send {p} a message {word} "{m}".',
                f"Message {p} {word} {m}",
                f"Send {p} a message {word} {m}",
                f"I want to send a message to {p} {word} {m}",
                f"Can you write to {p} {word} {m}?",
                f"Let {p} know: {m}",
                f"Tell {p} that {m}",
            )
        )
        return Use(
            say=say,
            args={k1: p, k2: m},
            result=result(rng, {"sent": True}, "Message sent."),
            answer=f"I sent the message to {p}.",
        )

    return simple(
        rng,
        "send_email|send_message|email|message|send_text",
        "Send a message|Send an email to a contact|Sends a text message",
        props,
        [k1, k2],
        make,
    )


def music(rng: random.Random) -> Kit:
    """Play something."""
    key = rng.choice(("song", "title", "track", "name"))

    def make(rng: random.Random) -> Use:
        s = f"{rng.choice(['Blue', 'Silent', 'Golden', 'Broken', 'Sweet', 'Wild', 'Lonely', 'Happy', 'Midnight', 'Summer', 'Electric', 'Paper'])} {rng.choice(['River', 'Morning', 'Heart', 'Road', 'Moon', 'Dream', 'Train', 'Garden', 'Dance', 'Rain', 'Sky', 'Letters'])}"
        say = rng.choice(
            (f"Play {s}.", f"Play the song {s}", f"I want to hear {s}.", f"Put on {s} please", f"Can you play {s}?")
        )
        return Use(say=say, args={key: s}, result=result(rng, {"playing": s}, "Playing"), answer=f"Now playing {s}.")

    return simple(
        rng,
        "play_music|play_song|play|start_music",
        "Play a song|Play music for the user",
        {key: prop(rng, "string", "Title of the song")},
        [key],
        make,
    )


def lights(rng: random.Random) -> Kit:
    """Switch lamps, a boolean or an enumeration."""
    flag = rng.random() < 0.5
    k1, k2 = rng.choice(("room", "location")), "on" if flag else rng.choice(("state", "action"))
    props = {
        k1: prop(rng, "string", "Which room"),
        k2: prop(rng, "boolean", "Whether the light is on") if flag else prop(rng, "string", enum=["on", "off"]),
    }

    def make(rng: random.Random) -> Use:
        r, s = (
            rng.choice(
                [
                    "kitchen",
                    "bedroom",
                    "living room",
                    "bathroom",
                    "office",
                    "hallway",
                    "garage",
                    "garden",
                    "attic",
                    "dining room",
                ]
            ),
            rng.choice(("on", "off")),
        )
        say = rng.choice(
            (
                f"Turn {s} the light in the {r}.",
                f"Turn {s} the {r} light",
                f"Switch {s} the lights in the {r}.",
                f"Lights {s} in the {r} please",
                f"Can you turn the {r} light {s}?",
            )
        )
        return Use(
            say=say,
            args={k1: r, k2: (s == "on") if flag else s},
            result=result(rng, {"ok": True}, "ok"),
            answer=f"The light in the {r} is now {s}.",
        )

    return simple(
        rng,
        "set_light|control_light|switch_light|lights",
        "Control the lights|Turn a light on or off",
        props,
        [k1, k2],
        make,
    )


def thermostat(rng: random.Random) -> Kit:
    """Set a temperature."""
    key = rng.choice(("temperature", "degrees", "target"))

    def make(rng: random.Random) -> Use:
        n = rng.randint(15, 28)
        say = rng.choice(
            (
                f"Set the temperature to {n} degrees.",
                f"Make it {n} degrees in here",
                f"Heat the house to {n}.",
                f"Set the heating to {n} degrees please",
                f"I want it to be {n} degrees.",
            )
        )
        return Use(
            say=say,
            args={key: n},
            result=result(rng, {"target": n}, "done"),
            answer=f"The temperature is set to {n} degrees.",
        )

    return simple(
        rng,
        "set_temperature|set_thermostat|heating",
        "Set the room temperature|Control the thermostat",
        {key: prop(rng, "number", "Degrees Celsius", "Target temperature")},
        [key],
        make,
    )


def calendar(rng: random.Random) -> Kit:
    """Create an event."""
    k1, k2 = rng.choice(("title", "event", "name", "summary")), rng.choice(("date", "day", "when"))

    def make(rng: random.Random) -> Use:
        t = rng.choice(
            [
                "team meeting",
                "dentist appointment",
                "birthday party",
                "yoga class",
                "lunch with Anna",
                "job interview",
                "piano lesson",
                "parent evening",
                "project review",
                "book club",
                "doctor visit",
                "garden party",
            ]
        )
        d = rng.choice(
            [
                "Monday",
                "Tuesday",
                "Wednesday",
                "Thursday",
                "Friday",
                "Saturday",
                "Sunday",
                "May 5",
                "June 10",
                "March 3",
                "August 21",
                "October 30",
            ]
        )
        say = rng.choice(
            (
                f"Add a {t} on {d} to my calendar.",
                f"Schedule a {t} on {d}",
                f"Put {t} on {d} in my calendar.",
                f"Create an event: {t} on {d}",
                f"Please plan a {t} for {d}.",
            )
        )
        return Use(
            say=say,
            args={k1: t, k2: d},
            result=result(rng, {"created": True}, "Event created"),
            answer=f"I added {t} on {d} to your calendar.",
        )

    return simple(
        rng,
        "create_event|add_event|add_to_calendar|schedule_event",
        "Create a calendar event|Add an event to the calendar",
        {k1: prop(rng, "string", "Title of the event"), k2: prop(rng, "string", "Day of the event")},
        [k1, k2],
        make,
    )


def shopping(rng: random.Random) -> Kit:
    """Put a thing on a list."""
    k1, k2 = rng.choice((("item", "quantity"), ("product", "count"), ("name", "amount")))

    def make(rng: random.Random) -> Use:
        i, n = (
            rng.choice(
                [
                    "apples",
                    "eggs",
                    "lemons",
                    "candles",
                    "batteries",
                    "onions",
                    "oranges",
                    "bananas",
                    "bottles of water",
                    "bags of rice",
                    "tomatoes",
                    "notebooks",
                    "light bulbs",
                    "potatoes",
                ]
            ),
            rng.randint(2, 24),
        )
        say = rng.choice(
            (
                f"Add {n} {i} to my shopping list.",
                f"Put {n} {i} on the list",
                f"I need {n} {i}.",
                f"Please add {n} {i} to the list",
            )
        )
        return Use(
            say=say,
            args={k1: i, k2: n},
            result=result(rng, {"ok": True}, "added"),
            answer=f"I added {n} {i} to your list.",
        )

    return simple(
        rng,
        "add_to_list|add_item|add_to_shopping_list|add_to_cart",
        "Add an item to the shopping list|Put a product on the list",
        {k1: prop(rng, "string", "Name of the item"), k2: prop(rng, "integer", "How many")},
        [k1, k2],
        make,
    )
