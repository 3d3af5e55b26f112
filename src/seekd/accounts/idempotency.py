"""Idempotency keys as the service uses them: take a claim or the answer given under it, and give a claim back.

Room: accounts. May import: errors, accounts.claims, settings, types, waiting, writer. Runs on the event loop's thread.
A claim that was answered ends with the settlement of its request: see `Books.settle`.
"""

from __future__ import annotations

import asyncio
import logging
import time

from seekd.accounts.claims import NOT_KEPT, EndClaim, ForgetClaims, TakeClaim, TwinRuns, check_key, hash_body
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.types import Answer, Caller, Claim
from seekd.accounts.waiting import POLL_S, Changes
from seekd.accounts.writer import Writer
from seekd.errors import StoreError

logger = logging.getLogger(__name__)

_FORGET_S = 60.0


class ClaimDesk:
    """Gives claims out, one a key at a time."""

    def __init__(self, writer: Writer, settings: AccountsSettings) -> None:
        self._writer = writer
        self._settings = settings
        self._ended = Changes()
        self._forget_until_s = 0.0

    async def take(self, caller: Caller, *, idempotency_key: str, body: bytes, request_id: str) -> Claim | Answer:
        """The right to answer an idempotency key, or the answer that was given under it; waits for a running twin.

        A claim ends with `Books.settle(claim=...)` or `abandon`, always.

        Args:
            caller: whose key it is; accounts do not share keys.
            idempotency_key: as the request's header has it.
            body: what must be equal in a retry: the route and the request's body.
            request_id: of this request.

        Raises:
            IdempotencyConflict: the key was used with another body.
            InvalidParameter: the key is empty or too long.
            StoreError: the database is away.
        """
        check_key(idempotency_key)
        self._forget_until_s = time.monotonic() + self._settings.idempotency_lifetime_s + 2 * _FORGET_S
        operation = TakeClaim(
            account_id=caller.account_id,
            idempotency_key=idempotency_key,
            body_hash=hash_body(body),
            request_id=request_id,
            lifetime_ms=int(self._settings.idempotency_lifetime_s * 1000),
        )
        claim = Claim(account_id=caller.account_id, idempotency_key=idempotency_key, request_id=request_id)
        ended: asyncio.Future[None] | None = None
        while True:
            future = self._writer.submit(operation)
            try:
                result: Claim | Answer | TwinRuns = await future
            except (asyncio.CancelledError, StoreError):
                self._writer.post(EndClaim(claim=claim), is_durable=True)
                raise
            if not isinstance(result, TwinRuns):
                return result
            if ended is not None and not ended.done():
                await asyncio.wait({ended}, timeout=POLL_S)
            ended = self._ended.next(_name(claim))

    async def abandon(self, claim: Claim) -> None:
        """Free an idempotency key whose request gave no answer worth keeping."""
        future = self._writer.submit_durable(EndClaim(claim=claim))
        future.add_done_callback(lambda _: self.ended(claim))
        done, _ = await asyncio.wait({future}, timeout=self._settings.store_timeout_s)
        if not done or future.exception() is not None:
            logger.error("a change of the books waits for the database", extra={"action": "write_later"})

    def ended(self, claim: Claim) -> None:
        """Wake the twins of a request whose claim has ended."""
        self._ended.happened(_name(claim))

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


def _name(claim: Claim) -> str:
    return f"{claim.account_id}\0{claim.idempotency_key}"
