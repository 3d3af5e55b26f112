"""The mixture of all kinds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial

from training.data import chat, context, everyday, fim, json_mode, knowledge, maths, requests, stories, tools
from training.data.conversation import Talk, Turn
from training.data.opendata import OpenData

Maker = Callable[[random.Random], Talk]


def makers(data: OpenData, rng: random.Random) -> list[tuple[str, float, Maker]]:
    """Kinds with their shares (of conversations, not of tokens)."""
    marked = requests.request_talks(rng, data, 4000) or [tools.tool_talk(rng)]
    return [
        ("small_talk", 11, chat.small_talk),
        ("seekd", 4, chat.seekd_help),
        ("intents", 5, chat.Intents(data).talk),
        ("limits", 4, chat.limits),
        ("memory", 5, chat.memory),
        ("recall", 4, chat.recall),
        ("topics", 11, knowledge.topic_talk),
        ("facts", 6, knowledge.fact_talk),
        ("lists", 7, knowledge.list_talk),
        ("glossary", 2, knowledge.Glossary(data).talk),
        ("arithmetic", 13, maths.arithmetic),
        ("stories", 8, stories.story_talk),
        ("json", 8, json_mode.json_talk),
        ("json_keys", 2, json_mode.schema_talk),
        ("shop", 4, context.shop_talk),
        ("reading", 4, context.reading_talk),
        ("summary", 2.5, context.summary_talk),
        ("rewrite", 4, context.rewrite_talk),
        ("instructions", 3, context.Instructions(data).talk),
        ("tools", 11, tools.tool_talk),
        ("tools_long", 0.5, partial(tools.tool_talk, long=True)),
        ("tools_failing", 1, tools.failing_talk),
        ("requests", 1.0, lambda r: r.choice(marked)),
        ("fim", 6, fim.fim_talk),
        ("everyday", 7, everyday.everyday_talk),
        ("unknown", 4, everyday.Unknown(data).talk),
        ("echo", 1.5, everyday.echo_talk),
        ("mixed", 4, mixed),
        ("mixed_long", 0.4, partial(mixed, parts=(12, 30))),
    ]


_JOINED: tuple[Maker, ...] = (
    chat.small_talk, chat.seekd_help, chat.limits, chat.memory, knowledge.topic_talk, knowledge.fact_talk, knowledge.list_talk,
    maths.arithmetic, stories.story_talk, context.rewrite_talk, everyday.everyday_talk,
)  # fmt: skip


def mixed(rng: random.Random, parts: tuple[int, int] = (2, 5)) -> Talk:
    """Several subjects in one conversation."""
    turns: list[Turn] = []
    for _ in range(rng.randint(*parts)):
        talk = rng.choice(_JOINED)(rng)
        if talk.thinking:
            continue
        turns += [t for t in talk.turns if t.role != "system" or not turns]
    return Talk(turns=turns) if turns else everyday.everyday_talk(rng)


def talks(data: OpenData, seed: int, count: int, only: str | None = None) -> Iterator[Talk]:
    """`count` conversations; the same seed gives the same ones."""
    rng = random.Random(seed)
    table = [m for m in makers(data, rng) if only is None or m[0] == only]
    weights = [w for _, w, _ in table]
    for _ in range(count):
        kind, _, make = rng.choices(table, weights)[0]
        talk = make(rng)
        talk.kind = kind
        yield talk
