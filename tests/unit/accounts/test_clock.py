"""Whose clock counts; that PostgreSQL's does is tested against a real one in tests/integration."""

from collections.abc import Callable, Iterator, Sequence

from seekd.accounts.clock import DatabaseClock
from seekd.accounts.driver import Connection, Dialect, Parameters, Row, Statement, Write


class WithClock:
    """A database that says what time it is, after a round trip of two seconds."""

    dialect: Dialect = "postgresql"

    def __init__(self, monotonic: list[float]) -> None:
        self.now_ms = 0
        self._monotonic = monotonic

    def rows(self, query: Statement, parameters: Parameters | None = None) -> list[Row]:
        assert "clock_timestamp" in query.postgresql
        self._monotonic[0] += 2.0
        return [(self.now_ms,)]

    def begin(self) -> None: ...
    def begin_reading(self) -> None: ...
    def commit(self, writes: Sequence[Write] = ()) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...

    def rows_together(self, queries: Sequence[tuple[Statement, Parameters]]) -> list[list[Row]]:
        raise NotImplementedError

    def stream(self, query: Statement, parameters: Parameters | None = None) -> Iterator[Row]:
        raise NotImplementedError

    def run(self, command: Statement, parameters: Parameters | None = None) -> int:
        raise NotImplementedError


def test_the_databases_clock_counts_and_goes_on_whatever_this_machines_wall_clock_does() -> None:
    wall, monotonic = [5000.0], [100.0]
    clock = DatabaseClock(lambda: wall[0], monotonic=lambda: monotonic[0])
    assert clock() == 5000.0
    database = WithClock(monotonic)
    database.now_ms = 1_000_000
    clock.follow(database)
    assert clock() == 1001.0  # asked at 100, answered at 102: the answer was true at 101
    wall[0] = 0.0
    monotonic[0] += 10.0
    assert (clock(), clock.now_ms) == (1011.0, 1_011_000)
    database.now_ms = 500_000  # it was set back
    clock.follow(database)
    assert clock() == 501.0


def test_sqlite_has_the_clock_of_its_machine(connect: Callable[[], Connection]) -> None:
    wall = [5000.0]
    clock = DatabaseClock(lambda: wall[0])
    clock.follow(connect())
    wall[0] = 6000.5
    assert (clock(), clock.now_ms) == (6000.5, 6_000_500)
