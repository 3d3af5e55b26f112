"""Every target of the fuzzer, on its seeds and on a few hundred changes of them."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.targets import targets

NUM_CHANGED = 150


def changed(seed: bytes, source: random.Random) -> bytes:
    """The seed with bytes replaced, removed, doubled or cut."""
    data = bytearray(seed)
    for _ in range(source.randint(1, 4)):
        start = source.randrange(len(data) + 1)
        end = min(len(data), start + source.randint(0, 8))
        match source.randrange(4):
            case 0:
                data[start:end] = source.randbytes(end - start)
            case 1:
                del data[start:end]
            case 2:
                data[start:start] = data[start:end]
            case _:
                del data[start:]
    return bytes(data)


@pytest.mark.parametrize("name", targets())
def test_a_target_lets_nothing_out_but_seekds_own_errors(name: str) -> None:
    target = targets()[name]
    source = random.Random(name)
    for seed in target.seeds:
        target.run(seed)
        for _ in range(NUM_CHANGED):
            target.run(changed(seed, source))
