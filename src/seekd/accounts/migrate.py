"""Brings the schema of the books to the newest version, at every start.

Alembic and SQLAlchemy are imported only when something has to be
done, since they cost a second and 40 MB that a running server does not need.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from seekd.accounts.driver import Connection, TransactionFailed, statement
from seekd.errors import ConfigError

HEAD = "0002"  # the newest migration; a test compares it with the directory

_REVISION = statement("SELECT version_num FROM alembic_version")
_ADVISORY_LOCK = 0x5EEC_D001  # any number, the same in every seekd


def is_current(connection: Connection) -> bool:
    """Whether nothing has to be migrated."""
    try:
        return connection.rows(_REVISION) == [(HEAD,)]
    except TransactionFailed:  # no such table: an empty database. Trouble of another kind shows in the migration.
        return False


def migrate_sqlite(path: Path, *, target: str = "head") -> None:
    """Create the books or bring them to the newest version, or to an older `target`; several processes may try at once.

    Raises:
        ConfigError: the file is no database, cannot be written, or is newer than this seekd.
    """
    import sqlalchemy as sa

    with _file_lock(path.with_suffix(".migrate.lock")):
        engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
        # Python's driver would commit before every CREATE TABLE; a migration is done as a whole or not at all.
        sa.event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        _upgrade(engine, target, lock=None)


def migrate_postgres(url: str, *, target: str = "head") -> None:
    """The same for PostgreSQL; an advisory lock lets one process migrate."""
    import sqlalchemy as sa

    driver_url = sa.make_url(url).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(driver_url, poolclass=sa.NullPool)
    _upgrade(engine, target, lock=f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")


def _upgrade(engine: object, target: str, *, lock: str | None) -> None:
    import sqlalchemy as sa
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    assert isinstance(engine, sa.Engine)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    try:
        with engine.begin() as connection:
            if lock is not None:
                connection.execute(sa.text(lock))
            config.attributes["connection"] = connection
            command.upgrade(config, target)
    except CommandError as error:
        raise ConfigError(f"The books were made by a newer seekd: {error}.") from error
    except sa.exc.SQLAlchemyError as error:
        raise ConfigError(f"The books cannot be opened or migrated: {error}.") from error
    finally:
        engine.dispose()


@contextlib.contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
