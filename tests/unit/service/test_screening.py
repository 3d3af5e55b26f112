"""What redaction leaves of a body, and who watches over the answer."""

from __future__ import annotations

import json

import pytest

from seekd.errors import InvalidParameter
from seekd.guard.settings import GuardSettings
from seekd.guard.types import Stage, Verdict
from seekd.service.metrics import Metrics
from seekd.service.moderation import Moderator
from seekd.service.screening import LONG_BODY_BYTES, Judgement, Redacted, Screening
from seekd.service.shield import Policy, Shields


class Nobody:
    """A guard that lets all pass."""

    async def check(self, text: str, *, stage: Stage) -> Verdict:
        return Verdict(allowed=True)

    async def close(self) -> None:
        pass


def _screening(settings: GuardSettings, *, is_moderated: bool = False) -> Screening:
    metrics = Metrics(engines={})
    moderator = Moderator(Nobody(), settings, metrics) if is_moderated else None
    return Screening(shields=Shields(settings, metrics=metrics), moderator=moderator)


def _policy(screening: Screening, *, redact: str | None = None) -> Policy:
    return screening.policy(model="m", account_id="a", redact=redact, restore=None)


async def _redacted(screening: Screening, text: str, *, redact: str | None = None) -> Redacted:
    return await screening.redacted(
        _policy(screening, redact=redact),
        num_bytes=len(text),
        texts=lambda: [text],
        rewrite=lambda texts: json.dumps(texts).encode(),
    )


def test_without_settings_it_wants_nothing() -> None:
    assert _screening(GuardSettings()).is_idle
    assert not _screening(GuardSettings(report=("ip",))).is_idle
    assert not _screening(GuardSettings(), is_moderated=True).is_idle


@pytest.mark.parametrize("padding", ["", "x " * LONG_BODY_BYTES], ids=["here", "in a thread"])
async def test_a_body_is_rewritten_where_something_is_taken_out(padding: str) -> None:
    left = await _redacted(_screening(GuardSettings(redact=("email",))), f"{padding}Write to ann@example.com")
    assert left.shield is not None
    assert dict(left.shield.found) == {"email": 1}
    assert "ann@example.com" not in left.texts[0]
    assert left.body == json.dumps(left.texts).encode()


async def test_a_body_stays_where_findings_are_only_reported() -> None:
    left = await _redacted(_screening(GuardSettings(report=("email",))), "Write to ann@example.com")
    assert left.body is None
    assert left.texts == ["Write to ann@example.com"]
    assert left.shield is not None


async def test_a_request_may_ask_for_redaction_itself() -> None:
    screening = _screening(GuardSettings())
    assert await _redacted(screening, "ann@example.com") == Redacted()
    assert (await _redacted(screening, "ann@example.com", redact="email")).body is not None


async def test_moderation_watches_over_answers_as_the_settings_say() -> None:
    unmoderated = _screening(GuardSettings())
    assert await unmoderated.judged(_policy(unmoderated), ["a"], stream=True) == Judgement()
    for output, is_watched in (("off", False), ("end", True)):
        screening = _screening(GuardSettings(moderate_output=output), is_moderated=True)  # type: ignore[arg-type]
        judgement = await screening.judged(_policy(screening), ["a"], stream=True)
        assert judgement.outcome == "passed"
        assert (judgement.watch is not None) is is_watched


def test_a_request_that_wants_to_be_judged_is_judged_whatever_is_switched_off() -> None:
    screening = _screening(GuardSettings(moderate_input=False, moderate_output="off"), is_moderated=True)
    policy = screening.judging(_policy(screening))
    assert (policy.moderate_input, policy.moderate_output, policy.needs_verdict) == (True, "windows", True)
    at_the_end = _screening(GuardSettings(moderate_output="end"), is_moderated=True)
    assert at_the_end.judging(_policy(at_the_end)).moderate_output == "end"


def test_nobody_is_judged_where_nobody_judges() -> None:
    screening = _screening(GuardSettings())
    with pytest.raises(InvalidParameter, match="needs a moderation service"):
        screening.judging(_policy(screening))
