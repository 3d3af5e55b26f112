"""What can happen to the books of an account, each as an operation of a transaction.

    reserve ──> hold ──settle──> charge + usage row        a free request has no hold before its first note
                  │──release───> nothing
                  └──recover───> what the hold last noted, or nothing

Every operation may be applied twice, as happens when a commit's answer was lost: a request's hold and its usage row
are both named by the request, so the second time finds the work of the first.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from seekd.accounts.pool import Grant, Payment, Pool
from seekd.accounts.statements import sql
from seekd.accounts.types import Answer, Charge, Claim, Price, Reservation, Usage, format_exact
from seekd.accounts.unit import Hold, Needs, PastUsage, Unit
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

    def declare(self, needs: Needs) -> None:
        """See `Operation`."""
        needs.request_ids.add(self.request_id)
        if self.key_id is not None:
            needs.key_ids.add(self.key_id)
        needs.account_ids.add(self.account_id)

    def apply(self, unit: Unit) -> Reservation | Blocked:
        """Hold it.

        Raises:
            InsufficientBalance: the account could not pay even if nothing else ran.
            Unauthenticated: the key was revoked or has expired.
            StoreError: nobody waits for the reservation any more.
        """
        hold = unit.holds.get(self.request_id)
        if hold is not None and hold.owner == unit.owner:
            return hold.reservation
        if self.is_abandoned:
            raise StoreError
        if self.key_id is not None and self.key_id not in unit.working_keys:
            raise Unauthenticated
        could_fit_later = False
        for currency, price in self.prices:
            pool = unit.pool(self.account_id, currency)
            if pool is None:
                continue
            micros = price.worst_case_micros(
                num_prompt_tokens=self.num_prompt_tokens, max_completion_tokens=self.max_completion_tokens
            )
            if micros <= pool.available_micros:
                pool.hold(micros)
                return self._hold(unit, currency, price, micros)
            could_fit_later = could_fit_later or micros <= pool.total_micros
        if could_fit_later:
            return Blocked()
        raise InsufficientBalance

    def _hold(self, unit: Unit, currency: str, price: Price, micros: int) -> Reservation:
        reservation = Reservation(
            request_id=self.request_id,
            account_id=self.account_id,
            key_id=self.key_id,
            model=self.model,
            currency=currency,
            held_micros=micros,
            price=price,
            is_retry_safe=self.is_retry_safe,
            reserved_at_ms=unit.now_ms,
        )
        unit.add_hold(reservation)
        return reservation


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Charge what a request truly used and give back the rest of its hold.

    Attributes:
        claim: idempotency claim that the request answered; None without one.
        answer: the answer to keep under it; None frees the key.
        answer_expires_at_ms: until when the answer is kept.
    """

    reservation: Reservation
    usage: Usage
    claim: Claim | None = None
    answer: Answer | None = None
    answer_expires_at_ms: int = 0

    @property
    def account_id(self) -> str:
        """See `Operation`."""
        return self.reservation.account_id

    def declare(self, needs: Needs) -> None:
        """See `Operation`."""
        needs.request_ids.add(self.reservation.request_id)
        needs.settled_ids.add(self.reservation.request_id)
        if not self.reservation.is_free:
            needs.account_ids.add(self.account_id)

    def apply(self, unit: Unit) -> Charge:
        """Charge it, once."""
        request_id = self.reservation.request_id
        hold = unit.holds.get(request_id)
        past = unit.past_usage.get(request_id)
        if hold is None and past is not None and not past.is_recovered:
            return _charge(request_id, past)
        self._end_claim(unit)
        return settle(unit, self.reservation, self.usage, hold=hold, past=past)

    def _end_claim(self, unit: Unit) -> None:
        if self.claim is not None:
            end_claim(unit, self.claim, self.answer, self.answer_expires_at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Give back the hold of a request that used nothing."""

    reservation: Reservation

    @property
    def account_id(self) -> str:
        """See `Operation`."""
        return self.reservation.account_id

    def declare(self, needs: Needs) -> None:
        """See `Operation`."""
        needs.request_ids.add(self.reservation.request_id)
        if self.reservation.held_micros:
            needs.account_ids.add(self.account_id)

    def apply(self, unit: Unit) -> None:
        """Give it back, once."""
        hold = unit.holds.get(self.reservation.request_id)
        if hold is not None:
            give_back(unit, hold)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseUnknown:
    """Give back the hold of a reservation whose outcome nobody waited for, if it was made."""

    account_id: str
    request_id: str

    def declare(self, needs: Needs) -> None:
        """See `Operation`."""
        needs.request_ids.add(self.request_id)
        needs.account_ids.add(self.account_id)

    def apply(self, unit: Unit) -> None:
        """Give it back, if it is there."""
        hold = unit.holds.get(self.request_id)
        if hold is not None and hold.owner == unit.owner:
            give_back(unit, hold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recover:
    """End a request whose server died.

    The rule: it is charged for the usage that its hold last noted, and for nothing when it noted none or carries an
    idempotency key (its retry will be charged). An answer that was completed is not concerned: it was settled before
    its last byte was sent.
    """

    account_id: str
    request_id: str

    def declare(self, needs: Needs) -> None:
        """See `Operation`."""
        needs.request_ids.add(self.request_id)
        needs.account_ids.add(self.account_id)

    def apply(self, unit: Unit) -> Charge | None:
        """End it; None when somebody else did."""
        hold = unit.holds.get(self.request_id)
        if hold is None or hold.owner == unit.owner:
            return None
        nothing = Usage(num_hit_tokens=0, num_miss_tokens=0, num_completion_tokens=0)
        noted = nothing if hold.progress is None or hold.reservation.is_retry_safe else hold.progress
        usage = Usage(**{**asdict(noted), "outcome": "recovered", "is_error": True})
        return settle(unit, hold.reservation, usage, hold=hold, past=None, is_recovered=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Write down what a running request has used so far; with the first note of a free one also its hold."""

    reservation: Reservation
    usage: Usage

    @property
    def account_id(self) -> str:
        """See `Operation`."""
        return self.reservation.account_id

    def declare(self, needs: Needs) -> None:
        """See `Operation`."""
        if self.reservation.is_free:
            needs.settled_ids.add(self.reservation.request_id)

    def apply(self, unit: Unit) -> None:
        """Write it down."""
        request_id = self.reservation.request_id
        progress = json.dumps(asdict(self.usage))
        is_held = unit.connection.run(sql["set_progress"], {"request_id": request_id, "progress": progress})
        # A usage row means that this is applied again, after the settlement that followed it.
        if not is_held and self.reservation.is_free and request_id not in unit.past_usage:
            unit.add_hold(self.reservation, progress=self.usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """Add paid balance."""

    account_id: str
    currency: str
    micros: int
    reference: str

    def declare(self, needs: Needs) -> None:
        """See `Operation`."""
        needs.account_ids.add(self.account_id)

    def apply(self, unit: Unit) -> None:
        """Add it."""
        pool = unit.create_pool(self.account_id, self.currency)
        pool.top_up(self.micros, reference=self.reference, at_ms=unit.now_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBack:
    """Take paid balance away: the counter-entry of a wrong top-up."""

    account_id: str
    currency: str
    micros: int
    reference: str

    def declare(self, needs: Needs) -> None:
        """See `Operation`."""
        needs.account_ids.add(self.account_id)

    def apply(self, unit: Unit) -> None:
        """Take it, where it is there and no running request holds it."""
        pool = unit.pool(self.account_id, self.currency)
        most = 0 if pool is None else min(pool.topped_up_micros, pool.available_micros)
        if pool is None or self.micros > most:
            raise InvalidParameter(
                f"At most {format_exact(most)} {self.currency} can be taken back: the rest of what was paid is spent "
                "or held by running requests."
            )
        pool.take_back(self.micros, reference=self.reference, at_ms=unit.now_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddGrant:
    """Give balance that may expire."""

    account_id: str
    currency: str
    micros: int
    grant_id: str
    expires_at_ms: int | None

    def declare(self, needs: Needs) -> None:
        """See `Operation`."""
        needs.account_ids.add(self.account_id)

    def apply(self, unit: Unit) -> None:
        """Give it."""
        pool = unit.create_pool(self.account_id, self.currency)
        grant = Grant(id=self.grant_id, remaining_micros=self.micros, expires_at_ms=self.expires_at_ms)
        unit.add_grant(pool, grant)


def settle(
    unit: Unit,
    reservation: Reservation,
    usage: Usage,
    *,
    hold: Hold | None,
    past: PastUsage | None,
    is_recovered: bool = False,
) -> Charge:
    """Charge a request's usage beyond what a recovery has charged already, and write its usage row.

    Without a hold (a recovery took it, since this gateway was silent for too long) the account pays from what is
    available; what it cannot pay is reported as uncollected and never makes a balance negative.
    """
    cost = reservation.price.cost_micros(
        num_hit_tokens=usage.num_hit_tokens,
        num_miss_tokens=usage.num_miss_tokens,
        num_completion_tokens=usage.num_completion_tokens,
    )
    paid = Payment(
        granted_micros=past.granted_micros if past else 0, topped_up_micros=past.topped_up_micros if past else 0
    )
    now = _collect(unit, reservation, hold, max(0, cost - paid.total_micros))
    total = PastUsage(
        currency=reservation.currency,
        cost_micros=paid.total_micros + now.total_micros,
        granted_micros=paid.granted_micros + now.granted_micros,
        topped_up_micros=paid.topped_up_micros + now.topped_up_micros,
        uncollected_micros=max(0, cost - paid.total_micros - now.total_micros),
        is_recovered=is_recovered,
    )
    if past is not None:
        unit.connection.run(sql["delete_recovered_usage"], {"request_id": reservation.request_id})
    unit.add_usage(reservation.request_id, _usage_row(unit, reservation, usage, total), total)
    return _charge(reservation.request_id, total)


def give_back(unit: Unit, hold: Hold) -> None:
    """Remove a hold and make its amount available again."""
    held = hold.reservation
    unit.remove_hold(held.request_id)
    if held.held_micros:
        pool = _pool(unit, held)
        pool.unhold(held.held_micros)
        pool.expire(unit.now_ms)


def end_claim(unit: Unit, claim: Claim, answer: Answer | None, expires_at_ms: int) -> None:
    """Keep the answer of an idempotency key, or free the key when there is none."""
    parameters: dict[str, object] = {
        "account_id": claim.account_id,
        "idempotency_key": claim.idempotency_key,
        "request_id": claim.request_id,
    }
    if answer is None:
        unit.connection.run(sql["delete_claim"], parameters)
        return
    parameters |= {
        "status": answer.status,
        "headers": json.dumps(answer.headers),
        "body": answer.body,
        "expires_at_ms": expires_at_ms,
    }
    unit.connection.run(sql["answer_claim"], parameters)


def _collect(unit: Unit, reservation: Reservation, hold: Hold | None, micros: int) -> Payment:
    pool = unit.pool(reservation.account_id, reservation.currency)
    if hold is not None:
        unit.remove_hold(reservation.request_id)
        if pool is not None:
            pool.unhold(hold.reservation.held_micros)
    if pool is None:
        return Payment(granted_micros=0, topped_up_micros=0)
    # Charged before expiry, so that a grant that ended while the request ran still pays for it.
    payment = pool.charge(min(micros, pool.available_micros), reference=reservation.request_id, at_ms=unit.now_ms)
    pool.expire(unit.now_ms)
    return payment


def _pool(unit: Unit, reservation: Reservation) -> Pool:
    pool = unit.pool(reservation.account_id, reservation.currency)
    assert pool is not None  # a hold of money names a pool, and pools are never deleted
    return pool


def _charge(request_id: str, past: PastUsage) -> Charge:
    return Charge(
        request_id=request_id,
        currency=past.currency,
        cost_micros=past.cost_micros,
        granted_micros=past.granted_micros,
        topped_up_micros=past.topped_up_micros,
        uncollected_micros=past.uncollected_micros,
    )


def _usage_row(unit: Unit, reservation: Reservation, usage: Usage, total: PastUsage) -> dict[str, object]:
    return {
        "request_id": reservation.request_id,
        "account_id": reservation.account_id,
        "key_id": reservation.key_id,
        "model": reservation.model,
        "at_ms": unit.now_ms,
        "outcome": usage.outcome,
        "is_error": int(usage.is_error),
        "is_recovered": int(total.is_recovered),
        "num_hit_tokens": usage.num_hit_tokens,
        "num_miss_tokens": usage.num_miss_tokens,
        "num_completion_tokens": usage.num_completion_tokens,
        "num_reasoning_tokens": usage.num_reasoning_tokens,
        "currency": total.currency,
        "cost_micros": total.cost_micros,
        "granted_micros": total.granted_micros,
        "topped_up_micros": total.topped_up_micros,
        "uncollected_micros": total.uncollected_micros,
        "first_token_ms": usage.first_token_ms,
        "latency_ms": usage.latency_ms,
    }
