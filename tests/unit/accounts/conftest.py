"""Open books for tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from seekd.accounts.books import Books, open_books
from seekd.accounts.driver import Connection
from seekd.accounts.prices import Pricing
from seekd.accounts.registry import KeyOptions, Registry
from seekd.accounts.settings import AccountsSettings, PriceSetting, books_path
from seekd.accounts.sqlite import SqliteConnection
from seekd.accounts.statements import statement
from seekd.accounts.types import FREE, Caller, Reservation

# One micro-unit a token of any kind, so that amounts in tests are numbers of tokens.
UNIT_PRICE = PriceSetting(model="priced", currency="USD", hit="1", miss="1", output="1")
NO_PRICE = PriceSetting(model="free", currency="USD", hit="0", miss="0", output="0")


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s

    @property
    def now_ms(self) -> int:
        return int(self.now_s * 1000)


class Waits:
    """Sleeps that end when the test says so."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._over: asyncio.Queue[None] = asyncio.Queue()
        self._begun = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self._begun.set()
        await self._over.get()

    async def end_one(self) -> None:
        """Let one sleep end; returns when what followed has been done and the next sleep has begun."""
        await asyncio.wait_for(self._begun.wait(), 30)
        self._begun.clear()
        self._over.put_nowait(None)
        await asyncio.wait_for(self._begun.wait(), 30)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connect(data_dir: Path) -> Iterator[Callable[[], Connection]]:
    with ExitStack() as stack:

        def open_one() -> Connection:
            connection = SqliteConnection(books_path(data_dir), synchronous="normal", busy_timeout_s=2)
            stack.callback(connection.close)
            return connection

        yield open_one


@pytest.fixture
def registry(connect: Callable[[], Connection], clock: Clock) -> Registry:
    return Registry(connect(), clock=clock)


def settings(**changes: object) -> AccountsSettings:
    """Settings of a priced model; commits survive a killed process, which is all that a test can see."""
    every: dict[str, object] = {
        "synchronous": "normal",
        "prices": (UNIT_PRICE, NO_PRICE),
        "failed_auth_delay_s": 0.0,
        **changes,
    }
    return AccountsSettings(**every)  # type: ignore[arg-type]


def free_reservation(request_id: str, *, model: str = "m") -> Reservation:
    """What `Books.reserve` gives for a free model."""
    return Reservation(
        request_id=request_id,
        account_id="open",
        key_id=None,
        model=model,
        currency="USD",
        held_micros=0,
        price=FREE,
        is_retry_safe=False,
        reserved_at_ms=0,
    )


def refuse_usage(connection: Connection, request_id: str) -> None:
    """Make the database refuse to write down what one request used."""
    when = f"NEW.request_id = '{request_id}'"
    connection.run(
        statement(
            f"CREATE TRIGGER spoiled BEFORE INSERT ON usage WHEN {when} "
            "BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
        )
    )


def take_usage_again(connection: Connection) -> None:
    """End that."""
    connection.run(statement("DROP TRIGGER spoiled"))


OpenBooks = Callable[..., Awaitable[Books]]


@pytest.fixture
async def make_books(data_dir: Path, clock: Clock) -> AsyncIterator[OpenBooks]:
    async with AsyncExitStack() as stack:

        async def make(*, pricing: Pricing | None = None, **changes: object) -> Books:
            books = open_books(settings(**changes), data_dir, allows_open=True, pricing=pricing, clock=clock)
            stack.push_async_callback(books.close)
            await books.start()
            return books

        yield make


@pytest.fixture
async def books(make_books: OpenBooks) -> Books:
    return await make_books()


@pytest.fixture
async def caller(books: Books, registry: Registry) -> Caller:
    """The holder of a key of an account without money."""
    account = registry.create_account("account of the caller")
    return await books.authenticate(registry.create_key(account.id, KeyOptions(name="test")).secret)
