"""Whether an engine process that has work is still alive, judged by what it says.

Pure: time is passed in.

An engine sends a message after every step, and nothing while it has no work. So it hangs when it has work and has been
silent for longer than any step may take. A process that computes is told from one that hangs by that alone: threads
that wait for each other for ever keep a processor busy too.

    idle ──asked──> busy ──heard──> busy ...        silent = now - the last of asked (from idle), heard
"""

from __future__ import annotations

_LEAST_S = 60.0
_S_PER_GIB = 180.0


def silence_limit_s(configured_s: float | None, *, model_bytes: int) -> float:
    """How long an engine that has work may be silent; 0 for ever.

    By default a minute, and three for each GiB of the model: a tenth of the speed of one core of a server of 2024. That
    core computes the largest step, 512 tokens, in 15 to 20 seconds a GiB of weights.
    """
    return _LEAST_S + _S_PER_GIB * model_bytes / (1 << 30) if configured_s is None else configured_s


class Silence:
    """How long an engine has owed a word.

    Args:
        limit_s: silence beyond which it hangs.
    """

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._busy_with: set[str] = set()
        self._since_s = 0.0
        self._looked_s: float | None = None

    def asked(self, request_id: str, now_s: float) -> None:
        """A request was sent to the engine."""
        if not self._busy_with:
            self._since_s = now_s
            self._looked_s = None
        self._busy_with.add(request_id)

    def done(self, request_id: str) -> None:
        """Nobody waits for a request any more."""
        self._busy_with.discard(request_id)

    def heard(self, now_s: float) -> None:
        """The engine said something."""
        self._since_s = now_s

    def is_too_long(self, now_s: float) -> bool:
        """Whether the engine hangs; to be asked at least once in half the limit.

        When the asker itself was away for longer (stopped, or starved), messages wait unread and nothing is known:
        the silence is then counted anew.
        """
        looked_s, self._looked_s = self._looked_s, now_s
        if looked_s is not None and now_s - looked_s > self.limit_s / 2:
            self._since_s = now_s
        return bool(self._busy_with) and now_s - self._since_s > self.limit_s
