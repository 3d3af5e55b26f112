from pathlib import Path

import pytest

from seekd.accounts.operations import Settle
from seekd.accounts.spool import Spool
from seekd.accounts.types import Usage
from tests.unit.accounts.conftest import free_reservation

USED = Usage(num_hit_tokens=1, num_miss_tokens=2, num_completion_tokens=3)


def settlement(number: int) -> Settle:
    return Settle(reservation=free_reservation(f"r{number}"), usage=USED)


def names(spool: Spool) -> list[str]:
    return [found.reservation.request_id for found in spool.read()]


def fill(spool: Spool, numbers: range, *, written: int) -> None:
    for number in numbers:
        spool.add(settlement(number), number=number, num_written=written)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.free.jsonl"


def test_what_was_added_is_found_by_the_next_process_without_a_close(path: Path) -> None:
    spool = Spool(path)
    fill(spool, range(1, 4), written=0)
    assert Spool(path).read() == [settlement(number) for number in range(1, 4)]
    assert path.stat().st_mode & 0o777 == 0o600
    spool.clear()
    assert names(spool) == []
    fill(spool, range(4, 5), written=0)
    assert names(spool) == ["r4"]
    spool.close()


def test_a_line_cut_short_does_not_spoil_the_next(path: Path) -> None:
    spool = Spool(path)
    fill(spool, range(1, 2), written=0)
    with path.open("ab") as file:
        file.write(b'\n[{"request_id":"cut sho')
    fill(spool, range(2, 3), written=0)
    assert names(spool) == ["r1", "r2"]
    spool.close()


def test_only_what_the_database_has_is_dropped_and_the_files_stay_small(path: Path) -> None:
    spool = Spool(path)
    written = 0
    for number in range(1, 5001):
        spool.add(settlement(number), number=number, num_written=written)
        if number % 100 == 0:
            found = {int(name[1:]) for name in names(spool)}
            assert found >= set(range(written + 1, number + 1))
            written = number - 50
    assert sum(file.stat().st_size for file in path.parent.iterdir()) < 700_000
    spool.close()


def test_while_the_database_has_nothing_nothing_is_dropped(path: Path) -> None:
    spool = Spool(path)
    fill(spool, range(1, 3001), written=0)
    assert names(spool) == [f"r{number}" for number in range(1, 3001)]
    spool.close()


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="away"):
        fill(Spool(tmp_path / "away" / "file"), range(1, 2), written=0)
