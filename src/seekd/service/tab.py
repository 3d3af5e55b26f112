"""What one request owes: admitted and held before work, settled once to what it truly used, however it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from seekd.accounts.books import Books
from seekd.accounts.limiter import Admission, Limiter
from seekd.accounts.types import Answer, Caller, Charge, Claim, Reservation, Usage

_FAILED_BY_SERVER = frozenset({"error", "shutdown", "cancelled"})  # not "deadline": a retry would meet it again


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a request may use at most.

    Attributes:
        caller: who pays.
        request_id: unique for ever; the charge bears it.
        model: decides the price.
        price_share: part of it that the request pays, 0 to 1.
    """

    caller: Caller
    request_id: str
    model: str
    num_prompt_tokens: int
    max_completion_tokens: int
    price_share: float = 1.0


class Counter:
    """Where tabs are opened.

    Args:
        books: reserve and settle.
        limiter: admits or refuses by rate.
    """

    def __init__(self, books: Books, limiter: Limiter) -> None:
        self._books = books
        self._limiter = limiter

    def check_price(self, model: str) -> None:
        """See `Books.check_price`."""
        self._books.check_price(model)

    async def check_means(self, caller: Caller, model: str) -> None:
        """Refuse who would be refused in the end, before work of any kind is done for a request.

        Raises:
            RateLimited: a limit of the key, the account or the model is reached now.
            InsufficientBalance: the account could not pay for anything.
            StoreError: a database is away.
        """
        await self._limiter.check(caller, model=model)
        await self._books.check_means(caller, model)

    @asynccontextmanager
    async def counting(self, caller: Caller, *, model: str, request_id: str) -> AsyncIterator[Admission]:
        """Admit a request that only counts tokens, which costs nothing, for as long as the block lasts.

        It counts as a request; its tokens, which no model reads, do not count.

        Raises:
            RateLimited: a limit of the key, the account or the model is reached.
            InsufficientBalance: the account could not pay for anything.
            StoreError: a database is away.
        """
        admission = await self._limiter.admit(caller, model=model, request_id=request_id, num_prompt_tokens=None)
        try:
            await self._books.check_means(caller, model)
            yield admission
        finally:
            await asyncio.shield(self._limiter.finish(admission, num_completion_tokens=0))

    async def give_up(self, claim: Claim | None) -> None:
        """Free the idempotency key of a request whose tab was not opened."""
        if claim is not None:  # a retry may have more luck
            await asyncio.shield(self._books.claims.abandon(claim))

    async def open_tab(self, order: Order, *, claim: Claim | None) -> Tab:
        """Admit a request and hold its worst case.

        Args:
            order: of the request.
            claim: its idempotency claim; ends with the tab.

        Raises:
            RateLimited: a limit of the key, the account or the model is reached.
            InsufficientBalance: the account cannot pay the worst case.
            Unauthenticated: the key was revoked meanwhile.
            StoreError: a database is away; nothing is held.
        """
        try:
            return await self._open_tab(order, claim)
        except BaseException:
            await self.give_up(claim)
            raise

    async def _open_tab(self, order: Order, claim: Claim | None) -> Tab:
        admission = await self._limiter.admit(
            order.caller, model=order.model, request_id=order.request_id, num_prompt_tokens=order.num_prompt_tokens
        )
        try:
            reservation = await self._books.reserve(
                order.caller,
                request_id=order.request_id,
                model=order.model,
                num_prompt_tokens=order.num_prompt_tokens,
                max_completion_tokens=order.max_completion_tokens,
                is_retry_safe=claim is not None,
                price_share=order.price_share,
            )
        except BaseException:
            await asyncio.shield(self._limiter.finish(admission, num_completion_tokens=0))
            raise
        return Tab(self._books, self._limiter, admission=admission, reservation=reservation, claim=claim)


class Tab:
    """One running request's admission and reservation.

    Attributes:
        admission: how it was let in; its headers tell the caller where it stands.
        note: tells what was used so far, so that a recovery after a crash can charge it; see `Books.note`.
    """

    def __init__(
        self,
        books: Books,
        limiter: Limiter,
        *,
        admission: Admission,
        reservation: Reservation,
        claim: Claim | None,
    ) -> None:
        self.admission = admission
        self.note = partial(books.note, reservation)
        self._books = books
        self._limiter = limiter
        self._reservation = reservation
        self._claim = claim
        self._settling: asyncio.Task[Charge | None] | None = None

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
        await self._limiter.finish(self.admission, num_completion_tokens=num_completion_tokens)
        if usage is not None:
            if self._claim is not None and usage.outcome in _FAILED_BY_SERVER:
                usage = replace(
                    usage, num_hit_tokens=0, num_miss_tokens=0, num_completion_tokens=0, num_reasoning_tokens=0
                )
            return await self._books.settle(self._reservation, usage, claim=self._claim, answer=answer)
        await self._books.release(self._reservation)
        if self._claim is not None:
            await self._books.claims.abandon(self._claim)
        return None
