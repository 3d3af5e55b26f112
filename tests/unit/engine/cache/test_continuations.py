"""What follows a prefix, against comparing every entry with what is asked for."""

from __future__ import annotations

import random

import pytest

from seekd.engine.cache.block_hash import root_key, snapshot_key
from seekd.engine.cache.continuations import Continuations

BEFORE = [b"a" * 16, b"b" * 16]


def common(one: list[int], other: list[int]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def no_name(end: int) -> bytes:
    raise AssertionError(end)


@pytest.mark.parametrize("seed", range(10))
def test_the_entry_with_most_in_common_is_found_whatever_was_dropped(seed: int) -> None:
    source = random.Random(seed)
    held: dict[bytes, tuple[bytes, list[int]]] = {}
    found = Continuations(held.__contains__)
    for number in range(400):
        tokens = [source.choice([1, 2, 70_000]) for _ in range(source.randrange(1, 65))]
        before = source.choice(BEFORE)
        if source.random() < 0.5:
            key = number.to_bytes(16, "big")
            held[key] = (before, tokens)
            found.add(before, tokens, key)
            found.add(before, tokens, key)
        elif held and source.random() < 0.4:
            del held[source.choice(list(held))]
        key, length = found.longest(before, tokens, start=0, name=no_name)
        most = max((common(tokens, entry) for where, entry in held.values() if where == before), default=0)
        assert length == most
        assert not length or common(held[key][1], tokens) == length
        found.check_integrity()


def test_entries_that_are_never_asked_for_are_forgotten_in_the_end() -> None:
    held: set[bytes] = set()
    found = Continuations(held.__contains__)
    for number in range(5000):
        found.add(BEFORE[0], [number], number.to_bytes(16, "big"))
    assert found.num_entries <= 1025


def test_a_tail_of_an_earlier_process_is_found_where_all_of_it_is_asked_for() -> None:
    tokens = list(range(100, 140))
    names = {end: snapshot_key([], tokens, end, "salt") for end in (10, 30)}
    held = set(names.values())
    found = Continuations(held.__contains__)
    for name in names.values():
        found.add_named(name)

    def longest(num_tokens: int, salt: str = "salt") -> tuple[bytes, int]:
        return found.longest(
            root_key(salt), tokens[:num_tokens], start=0, name=lambda end: snapshot_key([], tokens, end, salt)
        )

    assert longest(40) == (names[30], 30)
    assert longest(29) == (names[10], 10)
    assert longest(9)[1] == 0
    assert longest(40, "other")[1] == 0
    held.remove(names[30])
    assert longest(40) == (names[10], 10)
    found.clear()
    assert longest(40)[1] == 0
