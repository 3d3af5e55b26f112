"""The books as the service uses them: who calls, reserve, settle, release.

Runs on the event loop's thread; writing is `writer.py`'s.

    authenticate ─> reserve ─> (work; note what is used) ─> settle ─> send the last byte
                       └─────> release, when no work was done

`settle` comes before the last byte, so that an answer that reached its caller whole is always in the books, whatever
happens next. The database being away refuses new requests with `StoreError`; it never loses a settlement.

A free request holds no money: nothing is written before its work, and its last byte waits for a file and not for a
commit. docs/decisions/free-requests.md says why, and what a crash means.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from seekd.accounts.access import AccessState
from seekd.accounts.backoff import FailureBackoff
from seekd.accounts.balances import read_balance
from seekd.accounts.clock import DatabaseClock
from seekd.accounts.driver import Connection, TransactionFailed
from seekd.accounts.idempotency import IdempotencyClaims
from seekd.accounts.keys import KeyRing
from seekd.accounts.lease import Lease, keep_lease
from seekd.accounts.notifications import POLL_S, Notifications
from seekd.accounts.operations import Blocked, Note, Release, ReleaseUnknown, Reserve, Settle
from seekd.accounts.prices import PriceQuestion, PriceTable, Pricing, load_prices
from seekd.accounts.recovery import recover
from seekd.accounts.refused import keep_trying
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.statements import sql
from seekd.accounts.store import Store, unopened
from seekd.accounts.types import FREE, Answer, Balance, Caller, Charge, Claim, Price, Reservation, Usage
from seekd.accounts.writer import Writer
from seekd.errors import ConfigError, InsufficientBalance, StoreError, Unauthenticated, UnpricedModel

logger = logging.getLogger(__name__)

T = TypeVar("T")

_MAX_SLOWED = 256  # answers to wrong keys that may be delayed at once; more are refused without delay
_CLOSE_S = 10.0
_HEALTH_S = 2.0  # whoever watches a server's health waits no longer


class Books:
    """Accounts, as the requests of one server see them. Use `open_books` to make one.

    Attributes:
        claims: idempotency keys; a claim that it gives ends with `settle`.
        has_prices: whether any request may cost something.
    """

    def __init__(
        self,
        store: Store,
        settings: AccountsSettings,
        *,
        owner: str,
        allows_open: bool,
        prices: PriceTable,
        pricing: Pricing | None = None,
        clock: DatabaseClock,
    ) -> None:
        self._store = store
        self._settings = settings
        self._owner = owner
        self._clock = clock
        self._prices = prices
        self._pricing = pricing
        self.has_prices = not prices.is_free or pricing is not None
        self._ring = KeyRing(allows_open=allows_open)
        self._backoff = FailureBackoff(num_free=settings.failed_auth_free, max_delay_s=settings.failed_auth_delay_s)
        self._num_slowed = 0
        self._reader = store.connect(is_reader=True)
        # SQLite answers from memory and a log that readers never wait for; a network round trip leaves the loop.
        self._reader_thread = None if store.is_local else ThreadPoolExecutor(1, thread_name_prefix="seekd-books-read")
        self._writer = Writer(
            store.connect,
            store.journal,
            store.refused,
            owner=owner,
            now_ms=self._now_ms,
            store_timeout_s=settings.store_timeout_s,
        )
        self.claims = IdempotencyClaims(self._writer, settings, read=self._read, now_ms=self._now_ms)
        self._freed = Notifications()
        self._tasks: list[asyncio.Task[None]] = []

    # --- life

    async def start(self) -> None:
        """Begin to write. Called once, on the event loop that will use the books."""
        self._writer.start(asyncio.get_running_loop())
        self._tasks.append(asyncio.create_task(self.claims.forget()))
        retries = keep_trying(self._store.refused, self._store.connect, owner=self._owner, now_ms=self._now_ms)
        self._tasks.append(asyncio.create_task(retries))
        if not self._store.is_local:
            lease = Lease(owner=self._owner, lease_s=self._settings.lease_s, clock=self._clock)
            self._tasks.append(asyncio.create_task(keep_lease(lease, self._store.connect)))

    async def close(self) -> None:
        """Write what is queued and give everything back; what the database cannot take stays in files."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await asyncio.to_thread(self._writer.stop, give_up_after_s=_CLOSE_S)
        if self._writer.num_written == self._writer.num_queued:
            self._store.spool.clear()
        self._store.spool.close()
        if self._reader_thread is not None:
            self._reader_thread.shutdown()
        self._reader.close()
        self._store.close()

    async def is_away(self) -> bool:
        """Whether a request would be refused because the database can be neither read nor written."""
        try:
            async with asyncio.timeout(_HEALTH_S):
                await self.any_key_ever()
        except (StoreError, TimeoutError):
            return True
        return self._writer.is_behind

    @property
    def progress_interval_s(self) -> float:
        """How often a running request should be noted at most."""
        return self._settings.progress_interval_s

    @property
    def num_refused(self) -> int:
        """Settlements that the database refuses; they are tried again, and somebody should look."""
        return self._store.refused.num

    # --- who calls

    async def access(self) -> AccessState:
        """Whether a key is asked for now. Raises `StoreError`."""
        is_open = await self._read(self._ring.is_open)
        return AccessState.OPEN if is_open else AccessState.ENFORCED

    async def any_key_ever(self) -> bool:
        """Whether a key exists or has existed, revoked or not. Raises `StoreError`."""
        return await self._read(self._ring.any_key_ever)

    async def authenticate(self, key: str | None, *, peer: str = "") -> Caller:
        """Who holds this key.

        Args:
            key: as `keys.bearer_key` found it; None when the request has none.
            peer: address of the caller; its next wrong keys are answered later and later.

        Raises:
            Unauthenticated: no key, or none that works.
            StoreError: the database is away.
        """
        now_ms = self._clock.now_ms
        try:
            return await self._read(lambda reader: self._ring.authenticate(reader, key, now_ms=now_ms))
        except Unauthenticated:
            await self.slow_down(peer)
            raise

    async def slow_down(self, peer: str) -> None:
        """Wait before a wrong key or token is answered: longer with each one that the peer has sent."""
        delay_s = self._backoff.failed(peer, now_s=time.monotonic())
        if delay_s and self._num_slowed < _MAX_SLOWED:
            self._num_slowed += 1
            try:
                await asyncio.sleep(delay_s)
            finally:
                self._num_slowed -= 1

    # --- money

    async def reserve(
        self,
        caller: Caller,
        *,
        request_id: str,
        model: str,
        num_prompt_tokens: int,
        max_completion_tokens: int,
        is_retry_safe: bool = False,
        price_share: float = 1.0,
    ) -> Reservation:
        """Hold the worst case of a request; it must end in `settle` or `release`. A free one writes nothing.

        Waits, up to the configured time, where only what running requests hold stands in the way.

        Args:
            caller: who pays.
            request_id: unique for ever, since its charge bears it.
            model: decides the price; the request's served name.
            num_prompt_tokens: tokens of the prompt; none of them is assumed to be cached.
            max_completion_tokens: the most that may be generated.
            is_retry_safe: the request has a `Claim`; a recovery then charges nothing, as its retry will be charged.
            price_share: part of the model's price that the request pays, 0 to 1.

        Raises:
            InsufficientBalance: the account cannot pay the worst case.
            UnpricedModel: the model has no price while others have one.
            Unauthenticated: the key was revoked after `authenticate`.
            StoreError: the database is away. Nothing is held.
        """
        if not self.has_prices:
            return await self._reserve_nothing(caller, request_id, model, is_retry_safe=is_retry_safe)
        whole = self.price(model, caller.account_id)
        prices = tuple((currency, price.part(price_share)) for currency, price in whole.items())
        if all(price.is_free for _, price in prices):
            return await self._reserve_nothing(caller, request_id, model, is_retry_safe=is_retry_safe)
        deadline_s = time.monotonic() + self._settings.hold_wait_s
        freed: asyncio.Future[None] | None = None
        while True:
            result = await self._reserve_now(
                Reserve(
                    account_id=caller.account_id,
                    key_id=caller.key_id,
                    request_id=request_id,
                    model=model,
                    prices=prices,
                    num_prompt_tokens=num_prompt_tokens,
                    max_completion_tokens=max_completion_tokens,
                    is_retry_safe=is_retry_safe,
                )
            )
            if isinstance(result, Reservation):
                return result
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0:
                raise InsufficientBalance
            if freed is not None and not freed.done():
                await asyncio.wait({freed}, timeout=min(remaining_s, POLL_S))
            # Taken before the next attempt, so that a settlement between attempt and wait is not missed.
            freed = self._freed.listen(caller.account_id)

    def check_price(self, model: str) -> None:
        """Refuse a model that has no price while others have one. Raises `UnpricedModel`."""
        if not self._prices.is_free and self._prices.lacks(model, self._clock.now_ms):
            raise UnpricedModel(model)

    async def check_can_pay(self, caller: Caller, model: str) -> None:
        """Refuse an account that could not pay for one token in and one out, before work of any kind is done for it.

        Raises:
            InsufficientBalance: it has less than that, held or not.
            StoreError: the database is away.
        """
        least = {
            currency: price.worst_case_micros(num_prompt_tokens=1, max_completion_tokens=1)
            for currency, price in self.price(model, caller.account_id).items()
        }
        if least:
            balance = await self.balance(caller.account_id)
            has = {entry.currency: entry.total_micros for entry in balance.currencies}
            if not any(has.get(currency, 0) >= micros for currency, micros in least.items()):
                raise InsufficientBalance

    async def _reserve_nothing(
        self, caller: Caller, request_id: str, model: str, *, is_retry_safe: bool
    ) -> Reservation:
        """Let a free request in: it holds no money, so nothing is written before its work; a long one is by `note`."""
        now_ms = self._clock.now_ms
        if self._writer.is_behind:  # what was used could not be written down either
            raise StoreError
        if caller.key_id is not None:
            wanted = {"ids": [caller.key_id], "now_ms": now_ms}
            if not await self._read(lambda reader: reader.rows(sql["working_keys"], wanted)):
                raise Unauthenticated
        return Reservation(
            request_id=request_id,
            account_id=caller.account_id,
            key_id=caller.key_id,
            model=model,
            currency=self._settings.default_currency,
            held_micros=0,
            price=FREE,
            is_retry_safe=is_retry_safe,
            reserved_at_ms=now_ms,
        )

    async def _reserve_now(self, operation: Reserve) -> Reservation | Blocked:
        future = self._writer.submit(operation)
        try:
            async with asyncio.timeout(2 * self._settings.store_timeout_s):  # the writer's own limit comes first
                result: Reservation | Blocked = await future
                return result
        except TimeoutError as error:
            self._undo(operation)
            raise StoreError from error
        except (asyncio.CancelledError, StoreError):
            self._undo(operation)
            raise

    def _undo(self, operation: Reserve) -> None:
        """Make sure that no hold is left of a reservation whose outcome nobody will see."""
        operation.is_abandoned = True
        undo = ReleaseUnknown(account_id=operation.account_id, request_id=operation.request_id)
        self._writer.post(undo, is_durable=True)

    def note(self, reservation: Reservation, usage: Usage) -> None:
        """Write down what a running request has used so far, for a recovery. Waits for nothing."""
        if not reservation.is_retry_safe:
            self._writer.post(Note(reservation=reservation, usage=usage), is_durable=False)

    async def settle(
        self, reservation: Reservation, usage: Usage, *, claim: Claim | None = None, answer: Answer | None = None
    ) -> Charge:
        """Charge what a request used; call it before the last byte of the answer is sent.

        It is settled exactly once even when the caller is cancelled, and even when the database is away: then this
        returns with the charge that will be made when the journal has it, at once where the database says that it is
        away, after the store timeout where it says nothing.
        A free request without a claim waits for no commit: it is in a file that a killed process does not lose.

        Args:
            reservation: of the request.
            usage: what it used, however it ended.
            claim: the request's idempotency claim, which ends in the same transaction.
            answer: the whole answer, kept for retries; None frees the claim's key.
        """
        operation = Settle(
            reservation=reservation,
            usage=usage,
            claim=claim,
            answer=None if claim is None else self.claims.kept(answer),
            answer_expires_at_ms=self._clock.now_ms + int(self._settings.idempotency_lifetime_s * 1000),
        )
        if reservation.price.is_free and claim is None and self._is_spooled(operation):
            self._writer.post(operation, is_durable=True)
            return Charge(request_id=reservation.request_id, currency=reservation.currency, cost_micros=0)
        future = self._writer.submit(operation, is_durable=True)
        future.add_done_callback(lambda _: self._freed.notify(reservation.account_id))
        if claim is not None:
            future.add_done_callback(lambda _: self.claims.ended(claim))
        done, _ = await asyncio.wait({future}, timeout=self._settings.store_timeout_s)
        charge = future.result() if done and future.exception() is None else None
        if isinstance(charge, Charge):
            if charge.uncollected_micros:
                logger.error(
                    "a request used more than was reserved for it",
                    extra={"action": "uncollected", "uncollected_micros": charge.uncollected_micros},
                )
            return charge
        if not done:
            await self._save(operation, future)
        logger.error("a settlement waits for the database", extra={"action": "settle_later"})
        return Charge(
            request_id=reservation.request_id,
            currency=reservation.currency,
            cost_micros=reservation.price.cost_micros(
                num_hit_tokens=usage.num_hit_tokens,
                num_miss_tokens=usage.num_miss_tokens,
                num_completion_tokens=usage.num_completion_tokens,
            ),
        )

    def _is_spooled(self, settlement: Settle) -> bool:
        """Put a settlement where a killed process does not lose it; it must be queued next."""
        writer = self._writer
        try:
            self._store.spool.add(settlement, number=writer.num_queued + 1, num_written=writer.num_written)
        except OSError as error:
            logger.warning(
                "free requests wait for the database", extra={"action": "spool_failed", "reason": str(error)}
            )
            return False
        return True

    async def _save(self, settlement: Settle, future: asyncio.Future[object]) -> None:
        """Put a settlement to which the database says nothing where not even a killed process loses it."""
        try:
            await asyncio.to_thread(self._writer.save, settlement)
        except OSError:
            logger.exception("the journal of the books cannot be written", extra={"action": "journal"})
        future.add_done_callback(lambda _: self._writer.forget_saved(settlement))

    async def release(self, reservation: Reservation) -> None:
        """Give back the hold of a request that used nothing. Sure to happen even when the database is away now."""
        if reservation.price.is_free:  # it noted nothing, so nothing was written
            return
        future = self._writer.submit(Release(reservation=reservation), is_durable=True)
        future.add_done_callback(lambda _: self._freed.notify(reservation.account_id))
        done, _ = await asyncio.wait({future}, timeout=self._settings.store_timeout_s)
        if not done or future.exception() is not None:
            logger.error("a change of the books waits for the database", extra={"action": "write_later"})

    async def balance(self, account_id: str) -> Balance:
        """What an account has. Raises `StoreError`."""
        now_ms = self._clock.now_ms
        return await self._read(
            lambda reader: read_balance(
                reader,
                account_id,
                now_ms=now_ms,
                default_currency=self._settings.default_currency,
                is_everything_free=not self.has_prices,
            )
        )

    async def total_micros(self, account_id: str) -> int:
        """All that an account has, held or not, in micro-units of whatever currency. Raises `StoreError`."""
        return sum(entry.total_micros for entry in (await self.balance(account_id)).currencies)

    def price(self, model: str, account_id: str) -> Mapping[str, Price]:
        """What a model costs an account now, by currency in the order in which balances are tried; empty is free.

        Raises:
            UnpricedModel: it has no price while others have one.
            StoreError: the pricing has failed.
        """
        self.check_price(model)
        now_ms = self._clock.now_ms
        prices: Mapping[str, Price] = self._prices.prices(model, now_ms)
        if self._pricing is not None:
            question = PriceQuestion(model=model, account_id=account_id, at_ms=now_ms, table=prices)
            try:
                prices = self._pricing.prices(question)
                if any(min(price.hit_micros, price.miss_micros, price.output_micros) < 0 for price in prices.values()):
                    raise ValueError("a price is below 0")
            except Exception as error:  # another package's code: without a price nothing is served
                raise StoreError(
                    "The price of the request cannot be had. Nothing was charged.", reason=str(error)
                ) from error
        order = self._settings.currency_order
        return {name: prices[name] for name in order if name in prices and not prices[name].is_free}

    # --- reading

    async def _read(self, query: Callable[[Connection], T]) -> T:
        try:
            if self._reader_thread is None:
                return query(self._reader)
            async with asyncio.timeout(self._settings.store_timeout_s):
                return await asyncio.get_running_loop().run_in_executor(self._reader_thread, query, self._reader)
        except (TransactionFailed, TimeoutError) as error:
            raise StoreError(reason=str(error)) from error

    def _now_ms(self) -> int:
        return self._clock.now_ms


