"""Where the books lie: a file in the data directory, or PostgreSQL by URL.

A server holds a lock on its data directory for as long as it lives, wherever the books lie: its files of unsettled
requests are nobody else's to read or delete. On SQLite a recovery also knows by it that every other server is dead. The
command line needs no lock.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from seekd.accounts.driver import Connection, TransactionFailed
from seekd.accounts.journal import Journal
from seekd.accounts.migrate import migrate
from seekd.accounts.postgres import PostgresConnection
from seekd.accounts.refused import RefusedSettlements
from seekd.accounts.settings import AccountsSettings, books_path
from seekd.accounts.spool import Spool
from seekd.accounts.sqlite import SqliteConnection
from seekd.errors import ConfigError, SeekdError, StoreError

_OWN_FILES = frozenset({"admin-token", "books.sqlite3", "books.unsettled.jsonl", "cache", "models"})
_READER_WAIT_S = 0.25  # readers run on the event loop and wait for nobody but a recovering log


class Store:
    """Opens connections to one database."""

    def __init__(self, settings: AccountsSettings, data_dir: Path) -> None:
        """Look at nothing yet.

        Raises:
            ConfigError: the URL names no database that seekd knows.
        """
        url = settings.database_url
        if url and not url.startswith(("postgresql://", "postgres://")):
            raise ConfigError("accounts.database_url must begin with postgresql://; leave it out for SQLite.")
        self._url: str | None = url or None
        self._settings = settings
        self._data_dir = data_dir
        self._path = books_path(data_dir)
        self._lock: IO[str] | None = None
        self.journal = Journal(data_dir / "books.unsettled.jsonl")
        self.spool = Spool(data_dir / "books.free.jsonl")
        self.refused = refused_settlements(data_dir)

    @property
    def is_local(self) -> bool:
        """Whether the books are a file of this machine, which one server at a time uses."""
        return self._url is None

    def prepare(self, *, is_server: bool) -> None:
        """Make the directory and the schema; take the server's lock.

        Raises:
            ConfigError: not possible, other users can enter the directory, or another server has the lock.
            TransactionFailed: the database is away.
        """
        try:
            _make_private(self._data_dir)
            if is_server:
                self._take_lock()
        except OSError as error:
            raise unusable_directory(self._data_dir, error) from error
        connection = self.connect()
        try:
            migrate(connection)
        finally:
            connection.close()

    def connect(self, *, is_reader: bool = False) -> Connection:
        """A new connection. Raises `TransactionFailed`."""
        if self._url is not None:
            return PostgresConnection(self._url, timeout_s=self._settings.busy_timeout_s)
        return SqliteConnection(
            self._path,
            synchronous=self._settings.synchronous,
            busy_timeout_s=_READER_WAIT_S if is_reader else self._settings.busy_timeout_s,
        )

    def close(self) -> None:
        """Give the server's lock back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        path = self._data_dir / "books.server.lock"
        file = open(os.open(path, os.O_CREAT | os.O_RDWR, 0o600), "w")  # noqa: SIM115, PTH123 - held while the server lives
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise ConfigError(
                f"Another seekd server uses the data directory {self._data_dir}. "
                "Stop it, or choose another --data-dir: every server needs its own, also where they share a database."
            ) from error
        self._lock = file


def refused_settlements(data_dir: Path) -> RefusedSettlements:
    """What the server of a data directory could not settle, since the database refuses it."""
    return RefusedSettlements(data_dir / "books.refused.jsonl")


def _make_private(data_dir: Path) -> None:
    """Make the directory, or close one of ours to other users; what else lies in an open one may be meant for them."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    mode = data_dir.stat().st_mode & 0o777
    if not mode & 0o077:
        return
    names = {path.name for path in data_dir.iterdir()}
    if names and not names & _OWN_FILES:
        raise ConfigError(
            f"The data directory {data_dir} can be entered by other users (mode {mode:o}) and holds files that are not "
            "seekd's. Choose a directory of its own with --data-dir, or close this one: chmod 700."
        )
    data_dir.chmod(0o700)


def open_connection(settings: AccountsSettings, data_dir: Path, *, makes_new: bool = True) -> Connection:
    """A connection for one command.

    Args:
        settings: name the database, where it is not a file in the directory.
        data_dir: of the server.
        makes_new: make books where there are none; else a directory without them is taken for a mistake.

    Raises:
        ConfigError: the database cannot be used, or there is none.
        StoreError: the database is away.
    """
    store = Store(settings, data_dir)
    if not makes_new and store.is_local and not books_path(data_dir).exists():
        raise ConfigError(
            f"There are no accounts in {data_dir}: no server has run with it. Name the server's own directory with "
            "--data-dir, or make an account there: seekd accounts create NAME."
        )
    try:
        store.prepare(is_server=False)
        return store.connect()
    except TransactionFailed as failure:
        raise unopened(failure) from failure


def unusable_directory(data_dir: Path, error: OSError) -> ConfigError:
    """What to say of a data directory that cannot be made or entered."""
    is_file = isinstance(error, FileExistsError | NotADirectoryError)
    reason = "it is a file, or lies in one" if is_file else error.strerror
    return ConfigError(f"The data directory {data_dir} cannot be used: {reason}. Choose another one with --data-dir.")


def unopened(failure: TransactionFailed) -> SeekdError:
    """What to say of a database that could not be opened."""
    if failure.is_away:
        return StoreError("The books cannot be opened.", reason=str(failure))
    return ConfigError(f"The books cannot be opened: {failure}.")
