"""Without a server; tests/integration/test_books_postgres.py has one."""

import socket

import pytest

from seekd.accounts.driver import TransactionFailed
from seekd.accounts.postgres import PostgresConnection

pytest.importorskip("psycopg", reason="needs psycopg: pip install 'seekd[postgres]'")


def test_a_server_that_is_away_may_be_back_later() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, and nobody listens
        with pytest.raises(TransactionFailed) as caught:
            PostgresConnection(f"postgresql://nobody@127.0.0.1:{closed.getsockname()[1]}/x", timeout_s=2)
    assert caught.value.is_away
