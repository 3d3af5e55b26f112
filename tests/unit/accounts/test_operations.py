"""The books against a naive model, with crashes at every statement."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from seekd.accounts.balances import read_balance
from seekd.accounts.driver import Connection, Dialect, Parameters, Row, Statement, Write
from seekd.accounts.journal import Journal
from seekd.accounts.operations import AddGrant, Blocked, Note, Release, ReleaseUnknown, Reserve, Settle, TopUp
from seekd.accounts.recovery import recover
from seekd.accounts.refused import RefusedSettlements
from seekd.accounts.registry import Registry
from seekd.accounts.settings import books_path
from seekd.accounts.sqlite import SqliteConnection
from seekd.accounts.transaction import Operation, run_batch
from seekd.accounts.types import Price, Reservation, Usage
from seekd.accounts.verify import verify_ledger
from seekd.errors import InsufficientBalance, SeekdError

PRICE = Price(hit_micros=250_000, miss_micros=1_000_000, output_micros=2_000_000)
CURRENCIES = ("USD", "CNY")


class Crash(BaseException):
    """The process dies here."""


class CrashingConnection:
    """Passes everything on, and dies before its n-th call; n beyond the last call dies after the commit."""

    dialect: Dialect = "sqlite"

    def __init__(self, inner: Connection) -> None:
        self._inner = inner
        self.crash_at = -1
        self.num_calls = 0

    def _tick(self) -> None:
        if self.num_calls == self.crash_at:
            raise Crash
        self.num_calls += 1

    def begin(self) -> None:
        self._tick()
        self._inner.begin()

    def begin_reading(self) -> None:
        self._inner.begin_reading()

    def commit(self, writes: Sequence[Write] = ()) -> None:
        for command, rows in writes:
            for parameters in rows:
                self.run(command, parameters)
        self._tick()
        self._inner.commit()

    def rollback(self) -> None:
        self._inner.rollback()

    def rows(self, query: Statement, parameters: Parameters | None = None) -> list[Row]:
        self._tick()
        return self._inner.rows(query, parameters)

    def rows_together(self, queries: Sequence[tuple[Statement, Parameters]]) -> list[list[Row]]:
        return [self.rows(query, parameters) for query, parameters in queries]

    def stream(self, query: Statement, parameters: Parameters | None = None) -> Any:
        return self._inner.stream(query, parameters)

    def run(self, command: Statement, parameters: Parameters | None = None) -> int:
        self._tick()
        return self._inner.run(command, parameters)

    def close(self) -> None:
        self._inner.close()


@dataclass
class ModelHold:
    currency: str
    micros: int
    noted: int = 0
    is_retry_safe: bool = False


@dataclass
class ModelPool:
    topped_up: int = 0
    grants: dict[str, tuple[float, int]] = field(default_factory=dict)  # id -> (expires, remaining)
    charged: int = 0
    expired: int = 0
    paid_in: int = 0


@dataclass
class Model:
    """What the books ought to say, written down as plainly as possible."""

    pools: dict[str, ModelPool] = field(default_factory=dict)
    holds: dict[str, ModelHold] = field(default_factory=dict)
    charges: dict[str, int] = field(default_factory=dict)

    def total(self, currency: str) -> int:
        pool = self.pools[currency]
        return pool.topped_up + sum(remaining for _, remaining in pool.grants.values())

    def held(self, currency: str) -> int:
        return sum(hold.micros for hold in self.holds.values() if hold.currency == currency)

    def expire(self, now: int) -> None:
        for currency, pool in self.pools.items():
            for grant_id in self.in_order(pool):
                expires, remaining = pool.grants[grant_id]
                if expires <= now:
                    gone = min(remaining, self.total(currency) - self.held(currency))
                    pool.grants[grant_id] = (expires, remaining - gone)
                    pool.expired += gone

    @staticmethod
    def in_order(pool: ModelPool) -> list[str]:
        return sorted(pool.grants, key=lambda grant_id: (pool.grants[grant_id][0], grant_id))

    def pay(self, currency: str, micros: int) -> int:
        pool = self.pools[currency]
        left = min(micros, self.total(currency) - self.held(currency))
        paid = left
        for grant_id in self.in_order(pool):
            expires, remaining = pool.grants[grant_id]
            part = min(left, remaining)
            pool.grants[grant_id] = (expires, remaining - part)
            left -= part
        pool.topped_up -= left
        pool.charged += paid
        return paid

    def end(self, request_id: str, cost: int, now: int) -> int:
        self.expire(now)
        hold = self.holds.pop(request_id)
        paid = self.pay(hold.currency, cost)
        self.charges[request_id] = paid
        self.expire(now)
        return paid


amounts = st.integers(1, 60)
tokens = st.integers(0, 12)
crash_points = st.one_of(*[st.none()] * 5, st.integers(0, 14))  # a crash ends every hold, so most batches live


class BooksMachine(RuleBasedStateMachine):
    """One account in two currencies; each rule is one batch, which may die at any statement."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.dir = Path(tempfile.mkdtemp())
        shutil.copy(self.template, books_path(self.dir))
        self.now = 1_000_000
        self.num_ids = 0
        self.model = Model()
        self.reservations: dict[str, Reservation] = {}
        self.settled: dict[str, Settle] = {}
        self.open()
        registry = Registry(self.connection, clock=lambda: self.now / 1000)
        self.account_id = registry.create_account("model").id

    def open(self) -> None:
        self.owner = self.new_id("server")
        inner = SqliteConnection(books_path(self.dir), synchronous="normal", busy_timeout_s=1)
        inner.run(Statement("PRAGMA synchronous = OFF", ""))  # only processes die here, never the machine
        self.connection = CrashingConnection(inner)

    def new_id(self, kind: str) -> str:
        self.num_ids += 1
        return f"{kind}-{self.num_ids}"

    def teardown(self) -> None:
        self.connection.close()
        shutil.rmtree(self.dir)

    def batch(
        self, operations: Sequence[Operation[Any]], expect: Callable[[], list[Any]], crash_at: int | None
    ) -> None:
        """Run a batch; when it does not die before its commit, the model must come to the same results."""
        self.connection.num_calls = 0
        self.connection.crash_at = -1 if crash_at is None else crash_at
        try:
            outcomes = run_batch(self.connection, operations, now_ms=self.now, owner=self.owner)
        except Crash:
            self.restart()
            return
        self.connection.crash_at = -1
        assert [self.plain(outcome) for outcome in outcomes] == expect()
        for operation, outcome in zip(operations, outcomes, strict=True):
            if isinstance(outcome, Reservation):
                self.reservations[outcome.request_id] = outcome
            if isinstance(operation, Settle):
                self.settled[operation.reservation.request_id] = operation
        if crash_at is not None:  # all its statements were done: it dies after the commit
            self.restart()

    @staticmethod
    def plain(outcome: object) -> Any:
        if isinstance(outcome, SeekdError):
            return type(outcome)
        if isinstance(outcome, Reservation):
            return ("held", outcome.currency, outcome.held_micros)
        if isinstance(outcome, Blocked):
            return "blocked"
        return getattr(outcome, "cost_micros", None)

    def restart(self) -> None:
        """The process is dead; a new one opens the books and recovers, and may die in that, too."""
        self.connection.crash_at = -1
        self.connection.close()
        self.open()
        journal, refused = Journal(self.dir / "journal"), RefusedSettlements(self.dir / "refused")
        recover(
            self.connection,
            owner=self.owner,
            now_ms=lambda: self.now,
            lease_ms=None,
            journal=journal,
            refused=refused,
        )
        # Recovery runs in the order of the database; the order cannot matter for what was noted, which is held.
        dead = dict(self.model.holds)
        for request_id in dead:
            hold = self.model.holds[request_id]
            self.model.end(request_id, 0 if hold.is_retry_safe else hold.noted, self.now)
        self.reservations.clear()

    @rule(currency=st.sampled_from(CURRENCIES), micros=amounts, crash_at=crash_points)
    def top_up(self, currency: str, micros: int, crash_at: int | None) -> None:
        def expect() -> list[Any]:
            pool = self.model.pools.setdefault(currency, ModelPool())
            self.model.expire(self.now)
            pool.topped_up += micros
            pool.paid_in += micros
            return [None]

        operation = TopUp(account_id=self.account_id, currency=currency, micros=micros, reference="payment")
        self.batch([operation], expect, crash_at)

    @rule(
        currency=st.sampled_from(CURRENCIES),
        micros=amounts,
        lifetime=st.one_of(st.none(), st.integers(1, 100)),
        crash_at=crash_points,
    )
    def grant(self, currency: str, micros: int, lifetime: int | None, crash_at: int | None) -> None:
        grant_id = self.new_id("grant")
        expires = None if lifetime is None else self.now + lifetime

        def expect() -> list[Any]:
            pool = self.model.pools.setdefault(currency, ModelPool())
            self.model.expire(self.now)
            pool.grants[grant_id] = (float("inf") if expires is None else expires, micros)
            pool.paid_in += micros
            return [None]

        operation = AddGrant(
            account_id=self.account_id, currency=currency, micros=micros, grant_id=grant_id, expires_at_ms=expires
        )
        self.batch([operation], expect, crash_at)

    @rule(step=st.integers(1, 60))
    def pass_time(self, step: int) -> None:
        self.now += step

    @rule(
        sizes=st.lists(st.tuples(tokens, tokens, st.booleans()), min_size=1, max_size=4),
        order=st.permutations(CURRENCIES),
        crash_at=crash_points,
    )
    def reserve(self, sizes: list[tuple[int, int, bool]], order: list[str], crash_at: int | None) -> None:
        operations = [
            Reserve(
                account_id=self.account_id,
                key_id=None,
                request_id=self.new_id("request"),
                model="m",
                prices=tuple((currency, PRICE) for currency in order),
                num_prompt_tokens=num_prompt,
                max_completion_tokens=num_completion,
                is_retry_safe=is_retry_safe,
            )
            for num_prompt, num_completion, is_retry_safe in sizes
        ]
        self.batch(operations, lambda: [self.model_reserve(operation, order) for operation in operations], crash_at)

    def model_reserve(self, operation: Reserve, order: list[str]) -> Any:
        micros = operation.num_prompt_tokens + 2 * operation.max_completion_tokens
        could = False
        self.model.expire(self.now)
        for currency in order:
            if currency not in self.model.pools:
                continue
            total = self.model.total(currency)
            if micros <= total - self.model.held(currency):
                self.model.holds[operation.request_id] = ModelHold(
                    currency, micros, is_retry_safe=operation.is_retry_safe
                )
                return ("held", currency, micros)
            could = could or micros <= total
        return "blocked" if could else InsufficientBalance

    @precondition(lambda self: self.reservations)
    @rule(data=st.data(), crash_at=crash_points)
    def settle(self, data: st.DataObject, crash_at: int | None) -> None:
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.reservations)), min_size=1, max_size=3, unique=True))
        operations = []
        for request_id in chosen:
            usage = Usage(
                num_hit_tokens=data.draw(tokens),
                num_miss_tokens=data.draw(tokens),
                num_completion_tokens=data.draw(tokens),  # may be more than was reserved: never overspends
            )
            operations.append(Settle(reservation=self.reservations[request_id], usage=usage))

        def expect() -> list[Any]:
            return [
                self.model.end(operation.reservation.request_id, self.cost(operation.usage), self.now)
                for operation in operations
            ]

        for request_id in chosen:
            del self.reservations[request_id]
        self.batch(operations, expect, crash_at)

    @staticmethod
    def cost(usage: Usage) -> int:
        quarters = usage.num_hit_tokens + 4 * usage.num_miss_tokens + 8 * usage.num_completion_tokens
        return (quarters + 3) // 4

    @precondition(lambda self: self.reservations)
    @rule(data=st.data(), is_unknown=st.booleans(), crash_at=crash_points)
    def release(self, data: st.DataObject, is_unknown: bool, crash_at: int | None) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.reservations)))
        reservation = self.reservations.pop(request_id)

        def expect() -> list[Any]:
            self.model.expire(self.now)
            del self.model.holds[request_id]
            self.model.expire(self.now)
            return [None]

        operation: Operation[Any] = Release(reservation=reservation)
        if is_unknown:
            operation = ReleaseUnknown(account_id=self.account_id, request_id=request_id)
        self.batch([operation], expect, crash_at)

    @precondition(lambda self: self.reservations)
    @rule(data=st.data(), noted=st.integers(0, 30), crash_at=crash_points)
    def note(self, data: st.DataObject, noted: int, crash_at: int | None) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.reservations)))

        def expect() -> list[Any]:
            self.model.holds[request_id].noted = noted
            return [None]

        usage = Usage(num_hit_tokens=0, num_miss_tokens=noted, num_completion_tokens=0)
        self.batch([Note(reservation=self.reservations[request_id], usage=usage)], expect, crash_at)

    @precondition(lambda self: self.settled)
    @rule(data=st.data(), crash_at=crash_points)
    def settle_again(self, data: st.DataObject, crash_at: int | None) -> None:
        """A settlement whose commit was not heard of is sent again, and changes nothing."""
        request_id = data.draw(st.sampled_from(sorted(self.settled)))
        charge = self.model.charges[request_id]
        self.batch([self.settled[request_id]], lambda: [charge], crash_at)

    @invariant()
    def ledger_replays_to_the_balances(self) -> None:
        assert verify_ledger(self.connection).problems == ()

    @invariant()
    def books_say_what_the_model_says(self) -> None:
        self.model.expire(self.now)
        inner = self.connection._inner
        if self.model.pools:
            balance = read_balance(
                inner, self.account_id, now_ms=self.now, default_currency="USD", is_everything_free=False
            )
            seen = {
                entry.currency: (entry.topped_up_micros, entry.total_micros, entry.held_micros)
                for entry in balance.currencies
            }
            assert seen == {
                name: (pool.topped_up, self.model.total(name), self.model.held(name))
                for name, pool in self.model.pools.items()
            }
        for name, pool in self.model.pools.items():
            assert pool.paid_in == self.model.total(name) + pool.charged + pool.expired
        charges = {row[0]: row[1] for row in self.query("SELECT request_id, cost_micros FROM usage")}
        assert charges == self.model.charges

    def query(self, text: str) -> list[Row]:
        return self.connection._inner.rows(Statement(text, text))


def test_any_interleaving_and_crash_leaves_the_books_as_the_model_says(migrated_books: Path) -> None:
    machine = type("Machine", (BooksMachine,), {"template": migrated_books})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
