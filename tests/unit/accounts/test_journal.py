from pathlib import Path

from seekd.accounts.journal import Journal
from seekd.accounts.operations import Settle
from seekd.accounts.types import FREE, Outcome, Price, Reservation, Usage


def settlement(number: int) -> Settle:
    return Settle(
        reservation=Reservation(
            request_id=f"r{number}",
            account_id="ä",
            key_id=None if number % 2 else "k",
            model="m",
            currency="USD",
            held_micros=number,
            price=FREE if number % 2 else Price(hit_micros=1, miss_micros=2, output_micros=3),
            is_retry_safe=bool(number % 2),
            reserved_at_ms=5,
        ),
        usage=Usage(
            num_hit_tokens=1, num_miss_tokens=2, num_completion_tokens=3, latency_ms=1.5, outcome=Outcome.LENGTH
        ),
    )


def test_settlements_come_back_as_they_went(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).append([settlement(0), settlement(1)])
    Journal(path).append([settlement(2)])
    assert Journal(path).read() == [settlement(number) for number in range(3)]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_journal_cut_anywhere_gives_every_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).append([settlement(0), settlement(1)])
    whole = path.read_bytes()
    first_end = whole.index(b"\n", 1)
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        expected = [settlement(0)] if end >= first_end else []
        if end == len(whole) - 1:
            expected = [settlement(0), settlement(1)]  # only the line feed is missing
        assert Journal(path).read() == expected


def test_a_line_cut_short_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).append([settlement(0)])
    whole = path.read_bytes()
    for end in range(len(whole) - 1):
        path.write_bytes(whole[:end])
        Journal(path).append([settlement(1)])
        assert Journal(path).read()[-1] == settlement(1)


def test_no_file_is_an_empty_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    assert journal.read() == []
    journal.clear()
    assert journal.read() == []
