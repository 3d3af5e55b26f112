"""What can happen to the books of an account, each as an operation of a transaction.

    reserve ──> hold ──settle──> charge + usage row        a free request has no hold before its first note
                  │──release───> nothing
                  └──recover───> what the hold last noted, or nothing

Every operation may be applied twice, as happens when a commit's answer was lost: a request's hold and its usage row
are both named by the request, so the second time finds the work of the first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import msgspec

from seekd.accounts.pool import NOTHING, Grant, Payment
from seekd.accounts.statements import sql
from seekd.accounts.transaction import Hold, Needs, Transaction
from seekd.accounts.types import FREE, Answer, Charge, Claim, Outcome, Price, Reservation, Usage, format_exact
from seekd.errors import InsufficientBalance, InvalidParameter, StoreError, Unauthenticated


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A reservation that would fit if running requests gave back what they hold and do not use."""


@dataclass(slots=True, kw_only=True)
class Reserve:
    """Hold the worst case of one request.

    Attributes:
        prices: of the model by currency, in the order in which balances are tried; at least one.
        is_abandoned: set from another thread when nobody waits any more; the operation then does nothing.
    """

    account_id: str
    key_id: str | None
    request_id: str
    model: str
    prices: tuple[tuple[str, Price], ...]
    num_prompt_tokens: int
    max_completion_tokens: int
    is_retry_safe: bool
    is_abandoned: bool = False

    @property
    def needs(self) -> Needs:
        """See `Operation`."""
        return Needs(account_id=self.account_id, hold_id=self.request_id, key_id=self.key_id or "")

    def apply(self, transaction: Transaction) -> Reservation | Blocked:
        """Hold it.

        Raises:
            InsufficientBalance: the account could not pay even if nothing else ran.
            Unauthenticated: the key was revoked or has expired.
            StoreError: nobody waits for the reservation any more.
        """
        hold = transaction.holds.get(self.request_id)
        if hold is not None and hold.owner == transaction.owner:
            return hold.reservation
        if self.is_abandoned:
            raise StoreError
        if self.key_id is not None and self.key_id not in transaction.working_keys:
            raise Unauthenticated
        could_fit_later = False
        for currency, price in self.prices:
            pool = transaction.pool(self.account_id, currency)
            if pool is None:
                continue
            micros = price.worst_case_micros(
                num_prompt_tokens=self.num_prompt_tokens, max_completion_tokens=self.max_completion_tokens
            )
            if micros <= pool.available_micros:
                pool.hold(micros)
                reservation = Reservation(
                    request_id=self.request_id,
                    account_id=self.account_id,
                    key_id=self.key_id,
                    model=self.model,
                    currency=currency,
                    held_micros=micros,
                    price=price,
                    is_retry_safe=self.is_retry_safe,
                    reserved_at_ms=transaction.now_ms,
                )
                transaction.add_hold(reservation)
                return reservation
            could_fit_later = could_fit_later or micros <= pool.total_micros
        if could_fit_later:
            return Blocked()
        raise InsufficientBalance


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Charge what a request truly used and give back the rest of its hold.

    Attributes:
        claim: idempotency claim that the request answered; None without one.
        answer: the answer to keep under it; None frees the key.
        answer_expires_at_ms: until when the answer is kept.
        is_recovered: another server ends the request.
    """

    reservation: Reservation
    usage: Usage
    claim: Claim | None = None
    answer: Answer | None = None
    answer_expires_at_ms: int = 0
    is_recovered: bool = False

    @property
    def account_id(self) -> str:
        """See `Operation`."""
        return self.reservation.account_id

    @property
    def needs(self) -> Needs:
        """See `Operation`."""
        return Needs(
            account_id="" if self.reservation.price == FREE else self.reservation.account_id,
            hold_id=self.reservation.request_id,
            charge_id=self.reservation.request_id,
        )

    def apply(self, transaction: Transaction) -> Charge:
        """Charge the usage, once; of a request that a recovery has charged, what it used beyond that.

        Without a hold (a recovery took it, since this gateway was silent for too long) the account pays from what is
        available; what it cannot pay is reported as uncollected and never makes a balance negative.
        """
        held, usage = self.reservation, self.usage
        hold = transaction.holds.get(held.request_id)
        past = transaction.charges.get(held.request_id)
        if hold is None and past is not None and not past.is_recovered:
            return past
        if self.claim is not None:
            end_claim(transaction, self.claim, self.answer, self.answer_expires_at_ms)
        paid = Payment(granted_micros=past.granted_micros, topped_up_micros=past.topped_up_micros) if past else NOTHING
        due_micros = (
            held.price.cost_micros(
                num_hit_tokens=usage.num_hit_tokens,
                num_miss_tokens=usage.num_miss_tokens,
                num_completion_tokens=usage.num_completion_tokens,
            )
            - paid.total_micros
        )
        now = _collect(transaction, held, hold, max(0, due_micros))
        charge = Charge(
            request_id=held.request_id,
            currency=held.currency,
            cost_micros=paid.total_micros + now.total_micros,
            granted_micros=paid.granted_micros + now.granted_micros,
            topped_up_micros=paid.topped_up_micros + now.topped_up_micros,
            uncollected_micros=max(0, due_micros - now.total_micros),
            is_recovered=self.is_recovered,
        )
        if past is not None:
            transaction.connection.run(sql["delete_recovered_usage"], {"request_id": held.request_id})
        transaction.add_usage(held, usage, charge)
        return charge


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Give back the hold of a request that used nothing."""

    reservation: Reservation

    @property
    def account_id(self) -> str:
        """See `Operation`."""
        return self.reservation.account_id

    @property
    def needs(self) -> Needs:
        """See `Operation`."""
        held = self.reservation
        return Needs(account_id=held.account_id if held.held_micros else "", hold_id=held.request_id)

    def apply(self, transaction: Transaction) -> None:
        """Give it back, once."""
        hold = transaction.holds.get(self.reservation.request_id)
        if hold is not None:
            give_back(transaction, hold)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseUnknown:
    """Give back the hold of a reservation whose outcome nobody waited for, if it was made."""

    account_id: str
    request_id: str

    @property
    def needs(self) -> Needs:
        """See `Operation`."""
        return Needs(account_id=self.account_id, hold_id=self.request_id)

    def apply(self, transaction: Transaction) -> None:
        """Give it back, if it is there."""
        hold = transaction.holds.get(self.request_id)
        if hold is not None and hold.owner == transaction.owner:
            give_back(transaction, hold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recover:
    """End a request whose server died.

    The rule: it is charged for the usage that its hold last noted, and for nothing when it noted none or carries an
    idempotency key (its retry will be charged). An answer that was completed is not concerned: it was settled before
    its last byte was sent.
    """

    account_id: str
    request_id: str

    @property
    def needs(self) -> Needs:
        """See `Operation`."""
        return Needs(account_id=self.account_id, hold_id=self.request_id)

    def apply(self, transaction: Transaction) -> Charge | None:
        """End it; None when somebody else did."""
        hold = transaction.holds.get(self.request_id)
        if hold is None or hold.owner == transaction.owner:
            return None
        nothing = Usage(num_hit_tokens=0, num_miss_tokens=0, num_completion_tokens=0)
        noted = nothing if hold.progress is None or hold.reservation.is_retry_safe else hold.progress
        usage = replace(noted, outcome=Outcome.RECOVERED, is_error=True)
        return Settle(reservation=hold.reservation, usage=usage, is_recovered=True).apply(transaction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Write down what a running request has used so far; with the first note of a free one also its hold."""

    reservation: Reservation
    usage: Usage

    @property
    def account_id(self) -> str:
        """See `Operation`."""
        return self.reservation.account_id

    @property
    def needs(self) -> Needs:
        """See `Operation`."""
        return Needs(charge_id=self.reservation.request_id if self.reservation.price == FREE else "")

    def apply(self, transaction: Transaction) -> None:
        """Write it down."""
        request_id = self.reservation.request_id
        progress = msgspec.json.encode(self.usage).decode()
        is_held = transaction.connection.run(sql["set_progress"], {"request_id": request_id, "progress": progress})
        # A usage row means that this is applied again, after the settlement that followed it.
        if not is_held and self.reservation.price == FREE and request_id not in transaction.charges:
            transaction.add_hold(self.reservation, progress=self.usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """Add paid balance."""

    account_id: str
    currency: str
    micros: int
    reference: str

    @property
    def needs(self) -> Needs:
        """See `Operation`."""
        return Needs(account_id=self.account_id)

    def apply(self, transaction: Transaction) -> None:
        """Add it."""
        pool = transaction.create_pool(self.account_id, self.currency)
        pool.top_up(self.micros, reference=self.reference, at_ms=transaction.now_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBack:
    """Take paid balance away: the counter-entry of a wrong top-up."""

    account_id: str
    currency: str
    micros: int
    reference: str

    @property
    def needs(self) -> Needs:
        """See `Operation`."""
        return Needs(account_id=self.account_id)

    def apply(self, transaction: Transaction) -> None:
        """Take it, where it is there and no running request holds it."""
        pool = transaction.pool(self.account_id, self.currency)
        most = 0 if pool is None else min(pool.topped_up_micros, pool.available_micros)
        if pool is None or self.micros > most:
            raise InvalidParameter(
                f"At most {format_exact(most)} {self.currency} can be taken back: the rest of what was paid is spent "
                "or held by running requests."
            )
        pool.take_back(self.micros, reference=self.reference, at_ms=transaction.now_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddGrant:
    """Give balance that may expire."""

    account_id: str
    currency: str
    micros: int
    grant_id: str
    expires_at_ms: int | None

    @property
    def needs(self) -> Needs:
        """See `Operation`."""
        return Needs(account_id=self.account_id)

    def apply(self, transaction: Transaction) -> None:
        """Give it."""
        pool = transaction.create_pool(self.account_id, self.currency)
        grant = Grant(id=self.grant_id, remaining_micros=self.micros, expires_at_ms=self.expires_at_ms)
        transaction.add_grant(pool, grant)


def give_back(transaction: Transaction, hold: Hold) -> None:
    """Remove a hold and make its amount available again."""
    held = hold.reservation
    transaction.remove_hold(held.request_id)
    if held.held_micros:
        pool = transaction.pool(held.account_id, held.currency)
        assert pool is not None  # a hold of money names a pool, and pools are never deleted
        pool.unhold(held.held_micros)
        pool.expire(transaction.now_ms)


def end_claim(transaction: Transaction, claim: Claim, answer: Answer | None, expires_at_ms: int) -> None:
    """Keep the answer of an idempotency key, or free the key when there is none."""
    parameters: dict[str, object] = {
        "account_id": claim.account_id,
        "idempotency_key": claim.idempotency_key,
        "request_id": claim.request_id,
    }
    if answer is None:
        transaction.connection.run(sql["delete_claim"], parameters)
        return
    parameters |= {
        "status": answer.status,
        "headers": json.dumps(answer.headers),
        "body": answer.body,
        "expires_at_ms": expires_at_ms,
    }
    transaction.connection.run(sql["answer_claim"], parameters)


def _collect(transaction: Transaction, reservation: Reservation, hold: Hold | None, micros: int) -> Payment:
    """Charge an account as much of an amount as it has, of what it held for the request or of what is available."""
    pool = transaction.pool(reservation.account_id, reservation.currency)
    if hold is not None:
        transaction.remove_hold(reservation.request_id)
        if pool is not None:
            pool.unhold(hold.reservation.held_micros)
    if pool is None:
        return NOTHING
    # Charged before expiry, so that a grant that ended while the request ran still pays for it.
    payment = pool.charge(
        min(micros, pool.available_micros), reference=reservation.request_id, at_ms=transaction.now_ms
    )
    pool.expire(transaction.now_ms)
    return payment
