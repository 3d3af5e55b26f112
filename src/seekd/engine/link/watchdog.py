"""Whether an engine process that has work is still alive, judged by what it says.

Pure: time is passed in.

An engine sends a message after every step, and nothing while it has no work. So it hangs when it has work and has sent
nothing for longer than any step may take. A process that computes is told from one that hangs by that alone: threads
that wait for each other for ever keep a processor busy too.

    idle ──request started──> busy ──message received──> busy ...     expired: busy, and limit_s since the last of both
"""

from __future__ import annotations

_LEAST_S = 60.0
_S_PER_GIB = 180.0


def hang_limit_s(configured_s: float | None, *, model_bytes: int) -> float:
    """How long an engine that has work may send nothing; 0 for ever.

    By default a minute, and three for each GiB of the model: a tenth of the speed of one core of a server of 2024. That
    core computes the largest step, 512 tokens, in 15 to 20 seconds a GiB of weights.
    """
    return _LEAST_S + _S_PER_GIB * model_bytes / (1 << 30) if configured_s is None else configured_s


class Watchdog:
    """Expires when an engine that has work sends nothing for too long.

    Args:
        limit_s: time without a message after which it expires.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._running: set[str] = set()
        self._restarted_s = 0.0
        self._checked_s: float | None = None

    def request_started(self, request_id: str, now_s: float) -> None:
        """A request was sent to the engine."""
        if not self._running:
            self._restarted_s = now_s
            self._checked_s = None
        self._running.add(request_id)

    def request_ended(self, request_id: str) -> None:
        """Nobody waits for a request any more."""
        self._running.discard(request_id)

    def message_received(self, now_s: float) -> None:
        """The engine has sent something."""
        self._restarted_s = now_s

    def has_expired(self, now_s: float) -> bool:
        """Whether the engine hangs; to be asked at least once in half the limit.

        When the caller itself did not run for longer (stopped, or starved), messages wait unread and nothing is known:
        the time then starts again.
        """
        checked_s, self._checked_s = self._checked_s, now_s
        if checked_s is not None and now_s - checked_s > self.limit_s / 2:
            self._restarted_s = now_s
        return bool(self._running) and now_s - self._restarted_s > self.limit_s
