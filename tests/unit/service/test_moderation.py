"""Verdicts, silence, and what a stream may send when."""

import asyncio
from collections.abc import Sequence

import pytest

from seekd.errors import ContentRefused, ModerationUnavailable
from seekd.guard.settings import GuardSettings
from seekd.guard.types import Stage, Verdict
from seekd.prompt.types import OutputChunk
from seekd.service.metrics import Metrics
from seekd.service.moderation import AnswerWatch, Moderator


class _Guard:
    """Refuses a word; fails where it is told to. Implements `guard.types.Guard`."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.error: Exception | None = None
        self.delay_s = 0.0
        self.is_closed = False

    async def check(self, text: str, *, stage: Stage) -> Verdict:
        self.texts.append(text)
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        return Verdict(allowed="bad" not in text, reason=stage)

    async def close(self) -> None:
        self.is_closed = True


def _moderator(guard: _Guard, **settings: object) -> tuple[Moderator, Metrics]:
    metrics = Metrics(engines={})
    return Moderator(guard, GuardSettings(**settings), metrics), metrics  # type: ignore[arg-type]


async def test_a_text_passes_or_is_refused_and_both_are_counted() -> None:
    guard = _Guard()
    moderator, metrics = _moderator(guard)
    assert await moderator.check("good", stage=Stage.INPUT) == "passed"
    with pytest.raises(ContentRefused):
        await moderator.check("bad", stage=Stage.OUTPUT)
    exposed = metrics.exposition().decode()
    assert 'seekd_moderations_total{outcome="passed",stage="input"} 1.0' in exposed
    assert 'seekd_moderations_total{outcome="refused",stage="output"} 1.0' in exposed
    await moderator.close()
    assert guard.is_closed


@pytest.mark.parametrize("silent", [True, False])
async def test_without_a_verdict_the_setting_decides(silent: bool) -> None:
    guard = _Guard()
    if silent:
        guard.delay_s = 60
    else:
        guard.error = RuntimeError("an extension's own bug")
    closed, metrics = _moderator(guard, moderation_timeout_s=0.01)
    with pytest.raises(ModerationUnavailable):
        await closed.check("good", stage=Stage.INPUT)
    opened, _ = _moderator(guard, moderation_timeout_s=0.01, moderation_failure="allow")
    assert await opened.check("bad", stage=Stage.INPUT) == "skipped"
    assert 'seekd_moderations_total{outcome="unavailable",stage="input"} 1.0' in metrics.exposition().decode()


def _events(*texts: str) -> Sequence[OutputChunk]:
    return [{"text": text} for text in texts]


async def _fed(watch: AnswerWatch, texts: Sequence[str]) -> list[list[str]]:
    """What may be sent after each text; the last one ends the answer."""
    sent = []
    for index, text in enumerate(texts):
        watch.hear(text)
        free = await watch.passed(_events(text), is_last=index == len(texts) - 1)
        sent.append([event["text"] for event in free])
    return sent


async def test_in_windows_nothing_is_sent_before_it_was_judged_and_windows_grow() -> None:
    guard = _Guard()
    moderator, _ = _moderator(guard, moderation_window_chars=4)
    sent = await _fed(moderator.watch(in_windows=True), ["ab"] * 8)
    assert sent == [[], ["ab"] * 2, [], [], [], ["ab"] * 4, [], ["ab"] * 2]
    assert guard.texts == ["ab" * 2, "ab" * 6, "ab" * 8]


async def test_windows_grow_to_eight_times_the_first() -> None:
    guard = _Guard()
    moderator, _ = _moderator(guard, moderation_window_chars=1)
    await _fed(moderator.watch(in_windows=True), ["a"] * 40)
    assert [len(text) for text in guard.texts] == [1, 3, 7, 15, 23, 31, 39, 40]


async def test_a_refused_window_sends_none_of_it() -> None:
    moderator, _ = _moderator(_Guard(), moderation_window_chars=4)
    watch = moderator.watch(in_windows=True)
    watch.hear("good")
    assert len(await watch.passed(_events("good"), is_last=False)) == 1
    watch.hear(" and bad text")
    with pytest.raises(ContentRefused):
        await watch.passed(_events("x"), is_last=False)


async def test_at_the_end_everything_flows_until_then() -> None:
    guard = _Guard()
    moderator, _ = _moderator(guard)
    assert await _fed(moderator.watch(in_windows=False), ["a", "b", "c"]) == [["a"], ["b"], ["c"]]
    assert guard.texts == ["abc"]
    with pytest.raises(ContentRefused):
        await _fed(moderator.watch(in_windows=False), ["a", "bad"])


async def test_an_empty_answer_is_not_asked_about() -> None:
    guard = _Guard()
    moderator, _ = _moderator(guard)
    assert len(await moderator.watch(in_windows=True).passed(_events("x"), is_last=True)) == 1
    assert guard.texts == []


async def test_tokens_with_logprobs_are_judged_as_text() -> None:
    guard = _Guard()
    moderator, _ = _moderator(guard)
    watch = moderator.watch(in_windows=False)
    for byte in "é!".encode():
        watch.hear_token(bytes([byte]))
    await watch.passed([], is_last=True)
    assert guard.texts == ["é!"]
