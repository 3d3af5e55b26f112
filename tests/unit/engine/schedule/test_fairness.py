from __future__ import annotations

from seekd.engine.schedule.fairness import Rotation


def test_keys_take_turns() -> None:
    rotation = Rotation()
    served = []
    for _ in range(6):
        key = rotation.order("abc")[0]
        rotation.serve(key)
        served.append(key)
    assert "".join(served) == "abcabc"


def test_a_key_that_comes_and_goes_does_not_jump_ahead() -> None:
    rotation = Rotation()
    rotation.order("ab")
    rotation.serve("a")
    assert rotation.order("b") == ["b"]
    assert rotation.order("ab") == ["b", "a"]


def test_keys_with_nothing_to_do_are_forgotten() -> None:
    rotation = Rotation()
    for number in range(1000):
        rotation.order([str(number)])
    assert len(rotation._keys) == 1
