import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seekd.accounts.settings import AccountsSettings
from seekd.accounts.store import Store, open_connection
from seekd.config import Secret
from seekd.errors import ConfigError


def test_new_books_are_private_and_made_once(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    for _ in range(2):
        open_connection(AccountsSettings(), data_dir).close()
    assert data_dir.stat().st_mode & 0o777 == 0o700
    assert (data_dir / "books.sqlite3").stat().st_mode & 0o777 == 0o600


def test_one_server_at_a_time_and_the_lock_ends_with_it(data_dir: Path) -> None:
    first, second = Store(AccountsSettings(), data_dir), Store(AccountsSettings(), data_dir)
    first.prepare(is_server=True)
    with pytest.raises(ConfigError, match="Another seekd server"):
        second.prepare(is_server=True)
    second.prepare(is_server=False)  # the command line needs no lock
    first.close()
    second.prepare(is_server=True)
    second.close()


def test_a_directory_has_one_server_also_where_the_books_lie_elsewhere(data_dir: Path) -> None:
    local = Store(AccountsSettings(), data_dir)
    local.prepare(is_server=True)
    remote = Store(AccountsSettings(database_url=Secret("postgresql://127.0.0.1:1/none")), data_dir)
    with pytest.raises(ConfigError, match="Another seekd server"):  # before the database is asked for anything
        remote.prepare(is_server=True)
    local.close()


def test_the_lock_of_a_killed_server_is_free(data_dir: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from seekd.accounts.store import Store;"
        "from seekd.accounts.settings import AccountsSettings;"
        "Store(AccountsSettings(), Path(sys.argv[1])).prepare(is_server=True); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(data_dir)], check=False).returncode == -9
    store = Store(AccountsSettings(), data_dir)
    store.prepare(is_server=True)
    store.close()


def test_a_url_of_another_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="postgresql://"):
        Store(AccountsSettings(database_url=Secret("mysql://localhost/x")), tmp_path)


def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        open_connection(AccountsSettings(), tmp_path / "file")


def test_books_are_not_made_for_who_only_reads(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There are no accounts in"):
        open_connection(AccountsSettings(), tmp_path / "mistyped", makes_new=False)
    assert not (tmp_path / "mistyped").exists()


def test_a_copy_made_by_backup_is_whole(data_dir: Path, tmp_path: Path) -> None:
    """What the guide says of backups: a copy taken while a connection is open holds what was committed."""
    import sqlite3

    from seekd.accounts.registry import Registry

    connection = open_connection(AccountsSettings(), data_dir)
    Registry(connection).top_up("open", currency="USD", micros=7)
    restored = tmp_path / "restored"
    restored.mkdir()
    with sqlite3.connect(data_dir / "books.sqlite3") as source, sqlite3.connect(restored / "books.sqlite3") as target:
        source.backup(target)
    source.close()
    target.close()
    connection.close()
    after = open_connection(AccountsSettings(), restored)
    assert Registry(after).balance("open").currencies[0].total_micros == 7
    after.close()
    shutil.rmtree(restored)


def test_a_start_imports_no_library_that_it_does_not_need(data_dir: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from seekd.accounts.books import open_books;"
        "from seekd.accounts.limiter import Limiter; from seekd.accounts.settings import AccountsSettings;"
        "open_books(AccountsSettings(), Path(sys.argv[1]), allows_open=True);"
        "sys.exit(' '.join({'limits', 'redis', 'psycopg'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code, str(data_dir)], capture_output=True, text=True, check=False)
    assert result.stderr.strip() == ""


@pytest.mark.parametrize("name", [None, "admin-token"])
def test_a_directory_of_ours_that_others_could_enter_is_closed(tmp_path: Path, name: str | None) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    data_dir.chmod(0o755)
    if name is not None:
        (data_dir / name).touch()
    Store(AccountsSettings(), data_dir).prepare(is_server=False)
    assert data_dir.stat().st_mode & 0o777 == 0o700


def test_an_open_directory_with_files_of_somebody_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "index.html").touch()
    data_dir.chmod(0o755)
    with pytest.raises(ConfigError, match="chmod 700"):
        Store(AccountsSettings(), data_dir).prepare(is_server=False)
    assert data_dir.stat().st_mode & 0o777 == 0o755
