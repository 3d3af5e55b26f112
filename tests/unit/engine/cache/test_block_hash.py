from __future__ import annotations

import random

from seekd.engine.cache.block_hash import (
    BLOCK_SIZE,
    KEY_BYTES,
    SNAPSHOT_KEY_BYTES,
    extend_keys,
    snapshot_key,
    snapshot_parts,
)


def keys_of(token_ids: list[int], salt: str = "") -> list[bytes]:
    keys: list[bytes] = []
    extend_keys(keys, token_ids, salt)
    return keys


def test_a_key_stands_for_everything_before_it() -> None:
    tokens = list(range(200))
    keys = keys_of(tokens)
    assert len(keys) == 3
    assert {len(key) for key in keys} == {KEY_BYTES}
    for position in range(0, 192, 17):
        changed = [*tokens[:position], 999, *tokens[position + 1 :]]
        differs = [a != b for a, b in zip(keys, keys_of(changed), strict=True)]
        assert differs == [index >= position // BLOCK_SIZE for index in range(3)]


def test_equal_blocks_at_different_depths_have_different_keys() -> None:
    assert len(set(keys_of([7] * 640))) == 10


def test_salts_have_no_key_in_common() -> None:
    assert not set(keys_of(list(range(640)), "a")) & set(keys_of(list(range(640)), "b"))


def test_keys_grown_bit_by_bit_equal_keys_made_at_once() -> None:
    source = random.Random(1)
    tokens = [source.randrange(1 << 18) for _ in range(700)]
    keys: list[bytes] = []
    end = 0
    while end < len(tokens):
        end = min(end + source.randrange(150), len(tokens))
        extend_keys(keys, tokens[:end], "s")
        assert keys == keys_of(tokens[:end], "s")


def test_a_snapshot_key_names_the_exact_prefix() -> None:
    tokens = list(range(300))
    keys = keys_of(tokens)
    made = {snapshot_key(keys, tokens, count, "") for count in range(1, 301)}
    assert len(made) == 300
    assert {len(key) for key in made} == {SNAPSHOT_KEY_BYTES}
    key = snapshot_key(keys, tokens, 130, "")
    assert snapshot_parts(key) == (keys[1], 130)
    assert snapshot_key(keys, [*tokens[:129], 5, *tokens[130:]], 130, "") != key
    assert snapshot_key(keys, [*tokens[:130], 5], 130, "") == key
    assert snapshot_key([], tokens, 30, "a") != snapshot_key([], tokens, 30, "b")
