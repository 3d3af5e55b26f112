"""Asking the guard before and after generation, and what becomes of a request when it does not answer.

windows   events wait until the text so far has passed ── nothing unchecked is ever sent; windows grow, so that
checking an answer costs about as much as reading it twice
end       events flow; the verdict decides how the stream ends
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from seekd.errors import ContentRefused, ModerationUnavailable
from seekd.guard.settings import GuardSettings
from seekd.guard.types import Guard, Stage
from seekd.prompt.answer.detokenizer import Detokenizer
from seekd.prompt.types import OutputChunk
from seekd.service.metrics import Metrics

_log = logging.getLogger(__name__)

_LARGEST_WINDOW = 8
"""Times the first one: longer ones would make a stream stand still for too long."""


class Moderator:
    """Asks a guard, within a time limit.

    Args:
        guard: judges.
        settings: time limit, windows, and what a silent guard means.
        metrics: count verdicts.
    """

    def __init__(self, guard: Guard, settings: GuardSettings, metrics: Metrics) -> None:
        self._guard = guard
        self._settings = settings
        self._metrics = metrics

    async def check(self, text: str, *, stage: Stage) -> str:
        """Ask about a text.

        Returns:
            `passed`, or `skipped` where the guard did not answer and the settings let that pass.

        Raises:
            ContentRefused: the guard does not allow it.
            ModerationUnavailable: the guard does not answer.
        """
        try:
            async with asyncio.timeout(self._settings.moderation_timeout_s):
                verdict = await self._guard.check(text, stage=stage)
        except Exception as error:  # an extension's code: whatever it raises is no verdict
            reason = str(error) or type(error).__name__
            _log.warning(
                "moderation failed", extra={"action": "moderation_failed", "stage": stage.value, "reason": reason}
            )
            self._metrics.count_verdict(stage=stage, outcome="unavailable")
            if self._settings.moderation_failure == "allow":
                return "skipped"
            raise ModerationUnavailable from error
        if verdict.allowed:
            self._metrics.count_verdict(stage=stage, outcome="passed")
            return "passed"
        _log.info(
            "content refused",
            extra={"action": "content_refused", "stage": stage.value, "reason": verdict.reason},
        )
        self._metrics.count_verdict(stage=stage, outcome="refused")
        raise ContentRefused

    def refusing_without_verdict(self) -> Moderator:
        """One that lets nothing pass when the guard is silent."""
        return Moderator(self._guard, replace(self._settings, moderation_failure="refuse"), self._metrics)

    def watch(self, *, in_windows: bool) -> AnswerWatch:
        """A watch over one answer."""
        first_window = self._settings.moderation_window_chars if in_windows else None
        return AnswerWatch(self, first_window=first_window)

    async def close(self) -> None:
        """Let the guard free what it holds."""
        await self._guard.close()


class AnswerWatch:
    """Lets the events of one answer pass when its text has.

    Args:
        moderator: is asked.
        first_window: characters after which it is first asked; None asks at the end only, and holds nothing back.
    """

    def __init__(self, moderator: Moderator, *, first_window: int | None) -> None:
        self._moderator = moderator
        self._window = self._first_window = first_window
        self._held: list[OutputChunk] = []
        self._parts: list[str] = []
        self._num_chars = 0
        self._num_checked_chars = 0
        self._detokenizer = Detokenizer()

    def hear(self, text: str) -> None:
        """Take the next generated text, before its events."""
        self._parts.append(text)
        self._num_chars += len(text)

    def hear_token(self, token_bytes: bytes) -> None:
        """Take the next generated token of an answer that is read by tokens."""
        self.hear(self._detokenizer.push(token_bytes))

    async def passed(self, events: Sequence[OutputChunk], *, is_last: bool) -> list[OutputChunk]:
        """The events that may go out now.

        Args:
            events: new ones.
            is_last: whether the answer ends with them.

        Raises:
            ContentRefused: the text so far is not allowed.
            ModerationUnavailable: nobody says whether it is.
        """
        self._held += events
        if is_last or self._is_window_full():
            if self._num_chars > self._num_checked_chars:
                await self._moderator.check("".join(self._parts), stage=Stage.OUTPUT)
            self._num_checked_chars = self._num_chars
            self._grow()
        elif self._window is not None:
            return []
        free, self._held = self._held, []
        return free

    def _is_window_full(self) -> bool:
        return self._window is not None and self._num_chars - self._num_checked_chars >= self._window

    def _grow(self) -> None:
        if self._window is not None and self._first_window is not None:
            self._window = min(2 * self._window, _LARGEST_WINDOW * self._first_window)
