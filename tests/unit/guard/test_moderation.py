"""A moderation endpoint, asked over real HTTP."""

from collections.abc import AsyncIterator, Iterator

import pytest

from seekd.guard.moderation import HttpGuard
from seekd.guard.types import GuardUnavailable, Stage, Verdict
from tests.moderation_service import ModerationService, moderation_service


@pytest.fixture
def service() -> Iterator[ModerationService]:
    with moderation_service() as running:
        yield running


@pytest.fixture
async def guard(service: ModerationService) -> AsyncIterator[HttpGuard]:
    running = HttpGuard(service.url, key="k-1", model="judge", timeout_s=5)
    yield running
    await running.close()


async def test_the_question_has_text_model_and_key(service: ModerationService, guard: HttpGuard) -> None:
    assert await guard.check("a text", stage=Stage.INPUT) == Verdict(allowed=True)
    assert service.questions == [{"input": "a text", "model": "judge"}]
    assert service.keys == ["Bearer k-1"]


async def test_a_flagged_text_is_not_allowed_and_its_categories_are_the_reason(guard: HttpGuard) -> None:
    assert await guard.check("a forbidden text", stage=Stage.OUTPUT) == Verdict(allowed=False, reason="rude")


async def test_without_key_and_model_neither_is_sent(service: ModerationService) -> None:
    guard = HttpGuard(service.url, key="", model=None, timeout_s=5)
    await guard.check("x", stage=Stage.INPUT)
    await guard.close()
    assert (service.questions, service.keys) == ([{"input": "x"}], [None])


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (429, b"{}"),
        (200, b"no json"),
        (200, b"{}"),
        (200, b'{"results":[]}'),
        (200, b'{"results":[{}]}'),
        (200, b'{"results":[{"flagged":null}]}'),
    ],
)
async def test_anything_but_a_verdict_is_none(
    service: ModerationService, guard: HttpGuard, status: int, body: bytes
) -> None:
    service.answer = lambda _: (status, body)
    with pytest.raises(GuardUnavailable):
        await guard.check("x", stage=Stage.INPUT)


async def test_an_endpoint_that_is_away_or_no_address_is_no_verdict() -> None:
    for url in ("http://127.0.0.1:1/x", "http://[::bad/"):
        guard = HttpGuard(url, key="", model=None, timeout_s=1)
        with pytest.raises(GuardUnavailable):
            await guard.check("x", stage=Stage.INPUT)
        await guard.close()


async def test_one_that_was_never_asked_closes_too() -> None:
    await HttpGuard("http://127.0.0.1:1", key="", model=None, timeout_s=1).close()
