"""What must not get through with a request: too much of anything, sensitive data, refused content.

    texts ──redaction──> texts as a model may see them ──moderation──> on their way, with a watch over the answer

Texts and bodies are the wire's; which rules hold, what they find, and who judges is decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial

from seekd.errors import InvalidParameter
from seekd.guard.types import Stage
from seekd.service.moderation import AnswerWatch, Moderator
from seekd.service.shield import Policy, Shield, Shields

LONG_BODY_BYTES = 8_000
"""Larger bodies are screened in a thread. The worst ones take a microsecond a byte, so no more than 8 ms here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """What redaction has left of a body.

    Attributes:
        body: None where it stays as it is.
        texts: as a model may see them.
        shield: knows what was found; None for nothing.
    """

    body: bytes | None = None
    texts: Sequence[str] = ()
    shield: Shield | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What moderation says of a request that may go on.

    Attributes:
        outcome: `passed` or `skipped`; None where it was not asked.
        watch: over the answer; None where nobody judges it.
    """

    outcome: str | None = None
    watch: AnswerWatch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """Redacts and moderates.

    Attributes:
        shields: know what holds for whom.
        moderator: judges; None where nobody does.
    """

    shields: Shields
    moderator: Moderator | None = None
    # One at a time: several would not be faster, and each would take its share of the interpreter from running streams.
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="screening"), init=False, repr=False
    )

    @property
    def is_idle(self) -> bool:
        """Whether the settings want nothing of any request."""
        return self.shields.is_idle and self.moderator is None

    def policy(self, *, model: str, account_id: str, redact: str | None, restore: str | None) -> Policy:
        """What holds for a request: the settings, and what it asks for itself. Raises as `Shields.asked`."""
        return self.shields.asked(
            self.shields.policy(model=model, account_id=account_id), redact=redact, restore=restore
        )

    def judging(self, policy: Policy) -> Policy:
        """The policy for a request that wants to be judged. Raises `InvalidParameter` where nobody judges."""
        if self.moderator is None:
            raise InvalidParameter(
                "'safety_check': the level 'high' needs a moderation service, and this server has none "
                "([guard] moderation). The level 'low' needs none."
            )
        output = "windows" if policy.moderate_output == "off" else policy.moderate_output
        return replace(policy, moderate_input=True, moderate_output=output, needs_verdict=True)

    async def redacted(
        self,
        policy: Policy,
        *,
        num_bytes: int,
        texts: Callable[[], list[str]],
        rewrite: Callable[[list[str]], bytes],
    ) -> Redacted:
        """A body's texts as a model may see them; a long body is searched in a thread.

        Args:
            policy: of the request.
            num_bytes: of the body.
            texts: finds its texts.
            rewrite: the body with these texts in their places.

        Raises:
            SensitiveContent: it holds data that is not taken.
            InvalidParameter: it is nested too deeply to be searched.
        """
        shield = self.shields.shield(policy) if policy.actions else None
        if shield is None and self.moderator is None:
            return Redacted()
        work = partial(_redacted, shield, texts, rewrite)
        try:
            if num_bytes <= LONG_BODY_BYTES and not (shield is not None and shield.asks_extensions):
                return work()
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, partial(copy_context().run, work))
        except RecursionError as error:
            raise InvalidParameter("The arguments of a call are nested too deeply.") from error

    async def judged(self, policy: Policy, texts: Sequence[str], *, stream: bool) -> Judgement:
        """The request by its texts, and who watches over its answer.

        Args:
            policy: of the request.
            texts: as `redacted` has left them.
            stream: whether the caller reads the answer while it is made.

        Raises:
            ContentRefused: the moderation service does not allow it.
            ModerationUnavailable: the moderation service does not answer.
        """
        if self.moderator is None:
            return Judgement()
        outcome = watch = None
        moderator = self.moderator.refusing_without_verdict() if policy.needs_verdict else self.moderator
        if policy.moderate_input:
            outcome = await moderator.check("\n\n".join(texts), stage=Stage.INPUT)
        if policy.moderate_output != "off":
            watch = moderator.watch(in_windows=policy.moderate_output == "windows" and stream)
        return Judgement(outcome=outcome, watch=watch)

    def close(self) -> None:
        """Screen nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _redacted(
    shield: Shield | None, find_texts: Callable[[], list[str]], rewrite: Callable[[list[str]], bytes]
) -> Redacted:
    texts = find_texts()
    if shield is None:
        return Redacted(texts=texts)
    texts = shield.screened(texts)
    body = rewrite(texts) if shield.placeholders.values else None
    return Redacted(body=body, texts=texts, shield=shield if shield.found else None)
