"""What one request is charged: reserved before any work, settled once to what it truly used, however it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from seekd.accounts.books import Books
from seekd.accounts.limiter import Admission, Limiter
from seekd.accounts.types import Answer, Caller, Charge, Claim, Outcome, Reservation, Usage

# Not DEADLINE: a retry would meet it again.
_FAILED_BY_SERVER = frozenset({Outcome.ERROR, Outcome.SHUTDOWN, Outcome.CANCELLED, Outcome.INTERRUPTED})


@dataclass(frozen=True, slots=True)
class Billing:
    """Admits requests and reserves what they may cost at most.

    Attributes:
        books: reserve and settle.
        limiter: admits or refuses by rate.
    """

    books: Books
    limiter: Limiter

    async def check(self, caller: Caller, model: str) -> None:
        """Refuse who would be refused in the end, before work of any kind is done for a request.

        Raises:
            RateLimited: a limit of the key, the account or the model is reached now.
            InsufficientBalance: the account could not pay for anything.
            StoreError: a database is away.
        """
        await self.limiter.check(caller, model=model)
        await self.books.check_can_pay(caller, model)

    @asynccontextmanager
    async def counting(self, caller: Caller, *, model: str, request_id: str) -> AsyncIterator[Admission]:
        """Admit a request that only counts tokens, which costs nothing, for as long as the block lasts.

        It counts as a request; its tokens, which no model reads, do not count.

        Raises:
            RateLimited: a limit of the key, the account or the model is reached.
            InsufficientBalance: the account could not pay for anything.
            StoreError: a database is away.
        """
        admission = await self.limiter.admit(caller, model=model, request_id=request_id, num_prompt_tokens=None)
        try:
            await self.books.check_can_pay(caller, model)
            yield admission
        finally:
            await asyncio.shield(self.limiter.finish(admission, num_completion_tokens=0))

    async def abandon(self, claim: Claim | None) -> None:
        """Free the idempotency key of a request that was not reserved for: a retry may have more luck."""
        if claim is not None:
            await asyncio.shield(self.books.claims.abandon(claim))

    async def reserve(
        self,
        caller: Caller,
        *,
        request_id: str,
        model: str,
        num_prompt_tokens: int,
        max_completion_tokens: int,
        price_share: float = 1.0,
        claim: Claim | None = None,
    ) -> Bill:
        """Admit a request and reserve its worst case.

        Args:
            caller: who pays.
            request_id: unique for ever; the charge bears it.
            model: decides the price.
            num_prompt_tokens: tokens of the prompt.
            max_completion_tokens: the most that may be generated.
            price_share: part of the price that the request pays, 0 to 1.
            claim: its idempotency claim; ends with the bill.

        Raises:
            RateLimited: a limit of the key, the account or the model is reached.
            InsufficientBalance: the account cannot pay the worst case.
            Unauthenticated: the key was revoked meanwhile.
            StoreError: a database is away; nothing is held.
        """
        admission: Admission | None = None
        try:
            admission = await self.limiter.admit(
                caller, model=model, request_id=request_id, num_prompt_tokens=num_prompt_tokens
            )
            reservation = await self.books.reserve(
                caller,
                request_id=request_id,
                model=model,
                num_prompt_tokens=num_prompt_tokens,
                max_completion_tokens=max_completion_tokens,
                is_retry_safe=claim is not None,
                price_share=price_share,
            )
        except BaseException:
            if admission is not None:
                await asyncio.shield(self.limiter.finish(admission, num_completion_tokens=0))
            await self.abandon(claim)
            raise
        return Bill(books=self.books, limiter=self.limiter, admission=admission, reservation=reservation, claim=claim)


@dataclass(slots=True, kw_only=True, eq=False)
class Bill:
    """One running request: its admission, its reservation and, in the end, its charge.

    Attributes:
        admission: how it was let in; its headers tell the caller where it stands.
    """

    books: Books
    limiter: Limiter
    admission: Admission
    reservation: Reservation
    claim: Claim | None
    _noted_s: float = field(default_factory=time.monotonic, init=False)
    _settling: asyncio.Task[Charge | None] | None = field(default=None, init=False)

    def note(self, usage: Callable[[], Usage]) -> None:
        """Say what was used so far, for a recovery after a crash; asked for every few seconds at most. Cheap."""
        now_s = time.monotonic()
        if now_s - self._noted_s >= self.books.progress_interval_s:
            self._noted_s = now_s
            self.books.note(self.reservation, usage())

    async def settle(self, usage: Usage | None, *, answer: Answer | None = None) -> Charge | None:
        """Charge the true usage; the first call counts, and it is finished also when its caller is cancelled.

        Under an idempotency key, a request that the server failed is charged nothing: its retry will be charged, and
        both would be twice.

        Args:
            usage: None says that no work was done, and gives the hold back.
            answer: kept for retries of the same request.
        """
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle(usage, answer))
        return await asyncio.shield(self._settling)

    async def _settle(self, usage: Usage | None, answer: Answer | None) -> Charge | None:
        num_completion_tokens = 0 if usage is None else usage.num_completion_tokens
        await self.limiter.finish(self.admission, num_completion_tokens=num_completion_tokens)
        if usage is not None:
            if self.claim is not None and usage.outcome in _FAILED_BY_SERVER:
                usage = replace(
                    usage, num_hit_tokens=0, num_miss_tokens=0, num_completion_tokens=0, num_reasoning_tokens=0
                )
            return await self.books.settle(self.reservation, usage, claim=self.claim, answer=answer)
        await self.books.release(self.reservation)
        if self.claim is not None:
            await self.books.claims.abandon(self.claim)
        return None
