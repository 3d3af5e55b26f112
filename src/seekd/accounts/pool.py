"""One account's money in one currency: the arithmetic of the books, without I/O.

A pool has grants, each with an expiry, and a topped-up balance. Running requests hold a part of their sum; a hold
names no grant, so that every charge can still follow the one order: grants that expire first, then later ones, then
grants without expiry, then topped-up balance.

    grants   |##### expires first #####|### expires later ###|
    topped up                                                 |############|
    held     |=============|          (an amount, not a place)
    charge   |>>>>>|                  (always from the left)

Invariants: every amount is at least 0; held <= granted + topped up. An expiry takes what is not needed to cover the
holds; the rest of an expired grant goes when the holds shrink, so that a request that was admitted can always pay.

Each movement is a `Transfer` from one book to another, a row of the ledger.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

PAYMENTS = "payments"  # where top-ups come from
GIFTS = "gifts"  # where grants come from
REVENUE = "revenue"  # where charges go
EXPIRED = "expired"  # where the rest of a grant goes
TOPPED_UP = "topped_up"
GRANT_PREFIX = "grant:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One movement: `micros` leave the book `source` and enter the book `target`.

    Attributes:
        seq: its number among those of the account and currency, from 1.
        kind: "top_up", "take_back", "grant", "charge" or "expiry".
        reference: the request, grant or payment that caused it.
        digest: see `ledger_digest`.
    """

    seq: int
    kind: str
    source: str
    target: str
    micros: int
    reference: str
    at_ms: int
    digest: bytes


@dataclass(slots=True, kw_only=True)
class Grant:
    """What is left of one grant."""

    id: str
    remaining_micros: int
    expires_at_ms: int | None

    @property
    def book(self) -> str:
        """Its name in the ledger."""
        return GRANT_PREFIX + self.id

    def is_expired(self, now_ms: int) -> bool:
        """Whether its time is over."""
        return self.expires_at_ms is not None and self.expires_at_ms <= now_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What one charge took, and from where."""

    granted_micros: int
    topped_up_micros: int

    @property
    def total_micros(self) -> int:
        """Both parts."""
        return self.granted_micros + self.topped_up_micros


NOTHING = Payment(granted_micros=0, topped_up_micros=0)


@dataclass(slots=True, kw_only=True)
class Pool:
    """One account's money in one currency. Mutable; used inside one transaction.

    Attributes:
        transfers: movements since the pool was read, in order; the transaction stores them.
        spent_grants: grants that changed since then.
        is_changed: whether anything changed.
    """

    account_id: str
    currency: str
    topped_up_micros: int = 0
    held_micros: int = 0
    grants: list[Grant] = field(default_factory=list)
    last_seq: int = 0
    last_digest: bytes = b""
    transfers: list[Transfer] = field(default_factory=list)
    spent_grants: dict[str, Grant] = field(default_factory=dict)
    is_changed: bool = False

    @property
    def granted_micros(self) -> int:
        """What is left of all grants."""
        return sum(grant.remaining_micros for grant in self.grants)

    @property
    def total_micros(self) -> int:
        """Granted and topped-up balance, held or not."""
        return self.granted_micros + self.topped_up_micros

    @property
    def available_micros(self) -> int:
        """What a new request may hold."""
        return self.granted_micros + self.topped_up_micros - self.held_micros

    def top_up(self, micros: int, *, reference: str, at_ms: int) -> None:
        """Add paid balance."""
        self._check_amount(micros)
        self.topped_up_micros += micros
        self._move("top_up", PAYMENTS, TOPPED_UP, micros, reference, at_ms)

    def take_back(self, micros: int, *, reference: str, at_ms: int) -> None:
        """Take paid balance away by the opposite movement: a top-up was wrong, or is paid out."""
        assert 0 < micros <= min(self.topped_up_micros, self.available_micros)
        self.topped_up_micros -= micros
        self._move("take_back", TOPPED_UP, PAYMENTS, micros, reference, at_ms)

    def add_grant(self, grant: Grant, *, at_ms: int) -> None:
        """Add given balance."""
        self._check_amount(grant.remaining_micros)
        self.grants.append(grant)
        self.grants.sort(key=_spending_order)
        self._move("grant", GIFTS, grant.book, grant.remaining_micros, grant.id, at_ms)

    def expire(self, now_ms: int) -> None:
        """Take what is left of expired grants, except what running requests hold."""
        for grant in self.grants:
            if grant.is_expired(now_ms) and grant.remaining_micros:
                micros = min(grant.remaining_micros, self.available_micros)
                if micros:
                    grant.remaining_micros -= micros
                    self.spent_grants[grant.id] = grant
                    self._move("expiry", grant.book, EXPIRED, micros, grant.id, now_ms)

    def hold(self, micros: int) -> None:
        """Set an available amount aside for a running request."""
        assert 0 <= micros <= self.available_micros
        self.held_micros += micros
        self.is_changed = True

    def unhold(self, micros: int) -> None:
        """Give a held amount back."""
        assert 0 <= micros <= self.held_micros
        self.held_micros -= micros
        self.is_changed = True

    def charge(self, micros: int, *, reference: str, at_ms: int) -> Payment:
        """Take an available amount, grants first."""
        assert 0 <= micros <= self.available_micros
        granted = 0
        for grant in self.grants:
            part = min(grant.remaining_micros, micros - granted)
            if part:
                grant.remaining_micros -= part
                granted += part
                self.spent_grants[grant.id] = grant
                self._move("charge", grant.book, REVENUE, part, reference, at_ms)
        topped_up = micros - granted
        if topped_up:
            self.topped_up_micros -= topped_up
            self._move("charge", TOPPED_UP, REVENUE, topped_up, reference, at_ms)
        return Payment(granted_micros=granted, topped_up_micros=topped_up)

    def _check_amount(self, micros: int) -> None:
        if micros <= 0 or self.total_micros + micros >= 2**62:
            raise ValueError("the amount must be more than 0 and small enough to count")

    def _move(self, kind: str, source: str, target: str, micros: int, reference: str, at_ms: int) -> None:
        self.is_changed = True
        self.last_seq += 1
        row = (self.last_seq, kind, source, target, micros, reference, at_ms)
        self.last_digest = ledger_digest(self.last_digest, row)
        self.transfers.append(
            Transfer(
                seq=self.last_seq,
                kind=kind,
                source=source,
                target=target,
                micros=micros,
                reference=reference,
                at_ms=at_ms,
                digest=self.last_digest,
            )
        )


def ledger_digest(previous: bytes, row: Sequence[object]) -> bytes:
    """SHA-256 over a ledger row and the digest of the row before it, which makes a change of any row visible.

    Args:
        previous: digest of the row before; empty for the first.
        row: number, kind, source, target, amount, reference and instant.
    """
    return hashlib.sha256(previous + json.dumps(row, separators=(",", ":")).encode()).digest()


def sorted_grants(grants: Iterable[Grant]) -> list[Grant]:
    """Grants in the order in which they are spent."""
    return sorted(grants, key=_spending_order)


def _spending_order(grant: Grant) -> tuple[float, str]:
    return (float("inf") if grant.expires_at_ms is None else grant.expires_at_ms, grant.id)
