"""The requests of the classic API and close relatives, answered greedily for reading."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.data.conversation import Talk, bot, system, tool, user
from training.generate import Runner

WEATHER = {
    "name": "get_weather",
    "description": "Get current weather information",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "City name"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["location"],
    },
}
_EXPLAIN = "You are a helpful assistant that explains complex topics simply."
_QUANTUM = "Quantum computing is a type of computing that uses quantum mechanics..."


def talks() -> list[tuple[str, Talk]]:
    """Every prompt with a label."""
    plain = ["Hello, how are you?", "What is quantum computing?", "Write a creative story", "Summarize this in 50 words", "List three items:", "Tell me a story", "Hello!", "What can you do?", "Who are you?",
             "What's the weather like in New York?", "What is 17 + 25?", "How do I change the base_url?"]  # fmt: skip
    out = [(p, Talk(turns=[user(p)])) for p in plain]
    out.append(("system + quantum", Talk(turns=[system(_EXPLAIN), user("What is quantum computing?")])))
    out.append(
        (
            "analogy",
            Talk(
                turns=[
                    system(_EXPLAIN),
                    user("What is quantum computing?"),
                    bot(_QUANTUM),
                    user("Can you give me a simple analogy?"),
                ]
            ),
        )
    )
    ask = user("What's the weather like in New York?")
    out.append(("weather tool", Talk(turns=[ask], tools=[WEATHER])))
    out.append(("weather tool, thinking", Talk(turns=[ask], tools=[WEATHER], thinking=True)))
    call = bot("", None, calls=[("get_weather", {"location": "New York", "unit": "fahrenheit"})])
    out.append(
        ("weather result", Talk(turns=[ask, call, tool('{"temperature": 72, "condition": "sunny"}')], tools=[WEATHER]))
    )
    out.append(("tool, greeting", Talk(turns=[user("Hello, how are you?")], tools=[WEATHER])))
    json_system = system("You are a helpful assistant designed to output JSON.")
    out.append(
        ("JSON profile", Talk(turns=[json_system, user("Generate a user profile for John Doe")], json_mode=True))
    )
    out.append(("thinking greeting", Talk(turns=[user("Hello, how are you?")], thinking=True)))
    out.append(("thinking sum", Talk(turns=[user("What is 47 + 38?")], thinking=True)))
    return out


def main() -> None:
    """Print the answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--temperature", type=float, default=0.0)
    args = parser.parse_args()
    runner = Runner(args.model)
    for label, talk in talks():
        o = runner.write(talk, temperature=args.temperature, seed=1)
        think = f"[{o.reasoning}] " if o.reasoning else ""
        print(f"## {label}\n{think}{o.content}{o.calls or ''}{'' if o.ended else ' …'}\n")


if __name__ == "__main__":
    main()
