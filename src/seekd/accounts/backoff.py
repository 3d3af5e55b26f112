"""Slows whoever keeps sending wrong keys.

Only answers to wrong keys are delayed: a right key behind the same address never waits. 128 random bits cannot be
guessed at any speed; the delay keeps a guesser from costing more than they spend.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

_MAX_PEERS = 4096
_FORGET_AFTER_S = 600.0
_FIRST_DELAY_S = 0.05


@dataclass(slots=True)
class _Failures:
    num: int
    last_s: float


class FailureBackoff:
    """Counts wrong keys by peer. Used by one thread."""

    def __init__(self, *, num_free: int, max_delay_s: float) -> None:
        self._num_free = num_free
        self._max_delay_s = max_delay_s
        self._peers: OrderedDict[str, _Failures] = OrderedDict()

    def failed(self, peer: str, *, now_s: float) -> float:
        """Count a wrong key; the seconds by which its answer is to be delayed.

        The delay doubles with each failure after the free ones, up to the limit, and ten quiet minutes forget all.
        """
        failures = self._peers.pop(peer, None)
        if failures is None or now_s - failures.last_s > _FORGET_AFTER_S:
            failures = _Failures(0, now_s)
        failures.num += 1
        failures.last_s = now_s
        self._peers[peer] = failures
        if len(self._peers) > _MAX_PEERS:
            self._peers.popitem(last=False)
        excess = failures.num - self._num_free
        if excess <= 0:
            return 0.0
        return min(self._max_delay_s, _FIRST_DELAY_S * 2.0 ** min(excess - 1, 32))
