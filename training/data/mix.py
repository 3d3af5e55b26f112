"""The mixture of all kinds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial

from training.data import chat, context, copybook, everyday, fim, json_mode, knowledge, maths, requests, stories, tools
from training.data.conversation import Talk, Turn
from training.data.opendata import OpenData

Maker = Callable[[random.Random], Talk]


def makers(data: OpenData, rng: random.Random) -> list[tuple[str, float, Maker]]:
    """Kinds with their shares (of conversations, not of tokens)."""
    marked = requests.request_talks(rng, data, 4000)
    known = float(len(marked) > 0)
    pages = copybook.Copybook(data)
    return [
        ("small_talk", 11, chat.small_talk),
        ("seekd", 2.5, chat.seekd_help),
        ("intents", 26, chat.Intents(data).talk),
        ("limits", 6, chat.limits),
        ("memory", 8, chat.memory),
        ("recall", 3, chat.recall),
        ("topics", 13, knowledge.topic_talk),
        ("facts", 4, knowledge.fact_talk),
        ("lists", 5, knowledge.list_talk),
        ("glossary", 0.3, knowledge.Glossary(data).talk),
        ("arithmetic", 26, maths.arithmetic),
        ("sums", 8, maths.page),
        ("stories", 6, stories.story_talk),
        ("json", 20, json_mode.json_talk),
        ("json_keys", 2, json_mode.schema_talk),
        ("shop", 3, context.shop_talk),
        ("reading", 5, context.reading_talk),
        ("summary", 2.5, context.summary_talk),
        ("rewrite", 6, context.rewrite_talk),
        ("instructions", 1.5, context.Instructions(data).talk),
        ("tools", 10, tools.tool_talk),
        ("tools_page", 30, lambda r: tools.page(tools.tool_talk(r))),
        ("tools_long", 0.2, partial(tools.tool_talk, long=True)),
        ("tools_failing", 1, tools.failing_talk),
        ("requests", 0.3 * known, lambda r: r.choice(marked)),
        ("requests_page", 3 * known, lambda r: tools.page(r.choice(marked))),
        ("fim", 5, fim.fim_talk),
        ("everyday", 4, everyday.everyday_talk),
        ("unknown", 4, everyday.Unknown(data).talk),
        ("echo", 5, everyday.Echo(data).talk),
        ("copybook_short", 70, pages.short),
        ("copybook", 8, pages.long),
        ("mixed", 2.5, mixed),
        ("mixed_long", 0.1, partial(mixed, parts=(12, 30))),
    ]


BEGINNING = {"copybook_short": 1.0}  # the only kinds of the first part of a run

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


class Mixture:
    """All kinds with their shares; open data is read once.

    The beginning of a run is copybook pages alone, see `copybook`.
    """

    def __init__(self, data: OpenData, *, only: str | None = None) -> None:
        self._table = [m for m in makers(data, random.Random(0)) if only is None or m[0] == only]

    def talks(self, seed: int, count: int, *, beginning: bool = False) -> Iterator[Talk]:
        """`count` conversations; the same seed gives the same ones."""
        rng = random.Random(seed)
        weights = [BEGINNING.get(kind, 0) if beginning else weight for kind, weight, _ in self._table]
        for _ in range(count):
            kind, _, make = rng.choices(self._table, weights)[0]
            talk = make(rng)
            talk.kind = kind
            yield talk
