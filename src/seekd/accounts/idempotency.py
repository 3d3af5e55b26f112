"""Idempotency keys as the service uses them: take a claim or the answer given under it, and give a claim back.

Runs on the event loop's
thread. A claim that was answered ends with the settlement of its request: see `Books.settle`.

    take ──> the answer (nothing was written)
      ├────> a claim ──> run ──> settled, or abandoned
      └────> a twin ──answer_to──> the answer, or a refusal that asks for one more try
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

from seekd.accounts.claims import NOT_KEPT, EndClaim, ForgetClaims, TakeClaim, check_key, hash_body, read_claim
from seekd.accounts.driver import Connection
from seekd.accounts.notifications import POLL_S, Notifications
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.types import Answer, Caller, Claim, Twin
from seekd.accounts.writer import Writer
from seekd.errors import Overloaded, StoreError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FORGET_S = 60.0
_MAX_POLL_S = 4.0  # the end of a request of this process is told at once; that of another gateway is found so late


class Read(Protocol):
    """Asks the database, as `Books` does."""

    def __call__(self, query: Callable[[Connection], T]) -> Awaitable[T]:
        """Raises `StoreError`."""


class IdempotencyClaims:
    """Gives claims out, one a key at a time."""

    def __init__(self, writer: Writer, settings: AccountsSettings, *, read: Read, now_ms: Callable[[], int]) -> None:
        self._writer = writer
        self._settings = settings
        self._read = read
        self._now_ms = now_ms
        self._ended = Notifications()
        self._forget_until_s = 0.0

    async def take(
        self, caller: Caller, *, idempotency_key: str, body: bytes, request_id: str
    ) -> Claim | Answer | Twin:
        """The right to answer an idempotency key, the answer that was given under it, or who waits for it.

        A claim ends with `Books.settle(claim=...)` or `abandon`, always.

        Args:
            caller: whose key it is; accounts do not share keys.
            idempotency_key: as the request's header has it.
            body: what must be equal in a retry: the route and the request's body. Only its hash is kept.
            request_id: of this request.

        Raises:
            IdempotencyConflict: the key was used with another body.
            InvalidParameter: the key is empty or too long.
            StoreError: the database is away.
        """
        check_key(idempotency_key)
        self._forget_until_s = time.monotonic() + self._settings.idempotency_lifetime_s + 2 * _FORGET_S
        twin = Twin(account_id=caller.account_id, idempotency_key=idempotency_key, body_hash=hash_body(body))
        known = await self._find(twin)
        if known is not None:
            return known
        lifetime_ms = int(self._settings.idempotency_lifetime_s * 1000)
        future = self._writer.submit(TakeClaim(twin=twin, request_id=request_id, lifetime_ms=lifetime_ms))
        try:
            taken: Claim | Answer | Twin = await future
        except (asyncio.CancelledError, StoreError):
            self._free(Claim(account_id=caller.account_id, idempotency_key=idempotency_key, request_id=request_id))
            raise
        return taken

    async def answer_to(self, twin: Twin) -> Answer:
        """The answer that the running request gives. Only reads, waits as long as it takes, and may be cancelled.

        Args:
            twin: waits for it.

        Raises:
            Overloaded: it ended without an answer; the body that could run now was not kept.
            IdempotencyConflict: the answer was too large to be kept.
            StoreError: the database is away.
        """
        pause_s = POLL_S
        while True:
            ended = self._ended.listen(_name(twin))  # before looking, so that no end between is missed
            known = await self._find(twin)
            if isinstance(known, Answer):
                return known
            if known is None:
                raise Overloaded("The first request with this idempotency key ended without an answer. Send it again.")
            await asyncio.wait({ended}, timeout=pause_s)
            pause_s = min(2 * pause_s, _MAX_POLL_S)

    @contextlib.asynccontextmanager
    async def freed_on_failure(self, claim: Claim) -> AsyncIterator[None]:
        """Abandon a claim when the block fails or is cancelled; who ends well has handed it on."""
        try:
            yield
        except BaseException:
            await asyncio.shield(self.abandon(claim))
            raise

    async def abandon(self, claim: Claim) -> None:
        """Free an idempotency key whose request gave no answer worth keeping."""
        future = self._free(claim)
        done, _ = await asyncio.wait({future}, timeout=self._settings.store_timeout_s)
        if not done or future.exception() is not None:
            logger.error("a change of the books waits for the database", extra={"action": "write_later"})

    def ended(self, claim: Claim) -> None:
        """Wake the twins of a request whose claim has ended."""
        self._ended.notify(_name(claim))

    def kept(self, answer: Answer | None) -> Answer | None:
        """What is written down of an answer."""
        if answer is not None and len(answer.body) > self._settings.idempotency_max_body:
            return NOT_KEPT
        return answer

    async def forget(self) -> None:
        """Now and then drop the answers that no retry will ask for any more. Runs until it is cancelled."""
        while True:
            await asyncio.sleep(_FORGET_S)
            if time.monotonic() < self._forget_until_s:  # a server without idempotency keys writes nothing
                self._writer.post(ForgetClaims(), is_durable=False)

    async def _find(self, twin: Twin) -> Answer | Twin | None:
        now_ms = self._now_ms()
        return await self._read(lambda reader: read_claim(reader, twin, now_ms=now_ms))

    def _free(self, claim: Claim) -> asyncio.Future[None]:
        def done(future: asyncio.Future[None]) -> None:
            future.exception()  # seen: who still waits for it logs it
            self.ended(claim)

        future = self._writer.submit(EndClaim(claim=claim), is_durable=True)
        future.add_done_callback(done)
        return future


def _name(key: Claim | Twin) -> str:
    return f"{key.account_id}\0{key.idempotency_key}"
