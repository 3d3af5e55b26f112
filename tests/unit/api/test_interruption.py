"""Whoever ends a request says why, and only the first one counts."""

from __future__ import annotations

import asyncio

import pytest

from seekd.api.interruption import Interruption


async def test_the_task_goes_on_where_the_cause_is_asked_for() -> None:
    interruption = Interruption()
    heard: list[Exception] = []
    interruption.listener = heard.append
    causes = [TimeoutError(), ConnectionError()]
    for cause in causes:
        asyncio.get_running_loop().call_soon(interruption.interrupt, cause)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.Event().wait()
    assert interruption.caught() is causes[0]
    assert heard == causes[:1]
    await asyncio.sleep(0)  # cancelled no more


async def test_a_time_limit_interrupts_until_it_is_forgotten() -> None:
    kept, forgotten = Interruption(), Interruption()
    forgotten.interrupt_after(0, ConnectionError)
    forgotten.close()
    kept.interrupt_after(0, TimeoutError)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.Event().wait()
    assert isinstance(kept.caught(), TimeoutError)


async def test_a_cancellation_by_somebody_else_stays_one() -> None:
    with pytest.raises(asyncio.CancelledError):
        Interruption().caught()
