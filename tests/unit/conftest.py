"""Fixtures of several rooms: the books as a migrated file."""

import shutil
from pathlib import Path

import pytest

from seekd.accounts.migrate import migrate
from seekd.accounts.settings import books_path
from seekd.accounts.sqlite import SqliteConnection


@pytest.fixture(scope="session")
def migrated_books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once and copied, since a migration takes longer than a test."""
    path = tmp_path_factory.mktemp("migrated") / "books.sqlite3"
    connection = SqliteConnection(path, synchronous="normal", busy_timeout_s=1)
    migrate(connection)
    connection.close()
    return path


@pytest.fixture
def data_dir(tmp_path: Path, migrated_books: Path) -> Path:
    """A data directory with new books in it."""
    shutil.copy(migrated_books, books_path(tmp_path))
    return tmp_path
