"""What a tool of a request is, and helpers to declare one in many ways."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from training.data.words import (
    TRAIN_US,
    TRAIN_WORLD,
    invented,
    two_words,
)

Args = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One use of a tool: what the user says, the arguments, the result and the answer to it."""

    say: str
    args: Args
    result: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """A tool as declared in a request, with a maker of uses."""

    spec: dict[str, Any]
    make: Callable[[random.Random], Use]


def schema(rng: random.Random, props: dict[str, Any], required: list[str]) -> dict[str, Any]:
    out: dict[str, Any] = {"type": "object", "properties": props}
    if required or rng.random() < 0.3:
        out["required"] = required
    if rng.random() < 0.1:
        out["additionalProperties"] = False
    return out


def prop(rng: random.Random, kind: str, *descriptions: str, enum: list[str] | None = None) -> dict[str, Any]:
    out: dict[str, Any] = {"type": kind}
    if descriptions and rng.random() < 0.7:
        out["description"] = rng.choice(descriptions)
    if enum:
        out["enum"] = enum
    return out


def result(rng: random.Random, data: Args, text: str) -> str:
    x = rng.random()
    if x < 0.6:
        return json.dumps(data, ensure_ascii=False)
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")) if x < 0.7 else text


def place(rng: random.Random) -> tuple[str, bool]:
    if rng.random() < 0.25:
        return two_words(rng), False
    x = rng.random()
    if x < 0.45:
        return rng.choice(TRAIN_US), True
    return (rng.choice(TRAIN_WORLD), False) if x < 0.92 else (invented(rng), False)


_FIRST_WORDS = ["do", "run", "make", "new", "my", "use", "begin", "request", "perform", "handle", "api", "call", "launch", "put", "tool", "start", "set", "get", "find", "create", "quick", "query", "add", "fetch"]  # fmt: skip


def tool_name(rng: random.Random, usual: list[str]) -> str:
    """A usual name, or one with another first word, so that it must be read from the declaration."""
    name = rng.choice(usual)
    return name if rng.random() < 0.5 else f"{rng.choice(_FIRST_WORDS)}_{name.split('_')[-1]}"


def simple(
    rng: random.Random,
    names: str,
    descriptions: str,
    props: dict[str, Any],
    required: list[str],
    make: Callable[[random.Random], Use],
) -> Kit:
    spec = {
        "name": tool_name(rng, names.split("|")),
        "description": rng.choice(descriptions.split("|")),
        "parameters": schema(rng, props, required),
    }
    return Kit(spec=spec, make=make)
