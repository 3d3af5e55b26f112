"""The served models: which of them are loaded, who uses them, and which one goes when another needs its memory.

Used from one event loop; the only writer of the members' state.

    AWAY ──asked for──> waits for room ──> LOADING ──> LOADED ──another needs the room, nobody uses it──> AWAY
                             │                │
                             └── LRU models that nobody uses are unloaded until it fits
                                              └── refused: told to everybody who waits, remembered for a while

A model is loaded once, whoever asks meanwhile. One that runs requests is never unloaded. When all the others are busy,
a model that waits for room lets them finish what they run; after `patience_s` the least recently used of them takes no
new requests until it has made room, so that a busy model cannot keep another one out for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from seekd.engine.types import CacheExplanation, EngineHealth
from seekd.errors import ConfigError, EngineError, Overloaded, ShuttingDown, UnknownModel
from seekd.prompt.abilities import Abilities
from seekd.service.served_model import ServedModel

_log = logging.getLogger(__name__)

_LOADING = "The model is being loaded."


class Residence(enum.Enum):
    """Where a model is."""

    AWAY = "away"
    LOADING = "loading"
    LOADED = "loaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What is known of a model before it is loaded.

    Attributes:
        display_name: for people.
        context_length: tokens that one conversation will have.
        is_demonstration: see `ModelProfile`.
        abilities: what requests may ask of it.
    """

    display_name: str
    context_length: int
    abilities: Abilities
    is_demonstration: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Member:
    """One model of the pool. What follows `outline` is the pool's own.

    Attributes:
        key: names it in logs and metrics.
        names: that requests ask for it by; a model without names answers every other one.
        model: not started yet.
        need_bytes: memory that it takes, estimated.
        is_preloaded: loaded when the server starts.
        outline: None when its file's header cannot be read.
        num_running: requests that use it.
        num_waiting: requests that wait for it.
        is_draining: takes no new requests, since another model waits for its room.
        used_s: when a request last began to use it.
        failure: why it could not be loaded, and when.
    """

    key: str
    names: tuple[str, ...]
    model: ServedModel
    need_bytes: int = 0
    is_preloaded: bool = False
    outline: Outline | None = None
    residence: Residence = Residence.AWAY
    num_running: int = 0
    num_waiting: int = 0
    is_draining: bool = False
    used_s: float = 0.0
    failure: tuple[ConfigError, float] | None = None
    loading: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def is_usable(self) -> bool:
        """Whether a request may begin to use it now."""
        return self.residence is Residence.LOADED and not self.is_draining

    @property
    def may_go(self) -> bool:
        """Whether it is loaded and nobody uses it or is about to."""
        return self.residence is Residence.LOADED and not self.num_running and not (self.is_usable and self.num_waiting)


