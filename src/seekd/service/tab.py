"""What one request owes: held before work, settled once to what it truly used, however it ended.

Room: service. May import: accounts and below.
"""

from __future__ import annotations

import asyncio

from seekd.accounts.books import Books
from seekd.accounts.types import Caller, Charge, Reservation, Usage


class Tab:
    """One request's reservation. `settle` may be called more than once; the first call counts."""

    def __init__(self, books: Books, reservation: Reservation) -> None:
        self._books = books
        self._reservation = reservation
        self._settling: asyncio.Task[Charge | None] | None = None

    @classmethod
    async def open(
        cls,
        books: Books,
        caller: Caller,
        *,
        request_id: str,
        model: str,
        num_prompt_tokens: int,
        max_completion_tokens: int,
    ) -> Tab:
        """Hold the worst case of a request.

        Raises:
            InsufficientBalance: the account cannot pay it.
            Unauthenticated: the key was revoked meanwhile.
            StoreError: the database is away; nothing is held.
        """
        reservation = await books.reserve(
            caller,
            request_id=request_id,
            model=model,
            num_prompt_tokens=num_prompt_tokens,
            max_completion_tokens=max_completion_tokens,
        )
        return cls(books, reservation)

    def note(self, usage: Usage) -> None:
        """Write down what was used so far, so that a recovery after a crash can charge it."""
        self._books.note(self._reservation, usage)

    async def settle(self, usage: Usage | None) -> Charge | None:
        """Charge the true usage; None says that no work was done, and gives the hold back.

        The books finish this also when the caller is cancelled while it waits.
        """
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle(usage))
        return await asyncio.shield(self._settling)

    async def _settle(self, usage: Usage | None) -> Charge | None:
        if usage is None:
            await self._books.release(self._reservation)
            return None
        return await self._books.settle(self._reservation, usage)
