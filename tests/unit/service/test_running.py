"""What an operator sees of the requests that are being served."""

from __future__ import annotations

import asyncio

import pytest

from seekd.accounts.types import Caller
from seekd.errors import RequestCancelled
from seekd.service.generation import GenerationRecord
from seekd.service.running import RequestState, RunningRequest, RunningRequests

CALLER = Caller(account_id="a", key_id="k", key_prefix="sk-1234", name="ci")


def _request(running: RunningRequests, request_id: str, *, started_s: float = 0.0) -> RunningRequest:
    return RunningRequest(
        request_id=request_id,
        caller=CALLER,
        model="deepseek-chat",
        route="/chat/completions",
        is_stream=True,
        listed=running.listed,
        started_s=started_s,
    )


@pytest.mark.parametrize(
    ("record", "state"),
    [
        (None, RequestState.WAITING),
        (GenerationRecord(num_prompt_tokens=9), RequestState.WAITING),
        (GenerationRecord(num_prompt_tokens=9, num_computed_tokens=4), RequestState.PREFILL),
        (GenerationRecord(num_prompt_tokens=9, num_cached_tokens=8, num_completion_tokens=1), RequestState.DECODE),
    ],
)
def test_the_state_follows_from_what_the_engine_has_done(record: GenerationRecord | None, state: RequestState) -> None:
    request = _request(RunningRequests(clock=lambda: 0.0), "r")
    request.record = record
    assert request.state is state


async def test_requests_are_listed_oldest_first_with_their_age_while_they_are_served() -> None:
    running = RunningRequests(clock=lambda: 10.0)
    young, old = _request(running, "young", started_s=9.5), _request(running, "old", started_s=1.0)
    old.record = GenerationRecord(num_prompt_tokens=9, num_cached_tokens=8, num_completion_tokens=3)
    with young, old:
        assert [(view.id, view.age_s) for view in running.views()] == [("old", 9.0), ("young", 0.5)]
        seen = running.find("old")
        assert seen is not None
        assert (seen.account_id, seen.key_name, seen.stream) == ("a", "ci", True)
        assert (seen.prompt_tokens, seen.cached_tokens, seen.completion_tokens) == (9, 8, 3)
    assert running.views() == []
    assert running.find("old") is None


async def test_only_the_request_that_is_cancelled_ends() -> None:
    running = RunningRequests(clock=lambda: 0.0)

    async def serve(request_id: str) -> None:
        with _request(running, request_id):
            await asyncio.Event().wait()

    one, other = (asyncio.create_task(serve(name)) for name in ("one", "other"))
    await asyncio.sleep(0)
    running.cancel("one")
    running.cancel("none")
    with pytest.raises(RequestCancelled):
        await one
    assert [view.id for view in running.views()] == ["other"]
    other.cancel()
    await asyncio.wait([other])