def open_books(
    settings: AccountsSettings,
    data_dir: Path,
    *,
    allows_open: bool,
    pricing: Pricing | None = None,
    models: Sequence[Collection[str]] = (),
    clock: Callable[[], float] = time.time,
    new_owner: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> Books:
    """Open the books of a server: migrate them, and end what a dead server left behind. Blocks.

    Args:
        settings: of this room.
        data_dir: where the books and the journal lie; made when it does not exist.
        allows_open: see `access.allows_open`.
        pricing: says what requests cost; None leaves that to the table.
        models: of each model the names that it is served by; those without a price are logged.
        clock: seconds since 1970, of this machine; PostgreSQL's own goes before it.
        new_owner: names this server among all that use the books.

    Raises:
        StoreError: the database is away.
        ConfigError: the database cannot be opened or migrated, another server uses the data directory, or a price is
            not valid.
    """
    prices = load_prices(settings, models=models)
    store = Store(settings, data_dir)
    owner = new_owner()
    books_clock = DatabaseClock(clock)
    unpriced = [name for names in models for name in names if prices.lacks(name, books_clock.now_ms)]
    if unpriced:
        logger.warning(
            "no price for %s: requests for these names are refused; add what is missing to accounts.prices",
            ", ".join(unpriced),
            extra={"action": "unpriced", "models": unpriced},
        )
    try:
        store.prepare(is_server=True)
        connection = store.connect()
        try:
            books_clock.follow(connection)
            connection.run(sql["see_owner"], {"id": owner, "now_ms": books_clock.now_ms})
            lease_ms = None if store.is_local else int(settings.lease_s * 1000)
            found = recover(
                connection,
                owner=owner,
                now_ms=lambda: books_clock.now_ms,
                lease_ms=lease_ms,
                journal=store.journal,
                spool=store.spool,
                refused=store.refused,
            )
        finally:
            connection.close()
        if found.num_settled or found.num_charged or found.num_released:
            logger.warning(
                "ended the requests of a server that died",
                extra={
                    "action": "recovered",
                    "num_settled": found.num_settled,
                    "num_charged": found.num_charged,
                    "num_released": found.num_released,
                },
            )
        return Books(
            store,
            settings,
            owner=owner,
            allows_open=allows_open,
            prices=prices,
            pricing=pricing,
            clock=books_clock,
        )
    except TransactionFailed as failure:
        store.close()
        raise unopened(failure) from failure
    except OSError as error:
        store.close()
        raise ConfigError(f"The data directory {data_dir} cannot be used: {error}.") from error
    except BaseException:
        store.close()
        raise
