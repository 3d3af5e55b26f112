from seekd.accounts.backoff import FailureBackoff


def delays(backoff: FailureBackoff, peer: str, num: int, now_s: float = 0.0) -> list[float]:
    return [backoff.failed(peer, now_s=now_s) for _ in range(num)]


def test_wrong_keys_are_answered_later_and_later_up_to_a_limit() -> None:
    backoff = FailureBackoff(num_free=3, max_delay_s=1.0)
    assert delays(backoff, "a", 10) == [0, 0, 0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert delays(backoff, "a", 2000)[-1] == 1.0


def test_one_peer_does_not_slow_another_and_a_quiet_time_forgets() -> None:
    backoff = FailureBackoff(num_free=1, max_delay_s=1.0)
    delays(backoff, "a", 5)
    assert delays(backoff, "b", 1) == [0]
    assert delays(backoff, "a", 1, now_s=601.0) == [0]


def test_memory_is_bounded() -> None:
    backoff = FailureBackoff(num_free=0, max_delay_s=1.0)
    for number in range(10_000):
        backoff.failed(f"peer {number}", now_s=0.0)
    assert len(backoff._peers) <= 4096
