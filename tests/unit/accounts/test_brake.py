from seekd.accounts.brake import FailureBrake


def delays(brake: FailureBrake, peer: str, num: int, now_s: float = 0.0) -> list[float]:
    return [brake.failed(peer, now_s=now_s) for _ in range(num)]


def test_wrong_keys_are_answered_later_and_later_up_to_a_limit() -> None:
    brake = FailureBrake(num_free=3, max_delay_s=1.0)
    assert delays(brake, "a", 10) == [0, 0, 0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert delays(brake, "a", 2000)[-1] == 1.0


def test_one_peer_does_not_slow_another_and_a_quiet_time_forgets() -> None:
    brake = FailureBrake(num_free=1, max_delay_s=1.0)
    delays(brake, "a", 5)
    assert delays(brake, "b", 1) == [0]
    assert delays(brake, "a", 1, now_s=601.0) == [0]


def test_memory_is_bounded() -> None:
    brake = FailureBrake(num_free=0, max_delay_s=1.0)
    for number in range(10_000):
        brake.failed(f"peer {number}", now_s=0.0)
    assert len(brake._peers) <= 4096
