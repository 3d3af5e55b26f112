"""A full disk: requests are refused, never served for free, and nothing is lost."""

import subprocess
import sys
from pathlib import Path

import pytest

from seekd.accounts.registry import Registry
from seekd.accounts.statements import statement
from seekd.accounts.store import open_connection
from seekd.accounts.verify import verify_ledger
from tests.integration.books_load import settings


@pytest.mark.fault("disk-full-for-the-books")
def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path) -> None:
    connection = open_connection(settings(), tmp_path)
    registry = Registry(connection)
    account = registry.create_account("a")
    registry.top_up(account.id, currency="USD", micros=1000)
    key = registry.create_key(account.id).secret
    result = subprocess.run(
        [sys.executable, "-m", "tests.integration.books_full", str(tmp_path), key],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.split("\n")[:3] == ["refused", "settled 60", "back"], result.stderr
    usage = connection.rows(statement("SELECT request_id, cost_micros FROM usage ORDER BY request_id"))
    assert usage == [("after", 60), ("running", 60)]
    assert registry.balance(account.id).currencies[0].held_micros == 0
    assert verify_ledger(connection).problems == ()
    connection.close()
