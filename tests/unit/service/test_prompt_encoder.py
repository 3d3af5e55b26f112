"""Long prompts are read in turns and no further than they matter, for callers who may ask."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from seekd.accounts.books import open_books
from seekd.accounts.limiter import Limiter
from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.accounts.types import OPEN_ACCOUNT_ID, Caller, Limits
from seekd.engine.scripted import ScriptedEngine, ScriptedVocabulary, say
from seekd.engine.text_pieces import PIECE_CHARS
from seekd.errors import InsufficientBalance, LimitExceeded, RateLimited
from seekd.models.settings import ModelSettings
from seekd.service.billing import Billing
from seekd.service.prompt_encoder import LONG_PROMPT_CHARS, PromptEncoder
from seekd.service.served_model import ServedModel
from seekd.wire.tokenize import TextToCount

LONG = "x" * (LONG_PROMPT_CHARS + 1)
PRICED = AccountsSettings(prices=(PriceSetting(model="m", currency="USD", hit="1", miss="1", output="1"),))


def caller(account_id: str = OPEN_ACCOUNT_ID) -> Caller:
    return Caller(account_id=account_id, key_id=None, key_prefix="", name="", is_open=True)


class Vocabulary(ScriptedVocabulary):
    """Notes what it reads, and waits where a text says so."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.is_reading = threading.Event()
        self.may_read = threading.Event()

    def tokenize(self, text: str) -> list[int]:
        self.pieces.append(text[:1])
        if text.startswith("w"):
            self.is_reading.set()
            assert self.may_read.wait(10)
        return super().tokenize(text)


class Desk:
    """An encoder whose slices are single pieces, and a model that it reads for."""

    def __init__(self, encoder: PromptEncoder, model: ServedModel, vocabulary: Vocabulary) -> None:
        self._encoder = encoder
        self._model = model
        self.vocabulary = vocabulary

    async def encode(self, text: str, account_id: str = OPEN_ACCOUNT_ID, **options: Any) -> list[int]:
        return await self._encoder.encode(
            TextToCount(text=text), self._model, caller=caller(account_id), model_name="m", **options
        )

    async def encode_admitted(self, text: str) -> list[int]:
        return await self._encoder.encode_admitted(TextToCount(text=text), self._model, caller=caller())


@contextlib.asynccontextmanager
async def _desk(
    data_dir: Path, settings: AccountsSettings | None = None, *, max_bytes: int = 1_000_000
) -> AsyncIterator[Desk]:
    settings = settings or AccountsSettings()
    vocabulary = Vocabulary()
    model = ServedModel(
        ScriptedEngine(say("x")),
        open_vocabulary=lambda: contextlib.nullcontext(vocabulary),
        settings=ModelSettings(prompt_format="deepseek-v4.1", temperature_mapping="none"),
    )
    books = open_books(settings, data_dir, allows_open=True)
    await books.start()
    await model.start()
    billing = Billing(books, Limiter(settings, total_micros=books.total_micros))
    try:
        yield Desk(PromptEncoder(billing, max_bytes=max_bytes, num_threads=1, slice_s=0), model, vocabulary)
    finally:
        vocabulary.may_read.set()
        await model.close()
        await books.close()


@pytest.mark.parametrize("text", ["", "short", LONG, "two\npieces " * PIECE_CHARS])
async def test_a_prompt_has_the_same_tokens_short_or_long(tmp_path: Path, text: str) -> None:
    async with _desk(tmp_path) as desk:
        assert bytes(await desk.encode(text)) == text.encode()
        assert bytes(await desk.encode_admitted(text)) == text.encode()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (PRICED, InsufficientBalance),
        (AccountsSettings(account_limits=Limits(requests_per_minute=0)), RateLimited),
        (AccountsSettings(account_limits=Limits(max_concurrency=0)), RateLimited),
    ],
)
async def test_a_long_prompt_is_not_read_for_a_request_that_would_be_refused(
    tmp_path: Path, settings: AccountsSettings, error: type[Exception]
) -> None:
    async with _desk(tmp_path, settings) as desk:
        with pytest.raises(error):
            await desk.encode(LONG)
        assert desk.vocabulary.pieces == []
        assert len(await desk.encode("short")) == 5, "its own admission refuses it"


async def test_a_text_that_no_context_bounds_has_a_limit_in_bytes(tmp_path: Path) -> None:
    async with _desk(tmp_path, max_bytes=50_000) as desk:
        text = "é" * 25_000
        assert len(await desk.encode(text)) == len(await desk.encode_admitted(text)) == 50_000
        desk.vocabulary.pieces.clear()
        for encode in (desk.encode, desk.encode_admitted):
            with pytest.raises(LimitExceeded, match=r"50001 bytes of text; this server takes 50000 \(server\.max_tok"):
                await encode(text + "x")
        assert desk.vocabulary.pieces == []
        assert len(await desk.encode(text + "x", stop_after=60_000)) == 50_001, "a context bounds it"


async def test_a_prompt_is_read_no_further_than_it_matters(tmp_path: Path) -> None:
    async with _desk(tmp_path) as desk:
        assert len(await desk.encode("x" * 9 * PIECE_CHARS, stop_after=PIECE_CHARS)) == 2 * PIECE_CHARS
        assert len(desk.vocabulary.pieces) == 2


async def test_while_one_caller_has_megabytes_read_others_get_their_turns(tmp_path: Path) -> None:
    async with _desk(tmp_path, max_bytes=10**9) as desk:
        first = asyncio.create_task(desk.encode("w" + LONG, "a"))
        assert await asyncio.to_thread(desk.vocabulary.is_reading.wait, 10)
        others = [asyncio.create_task(desk.encode(letter + LONG, account)) for letter, account in ("ba", "ca", "db")]
        for _ in range(5):
            await asyncio.sleep(0)
        desk.vocabulary.may_read.set()
        await asyncio.gather(first, *others)
        letters = [piece for piece in desk.vocabulary.pieces if piece != "x"]
        assert letters == ["w", "b", "d", "c"], "two of account a, then b's, then a's next"


async def test_what_nobody_waits_for_is_not_read_on(tmp_path: Path) -> None:
    async with _desk(tmp_path, max_bytes=10**9) as desk:
        task = asyncio.create_task(desk.encode("w" + "x" * 9 * PIECE_CHARS))
        assert await asyncio.to_thread(desk.vocabulary.is_reading.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        desk.vocabulary.may_read.set()
        assert len(await desk.encode(LONG)) == len(LONG)
        assert desk.vocabulary.pieces == ["w", "x", "x"]
