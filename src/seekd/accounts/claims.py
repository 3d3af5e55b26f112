"""Idempotency keys: which request answers, what the others get.

    (none) ──claim──> running ──settled with an answer──> answered ──lifetime over──> (none)
       ^                 │
       └──abandoned, or its server died

| a request with the key comes while it is | same body | another body |
|---|---|---|
| free | it gets the claim and runs | – |
| running | it is a twin, which waits for the outcome | `IdempotencyConflict` |
| answered | it gets the same answer | `IdempotencyConflict` |
| answered, but the answer was too large to keep | `IdempotencyConflict` | `IdempotencyConflict` |
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from seekd.accounts.driver import Connection, Row
from seekd.accounts.operations import end_claim
from seekd.accounts.statements import sql
from seekd.accounts.transaction import Needs, Transaction
from seekd.accounts.types import Answer, Claim, Twin
from seekd.errors import IdempotencyConflict, InvalidParameter

MAX_KEY_CHARACTERS = 255
NOT_KEPT = Answer(status=0, headers=(), body=b"")  # stands for an answer that was too large


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeClaim:
    """Ask for the right to answer an idempotency key."""

    twin: Twin
    request_id: str
    lifetime_ms: int

    @property
    def account_id(self) -> str:
        """See `Operation`."""
        return self.twin.account_id

    @property
    def needs(self) -> Needs:
        """See `Operation`."""
        return Needs()

    def apply(self, transaction: Transaction) -> Claim | Answer | Twin:
        """Take it, or say who has it.

        Raises:
            IdempotencyConflict: the key was used with another body, or its answer is not kept.
        """
        rows = transaction.connection.rows(sql["lock_claim"], _name(self.twin))
        if rows and _is_over(rows[0], transaction.now_ms):
            transaction.connection.run(sql["delete_claim"], {**_name(self.twin), "request_id": rows[0][1]})
            rows = []
        if not rows:
            return self._take(transaction)
        _, request_id, owner, *_ = rows[0]
        outcome = _outcome(rows[0], self.twin)
        is_own = request_id == self.request_id and owner == transaction.owner  # this operation, applied twice
        return self._claim() if is_own and outcome is self.twin else outcome

    def _take(self, transaction: Transaction) -> Claim | Twin:
        inserted = transaction.connection.run(
            sql["insert_claim"],
            {
                **_name(self.twin),
                "body_hash": self.twin.body_hash,
                "request_id": self.request_id,
                "owner": transaction.owner,
                "now_ms": transaction.now_ms,
                "expires_at_ms": transaction.now_ms + self.lifetime_ms,
            },
        )
        return self._claim() if inserted else self.twin  # another gateway was faster

    def _claim(self) -> Claim:
        return Claim(**_name(self.twin), request_id=self.request_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndClaim:
    """Keep the answer of a claim that cost nothing, or free the key."""

    claim: Claim
    answer: Answer | None = None
    answer_expires_at_ms: int = 0

    @property
    def account_id(self) -> str:
        """See `Operation`."""
        return self.claim.account_id

    @property
    def needs(self) -> Needs:
        """See `Operation`."""
        return Needs()

    def apply(self, transaction: Transaction) -> None:
        """End it."""
        end_claim(transaction, self.claim, self.answer, self.answer_expires_at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetClaims:
    """Drop the answers whose lifetime is over."""

    account_id: str = ""

    @property
    def needs(self) -> Needs:
        """See `Operation`."""
        return Needs()

    def apply(self, transaction: Transaction) -> None:
        """Drop them."""
        transaction.connection.run(sql["forget_claims"], {"now_ms": transaction.now_ms})


def read_claim(connection: Connection, twin: Twin, *, now_ms: int) -> Answer | Twin | None:
    """What a repeat gets: the answer, the twin itself while it is being made, or None when the key is free. Only reads.

    Raises:
        IdempotencyConflict: the key was used with another body, or its answer is not kept.
    """
    rows = connection.rows(sql["read_claim"], _name(twin))
    return None if not rows or _is_over(rows[0], now_ms) else _outcome(rows[0], twin)


def hash_body(body: bytes) -> bytes:
    """What is compared between requests of the same key."""
    return hashlib.sha256(body).digest()


def check_key(idempotency_key: str) -> None:
    """Refuse a key that cannot be stored. Raises `InvalidParameter`."""
    if not 0 < len(idempotency_key) <= MAX_KEY_CHARACTERS or "\0" in idempotency_key:
        raise InvalidParameter(f"Idempotency-Key must have 1 to {MAX_KEY_CHARACTERS} characters")


def _name(twin: Twin) -> dict[str, str]:
    return {"account_id": twin.account_id, "idempotency_key": twin.idempotency_key}


def _is_over(row: Row, now_ms: int) -> bool:
    is_answered = row[4] is not None
    return is_answered and bool(row[3] <= now_ms)


def _outcome(row: Row, twin: Twin) -> Answer | Twin:
    body_hash, _, _, _, status, headers, body = row
    if bytes(body_hash) != twin.body_hash:
        raise IdempotencyConflict
    if status is None:
        return twin
    if status == NOT_KEPT.status:
        raise IdempotencyConflict("The answer to this idempotency key was too large to be kept")
    return Answer(status=status, headers=tuple((name, value) for name, value in json.loads(headers)), body=bytes(body))
