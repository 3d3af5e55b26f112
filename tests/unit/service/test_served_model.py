"""What a served model opens it frees, whoever stops waiting meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import pytest

from seekd.engine.scripted import ScriptedEngine, ScriptedVocabulary, say
from seekd.models.settings import ModelSettings
from seekd.service.served_model import ServedModel

SETTINGS = ModelSettings(prompt_format="deepseek-v4.1", temperature_mapping="none")


async def test_a_vocabulary_that_is_being_opened_when_the_start_is_cancelled_is_freed() -> None:
    is_opening, may_open = threading.Event(), threading.Event()
    freed: list[str] = []

    @contextlib.contextmanager
    def open_slowly() -> Iterator[ScriptedVocabulary]:
        is_opening.set()
        assert may_open.wait(10)
        yield ScriptedVocabulary()
        freed.append("vocabulary")

    model = ServedModel(ScriptedEngine(say("x")), open_vocabulary=open_slowly, settings=SETTINGS)
    starting = asyncio.create_task(model.start())
    assert await asyncio.to_thread(is_opening.wait, 10)
    starting.cancel()
    await asyncio.sleep(0)
    may_open.set()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await model.close()
    assert freed == ["vocabulary"]
