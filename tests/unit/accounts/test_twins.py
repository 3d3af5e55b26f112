"""Books, idempotency keys and limits against naive twins: whatever is done in whatever order, they agree.

The twins are a few dictionaries that know the rules and nothing of databases, threads or files.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from seekd.accounts.books import Books, open_books
from seekd.accounts.limiter import Admission, Limiter
from seekd.accounts.registry import Registry
from seekd.accounts.settings import books_path
from seekd.accounts.sqlite import SqliteConnection
from seekd.accounts.statements import statement
from seekd.accounts.types import Answer, Caller, Claim, Limits, Reservation, Twin, Usage
from seekd.accounts.verify import verify_ledger
from seekd.errors import IdempotencyConflict, InsufficientBalance, RateLimited
from tests.unit.accounts.conftest import settings

TOKENS = st.integers(0, 40)
KEYS = st.sampled_from(["k1", "k2"])
BODIES = st.sampled_from([b"one", b"two"])


@dataclass(slots=True)
class NaiveBooks:
    """What the account has, what is held of it, and which keys are taken or answered."""

    total: int = 0
    charged: int = 0
    held: dict[str, int] = field(default_factory=dict)
    running: dict[str, tuple[bytes, Claim]] = field(default_factory=dict)
    answered: dict[str, tuple[bytes, Answer]] = field(default_factory=dict)

    @property
    def free(self) -> int:
        return self.total - sum(self.held.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A reservation that runs, with the most that it may use."""

    reservation: Reservation
    num_prompt_tokens: int
    max_completion_tokens: int


class BooksMachine(RuleBasedStateMachine):
    """Real books on SQLite beside a twin."""

    held: Bundle[Held] = Bundle("held")
    claims: Bundle[tuple[str, Claim]] = Bundle("claims")

    @initialize()
    def start(self) -> None:
        self.resources = contextlib.ExitStack()
        folder = Path(self.resources.enter_context(tempfile.TemporaryDirectory()))
        self.runner = self.resources.enter_context(asyncio.Runner())
        self.folder = folder
        self.books = self._open()
        self.connection = SqliteConnection(books_path(folder), synchronous="normal", busy_timeout_s=2)
        self.resources.callback(self.connection.close)
        self.registry = Registry(self.connection)
        account = self.registry.create_account("a")
        secret = self.registry.create_key(account.id).secret
        self.caller: Caller = self.runner.run(self.books.authenticate(secret))
        self.twin = NaiveBooks()
        self.num_requests = 0

    def _open(self) -> Books:
        books = open_books(settings(hold_wait_s=0.0), self.folder, allows_open=True)
        self.runner.run(books.start())
        return books

    def _next_id(self) -> str:
        self.num_requests += 1
        return f"r{self.num_requests}"

    @rule(micros=st.integers(1, 100))
    def top_up(self, micros: int) -> None:
        self.registry.top_up(self.caller.account_id, currency="USD", micros=micros)
        self.twin.total += micros

    @rule(target=held, num_prompt_tokens=st.integers(1, 40), max_completion_tokens=st.integers(1, 40))
    def reserve(self, num_prompt_tokens: int, max_completion_tokens: int):  # type: ignore[no-untyped-def]
        request_id = self._next_id()
        worst = num_prompt_tokens + max_completion_tokens
        asking = self.books.reserve(
            self.caller,
            request_id=request_id,
            model="priced",
            num_prompt_tokens=num_prompt_tokens,
            max_completion_tokens=max_completion_tokens,
        )
        if worst > self.twin.free:
            with pytest.raises(InsufficientBalance):
                self.runner.run(asking)
            return multiple()
        reservation = self.runner.run(asking)
        self.twin.held[request_id] = worst
        return Held(
            reservation=reservation,
            num_prompt_tokens=num_prompt_tokens,
            max_completion_tokens=max_completion_tokens,
        )

    @rule(one=consumes(held), hit_share=st.floats(0, 1), num_completion_tokens=TOKENS)
    def settle(self, one: Held, hit_share: float, num_completion_tokens: int) -> None:
        if one.reservation.request_id not in self.twin.held:  # ended by a restart
            return
        num_hit_tokens = int(one.num_prompt_tokens * hit_share)
        usage = Usage(
            num_hit_tokens=num_hit_tokens,
            num_miss_tokens=one.num_prompt_tokens - num_hit_tokens,
            num_completion_tokens=min(num_completion_tokens, one.max_completion_tokens),
        )
        cost = one.num_prompt_tokens + usage.num_completion_tokens
        assert self.runner.run(self.books.settle(one.reservation, usage)).cost_micros == cost
        self._charged(one.reservation.request_id, cost)
        assert self.runner.run(self.books.settle(one.reservation, usage)).cost_micros == cost  # a second time is none

    def _charged(self, request_id: str, cost: int) -> None:
        del self.twin.held[request_id]
        self.twin.total -= cost
        self.twin.charged += cost

    @rule(one=consumes(held))
    def release(self, one: Held) -> None:
        if self.twin.held.pop(one.reservation.request_id, None) is not None:
            self.runner.run(self.books.release(one.reservation))

    @rule(target=claims, key=KEYS, body=BODIES)
    def take_a_key(self, key: str, body: bytes):  # type: ignore[no-untyped-def]
        asking = self.books.claims.take(self.caller, idempotency_key=key, body=body, request_id=self._next_id())
        known = self.twin.running.get(key) or self.twin.answered.get(key)
        if known is not None and known[0] != body:
            with pytest.raises(IdempotencyConflict):
                self.runner.run(asking)
            return multiple()
        taken = self.runner.run(asking)
        if key in self.twin.answered:
            assert taken == self.twin.answered[key][1]
            return multiple()
        if key in self.twin.running:
            assert isinstance(taken, Twin)
            return multiple()
        assert isinstance(taken, Claim)
        self.twin.running[key] = (body, taken)
        return (key, taken)

    @rule(one=consumes(claims), is_kept=st.booleans())
    def answer_a_key(self, one: tuple[str, Claim], is_kept: bool) -> None:
        key, claim = one
        if self.twin.running.get(key, (b"", None))[1] is not claim or self.twin.free < 2:
            return
        body = self.twin.running.pop(key)[0]
        answer = Answer(status=200, headers=(), body=f"answer to {claim.request_id}".encode()) if is_kept else None
        reserving = self.books.reserve(
            self.caller,
            request_id=claim.request_id,
            model="priced",
            num_prompt_tokens=1,
            max_completion_tokens=1,
            is_retry_safe=True,
        )
        reservation = self.runner.run(reserving)
        usage = Usage(num_hit_tokens=0, num_miss_tokens=1, num_completion_tokens=1)
        self.twin.held[claim.request_id] = 2
        self.runner.run(self.books.settle(reservation, usage, claim=claim, answer=answer))
        self._charged(claim.request_id, 2)
        if answer is not None:
            self.twin.answered[key] = (body, answer)

    @rule(one=consumes(claims))
    def abandon_a_key(self, one: tuple[str, Claim]) -> None:
        key, claim = one
        if self.twin.running.get(key, (b"", None))[1] is claim:
            self.runner.run(self.books.claims.abandon(claim))
            del self.twin.running[key]

    @rule()
    def restart(self) -> None:
        self.runner.run(self.books.close())
        self.books = self._open()
        self.twin.held.clear()  # nothing was noted of them, so nothing is charged
        self.twin.running.clear()

    @invariant()
    def balances_agree(self) -> None:
        if not hasattr(self, "books"):
            return
        [entry] = self.runner.run(self.books.balance(self.caller.account_id)).currencies
        assert (entry.total_micros, entry.held_micros) == (self.twin.total, sum(self.twin.held.values()))

    def teardown(self) -> None:
        if not hasattr(self, "books"):
            return
        self.runner.run(self.books.close())
        rows = self.connection.rows(statement("SELECT request_id, cost_micros FROM usage"))
        assert len({row[0] for row in rows}) == len(rows)
        assert sum(int(str(row[1])) for row in rows) == self.twin.charged
        assert verify_ledger(self.connection).problems == ()
        self.resources.close()


