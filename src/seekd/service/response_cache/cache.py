"""The response cache: exact repeats are answered without the model, and equal requests in flight run once.

turn ──> kept? ──yes──> hit
│        └──no──> runs, is recorded ──ended by itself──> kept, and given to its twins
└──an equal request is running──> waits for its end ──it failed or its client left──> the next turn
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seekd.engine.types import EngineRequest, EngineUpdate
from seekd.errors import Overloaded
from seekd.service.metrics import Metrics
from seekd.service.response_cache.answer_stores import AnswerStore, DirectoryStore, MemoryStore
from seekd.service.response_cache.recordings import Recorder, Recording, recording_name
from seekd.service.response_cache.redis_answers import RedisStore
from seekd.service.response_cache.settings import CacheUse, ResponseCacheSettings


class CacheResult(enum.StrEnum):
    """What the cache did for a request; travels in `X-Seekd-Cache`."""

    HIT = "hit"
    MISS = "miss"
    BYPASS = "bypass"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheWish:
    """What a request says of the cache.

    Attributes:
        is_on: as `X-Seekd-Cache` has it; None when the request does not say.
        may_read: False asks for a new answer, which is then kept (`Cache-Control: no-cache`).
        may_write: False keeps nothing (`Cache-Control: no-store`).
    """

    is_on: bool | None = None
    may_read: bool = True
    may_write: bool = True


NO_WISH = CacheWish()


class Turn:
    """One request's turn at an answer.

    Attributes:
        recording: the answer, when it is known; None when the request has to run.
    """

    def __init__(self, recording: Recording | None = None) -> None:
        self.recording = recording

    def note(self, update: EngineUpdate, *, now_s: float) -> None:
        """Record what the engine says to the running request."""

    def ended(self, *, was_cut: bool) -> None:
        """The request has run to its end, and its twins get what it got.

        Args:
            was_cut: it ended at its token limit.
        """


class _RecordedTurn(Turn):
    """The turn of a request that runs; what it gets is kept."""

    def __init__(self, ticket: Ticket, flight: _Flight | None) -> None:
        super().__init__()
        self._recorder = Recorder()
        self._ticket = ticket
        self._flight = flight

    def note(self, update: EngineUpdate, *, now_s: float) -> None:
        self._recorder.note(update, now_s=now_s)

    def ended(self, *, was_cut: bool) -> None:
        recording = self._recorder.recording()
        if self._flight is not None:
            self._flight.land(recording)
        self._ticket.keep(recording, was_cut=was_cut)


class _Flight:
    """A request that runs, for those who wait for it."""

    def __init__(self, flights: dict[str, _Flight], name: str) -> None:
        self._flights = flights
        self._name = name
        self.landing: asyncio.Future[Recording | None] = asyncio.get_running_loop().create_future()
        flights[name] = self

    def land(self, recording: Recording | None) -> None:
        """Say how it has ended; None when without an answer. The first word counts."""
        if not self.landing.done():
            self.landing.set_result(recording)
            del self._flights[self._name]


class ResponseCache:
    """Keeps recordings, and knows which requests are running.

    Args:
        settings: of this part.
        store: where recordings are kept.
        metrics: count hits and misses.
    """

    def __init__(self, settings: ResponseCacheSettings, store: AnswerStore, *, metrics: Metrics) -> None:
        self.settings = settings
        self.store = store
        self.metrics = metrics
        self.flights: dict[str, _Flight] = {}
        uses = (settings.use, *settings.models.values(), *settings.accounts.values())
        self._is_used = "on" in uses
        self._writing: set[asyncio.Task[None]] = set()
        metrics.show_response_cache(lambda: store.num_bytes)

    @property
    def is_used(self) -> bool:
        """Whether it is for any request that does not ask for it."""
        return self._is_used

    async def start(self) -> None:
        """Find what an earlier server has kept. Raises `ConfigError` when its place cannot be used."""
        await self.store.open()

    async def close(self) -> None:
        """Finish writing."""
        await asyncio.gather(*self._writing)
        await self.store.close()

    def ticket(
        self,
        request: EngineRequest,
        *,
        wish: CacheWish,
        model: str,
        fingerprint: str,
        stops: Sequence[str],
        protocol: str,
        keeps_cut: bool,
    ) -> Ticket | None:
        """What a request may have of the cache; None when it has nothing to do with it.

        Args:
            request: as the engine would get it.
            wish: of the request.
            model: its served name.
            fingerprint: see `recording_name`, as of the next two.
            stops: stop strings.
            protocol: of the body.
            keeps_cut: whether an answer that ends at its token limit is kept. Not where the room was smaller than what
                was asked for, since more room would give more.
        """
        use = self._use(model, request.fairness_key)
        is_wanted = use == "on" if wish.is_on is None else wish.is_on
        if use == "off" or not is_wanted:
            return Ticket(cache=self, name=None, wish=wish) if wish.is_on else None
        sampling = request.sampling
        is_repeatable = sampling.temperature == 0 or sampling.seed is not None
        if self.settings.repeats == "deterministic" and not is_repeatable:
            return Ticket(cache=self, name=None, wish=wish)
        name = recording_name(request, fingerprint=fingerprint, stops=stops, protocol=protocol)
        return Ticket(cache=self, name=name, wish=wish, keeps_cut=keeps_cut, wait_limit_s=request.deadline_s)

    def write(self, name: str, recording: Recording) -> None:
        """Keep a recording; nobody waits for it."""
        task = asyncio.create_task(self.store.put(name, recording.encode()))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    def _use(self, model: str, account_id: str) -> CacheUse:
        settings = self.settings
        return settings.accounts.get(account_id) or settings.models.get(model) or settings.use


@dataclass(slots=True, kw_only=True)
class Ticket:
    """What one request has of the cache. Made by `ResponseCache.ticket`.

    Attributes:
        result: `HIT` only after the request's turn has come.
    """

    cache: ResponseCache
    name: str | None
    wish: CacheWish
    keeps_cut: bool = False
    wait_limit_s: float | None = None
    result: CacheResult = field(init=False)

    def __post_init__(self) -> None:
        is_looked_up = self.name is not None and self.wish.may_read
        self.result = CacheResult.MISS if is_looked_up else CacheResult.BYPASS

    @property
    def price_share(self) -> float:
        """Part of the model's price that a hit costs."""
        return self.cache.settings.price_share

    @property
    def keeps_rhythm(self) -> bool:
        """Whether a hit takes the time that the first answer took."""
        return self.cache.settings.replay == "original"

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """Wait for the answer of a running twin, find a kept one, or have the turn to run.

        Raises:
            Overloaded: the twin did not end in time.
        """
        flight = None
        try:
            recording = None
            if self.name is not None and self.wish.may_read:
                recording = await self._of_twin(self.name)
                if recording is None:
                    flight = _Flight(self.cache.flights, self.name)  # before looking: nobody else looks meanwhile
                    recording = await self._kept(self.name)
            if recording is not None:
                self.result = CacheResult.HIT
                if flight is not None:
                    flight.land(recording)
            self.cache.metrics.count_response_cache(self.result)
            if recording is not None or self.name is None:
                yield Turn(recording)
            else:
                yield _RecordedTurn(self, flight)
        finally:
            if flight is not None:
                flight.land(None)

    def keep(self, recording: Recording, *, was_cut: bool) -> None:
        """Keep what the request got, where it may be."""
        if self.name is not None and self.wish.may_write and (self.keeps_cut or not was_cut):
            self.cache.write(self.name, recording)

    async def _of_twin(self, name: str) -> Recording | None:
        try:
            async with asyncio.timeout(self.wait_limit_s):
                while (flight := self.cache.flights.get(name)) is not None:
                    await asyncio.wait({flight.landing})
                    recording = flight.landing.result()
                    if recording is not None:
                        return recording
        except TimeoutError as error:
            raise Overloaded("The request took longer than this server allows.") from error
        return None

    async def _kept(self, name: str) -> Recording | None:
        content = await self.cache.store.get(name)
        return None if content is None else Recording.decode(content)


def open_response_cache(settings: ResponseCacheSettings, data_dir: Path, *, metrics: Metrics) -> ResponseCache:
    """A response cache over the store that the settings name. Raises `ConfigError`."""
    store: AnswerStore
    if settings.store == "redis":
        store = RedisStore(settings.redis_url or "", lifetime_s=settings.lifetime_s)
    else:
        memory = MemoryStore(budget_bytes=settings.ram, lifetime_s=settings.lifetime_s)
        store = memory
        if settings.store == "directory":
            store = DirectoryStore(
                data_dir / "answers", memory=memory, budget_bytes=settings.disk, lifetime_s=settings.lifetime_s
            )
    return ResponseCache(settings, store, metrics=metrics)