class ModelPool:
    """Loads models when they are asked for, within a budget of memory.

    Args:
        members: the models. At most one has no names; it answers every name that the others do not have.
        budget_bytes: for all loaded models together; None loads whatever is asked for.
        wait_limit_s: longest wait of a request for its model; None for no limit.
        patience_s: how long a model waits for room before a busy one takes no new requests.
        retry_s: how long a model that could not be loaded is not tried again.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        members: Sequence[Member],
        *,
        budget_bytes: int | None = None,
        wait_limit_s: float | None = None,
        patience_s: float = 10.0,
        retry_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.members = tuple(members)
        self._by_name = {name: member for member in members for name in member.names}
        self._default = next((member for member in members if not member.names), None)
        self._budget_bytes = budget_bytes
        self._wait_limit_s = wait_limit_s
        self._patience_s = patience_s
        self._retry_s = retry_s
        self._clock = clock
        self._room = asyncio.Lock()  # one model at a time decides who must go
        self._changed = asyncio.Event()
        self._is_started = False
        self._is_closed = False

    @property
    def own_names(self) -> tuple[str, ...]:
        """The names that single models have, in the order of the configuration."""
        return tuple(self._by_name)

    @property
    def default(self) -> Member | None:
        """The model that answers every name that no other one has."""
        return self._default

    @property
    def health(self) -> EngineHealth:
        """Ready while at least one model would answer."""
        if not self._is_started:
            return EngineHealth(ready=False, reason=_LOADING)
        reasons = [reason for member in self.members if (reason := self._trouble(member)) is not None]
        if len(reasons) < len(self.members):
            return EngineHealth(ready=True)
        return EngineHealth(ready=False, reason=reasons[0])

    async def start(self) -> None:
        """Load the models that are to be loaded at once.

        Raises:
            ConfigError: the only model cannot be loaded. Of several, one that cannot is logged, and the others serve.
        """
        for member in self.members:
            if member.is_preloaded:
                try:
                    await self._loading(member)
                except ConfigError:
                    if len(self.members) == 1:
                        raise
        self._is_started = True

    async def close(self) -> None:
        """End what is being loaded, and unload everything."""
        self._is_closed = True
        tasks = [member.loading for member in self.members if member.loading is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for member in self.members:
            if member.residence is not Residence.AWAY:
                member.residence = Residence.AWAY
                await member.model.close()

    def find(self, *names: str) -> Member:
        """The model that the first known of these names stands for; without a name the default or the first one.

        Raises:
            UnknownModel: none does, and no model answers the other names.
        """
        for name in names:
            if name in self._by_name:
                return self._by_name[name]
        if self._default is None and names:
            raise UnknownModel(names[0], known_models=self.own_names)
        return self._default or self.members[0]

    def explain(self, request_id: str) -> CacheExplanation | None:
        """What the prefix cache of some model gave to a recent request; None when it is not known."""
        found = (member.model.engine.explain(request_id) for member in self.members)
        return next((explanation for explanation in found if explanation is not None), None)

    @contextlib.asynccontextmanager
    async def lease(self, member: Member) -> AsyncIterator[ServedModel]:
        """The loaded model, which stays loaded within the block.

        Raises:
            EngineError: it cannot be loaded.
            Overloaded: it was not loaded in time.
            ShuttingDown: the pool is closed.
        """
        if not member.is_usable:
            await self._wait_until_usable(member)
        member.num_running += 1
        member.used_s = self._clock()
        try:
            yield member.model
        finally:
            member.num_running -= 1
            self._notify()

    async def _wait_until_usable(self, member: Member) -> None:
        member.num_waiting += 1
        try:
            async with asyncio.timeout(self._wait_limit_s):
                while not member.is_usable:
                    await self._load_with_others(member)
        except TimeoutError as error:
            raise Overloaded("The model was not loaded in time. Try again in a moment.") from error
        finally:
            member.num_waiting -= 1
            self._notify()

    async def _load_with_others(self, member: Member) -> None:
        """Begin to load a model, or wait for whoever has begun; a client that leaves does not end it."""
        if self._is_closed:
            raise ShuttingDown
        if member.failure is not None and self._clock() - member.failure[1] < self._retry_s:
            raise _cannot_be_loaded(member) from member.failure[0]
        try:
            await asyncio.shield(self._loading(member))
        except ConfigError as error:
            raise _cannot_be_loaded(member) from error
        except asyncio.CancelledError:
            if self._is_closed:
                raise ShuttingDown from None
            raise

    def _loading(self, member: Member) -> asyncio.Task[None]:
        """The one task that loads a model."""
        if member.loading is None:
            member.loading = asyncio.create_task(self._load(member))
            member.loading.add_done_callback(lambda task: self._loading_ended(member, task))
        return member.loading

    def _loading_ended(self, member: Member, task: asyncio.Task[None]) -> None:
        member.loading = None
        if not task.cancelled():
            task.exception()  # seen: whoever waits is told, and it is in the log

    async def _load(self, member: Member) -> None:
        """Make room, and load. Raises `ConfigError` when the file cannot be used."""
        async with self._room:
            if member.residence is Residence.LOADED:  # room was found elsewhere while it drained
                member.is_draining = False
                return
            await self._make_room(member)
            member.residence = Residence.LOADING
        try:
            await member.model.start()
        except BaseException as error:
            await member.model.close()
            member.residence = Residence.AWAY
            self._notify()
            if isinstance(error, ConfigError):
                member.failure = (error, self._clock())
                extra = {"action": "model_load_failed", "model": member.key}
                _log.error("the model %s cannot be loaded: %s", member.key, error.message, extra=extra)
            raise
        member.failure = None
        member.used_s = self._clock()
        member.residence = Residence.LOADED
        self._notify()

    async def _make_room(self, member: Member) -> None:
        while (others := self._residents(member)) and not self._fits(member, others):
            idle = [other for other in others if other.may_go]
            if idle:
                await self._unload(min(idle, key=lambda other: other.used_s))
            elif not await self._something_changed():
                self._drain(others)

    def _fits(self, member: Member, others: Sequence[Member]) -> bool:
        if self._budget_bytes is None:
            return True
        return member.need_bytes + sum(other.need_bytes for other in others) <= self._budget_bytes

    def _residents(self, but: Member) -> list[Member]:
        return [other for other in self.members if other is not but and other.residence is not Residence.AWAY]

    def _drain(self, others: Sequence[Member]) -> None:
        busy = [other for other in others if other.is_usable]
        if busy:
            victim = min(busy, key=lambda other: other.used_s)
            victim.is_draining = True
            extra = {"action": "model_draining", "model": victim.key}
            _log.info("the model %s takes no new requests: another one waits for its memory", victim.key, extra=extra)

    async def _unload(self, member: Member) -> None:
        member.residence = Residence.AWAY
        member.is_draining = False
        extra = {"action": "model_unloaded", "model": member.key}
        _log.info("the model %s is unloaded: another one needs its memory", member.key, extra=extra)
        await member.model.close()

    async def _something_changed(self) -> bool:
        """Wait for the end of a request or a load; False when none came within the patience."""
        self._changed = asyncio.Event()
        try:
            async with asyncio.timeout(self._patience_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _notify(self) -> None:
        self._changed.set()

    def _trouble(self, member: Member) -> str | None:
        """Why a request for the model would fail now; None when it would be answered."""
        if member.residence is Residence.LOADED:
            health = member.model.health
            return None if health.ready else health.reason
        return None if member.failure is None else _cannot_be_loaded(member).message


def single_model(model: ServedModel) -> ModelPool:
    """A pool of one model that answers every name and is loaded at the start."""
    return ModelPool([Member(key="default", names=(), model=model, is_preloaded=True)])


def _cannot_be_loaded(member: Member) -> EngineError:
    # The reason names files of the server, which are none of the caller's business: it is in the log.
    return EngineError(f"The model {member.key} cannot be loaded; the server's log says why.")