TestBooks = BooksMachine.TestCase
TestBooks.settings = hypothesis_settings(max_examples=15, stateful_step_count=25)

LIMITS = Limits(max_concurrency=3, requests_per_minute=12, tokens_per_minute=60)


class LimiterMachine(RuleBasedStateMachine):
    """A limiter beside a twin, within one minute: what a window has counted stays counted."""

    admissions: Bundle[tuple[str, Admission]] = Bundle("admissions")

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.limiter = Limiter(settings(), total_micros=self._no_money)
        self.running: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self.num_requests = 0

    async def _no_money(self, _account_id: str) -> int:
        return 0

    @rule(target=admissions, account=st.sampled_from("ab"), num_prompt_tokens=st.integers(1, 70))
    def admit(self, account: str, num_prompt_tokens: int):  # type: ignore[no-untyped-def]
        self.num_requests += 1
        caller = Caller(account_id=account, key_id=None, key_prefix="", name="", account_limits=LIMITS)
        asking = self.limiter.admit(
            caller, model="m", request_id=f"r{self.num_requests}", num_prompt_tokens=num_prompt_tokens
        )
        is_refused = (
            self.running[account] >= 3 or self.requests[account] >= 12 or self.tokens[account] + num_prompt_tokens > 60
        )
        if is_refused:
            with pytest.raises(RateLimited) as raised:
                self.runner.run(asking)
            assert raised.value.can_pass_later == (num_prompt_tokens <= 60)
            return multiple()
        admission = self.runner.run(asking)
        self.running[account] += 1
        self.requests[account] += 1
        self.tokens[account] += num_prompt_tokens
        headers = dict(admission.headers)
        assert headers["x-ratelimit-remaining-requests"] == str(12 - self.requests[account])
        assert headers["x-ratelimit-remaining-tokens"] == str(60 - self.tokens[account])
        return (account, admission)

    @rule(one=consumes(admissions), num_completion_tokens=st.integers(0, 30))
    def finish(self, one: tuple[str, Admission], num_completion_tokens: int) -> None:
        account, admission = one
        self.runner.run(self.limiter.finish(admission, num_completion_tokens=num_completion_tokens))
        self.running[account] -= 1
        self.tokens[account] += num_completion_tokens

    def teardown(self) -> None:
        if hasattr(self, "limiter"):
            self.runner.run(self.limiter.close())
            self.runner.close()


TestLimiter = LimiterMachine.TestCase
TestLimiter.settings = hypothesis_settings(max_examples=40, stateful_step_count=30)
