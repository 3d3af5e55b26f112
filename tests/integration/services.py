"""A real PostgreSQL and a real Redis (or Valkey), each started once on a free port as a user who is not root.

Import the fixtures that a test module needs. Where a program is not installed, its tests are skipped with a sentence
that says how to get it.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

START_LIMIT_S = 60.0


def find_program(*names: str) -> Path | None:
    """The program on the path, or where Debian puts PostgreSQL's."""
    for name in names:
        found = shutil.which(name)
        if found:
            return Path(found)
        for directory in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
            if (directory / name).exists():
                return directory / name
    return None


def unprivileged_user() -> str | None:
    """Whom to become; None when this is not root already."""
    return None if os.geteuid() != 0 else "nobody"


@contextlib.contextmanager
def service_directory() -> Iterator[Path]:
    """A directory that the service's user owns."""
    path = Path(tempfile.mkdtemp(prefix="seekd-test-"))
    user = unprivileged_user()
    if user is not None:
        os.chown(path, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    command: list[str], port: int, directory: Path, stop_signal: signal.Signals = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """A service that accepts connections; stopped at the end."""
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, user=unprivileged_user(), stdout=log, stderr=log, cwd=directory)
    try:
        wait_for_port(port, process, directory)
        yield process
    finally:
        process.send_signal(stop_signal)
        process.wait()


def wait_for_port(port: int, process: subprocess.Popen[bytes], directory: Path) -> None:
    deadline_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"{process.args!r} did not start: {(directory / 'log').read_text()}")


class Postgres:
    """A PostgreSQL server that tests may stop and start."""

    def __init__(self, directory: Path, postgres: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._command = [
            str(postgres), "-D", str(directory / "data"), "-p", str(self.port), "-k", str(directory),
            "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=60",
            "-c", "fsync=off",  # only processes die in tests
        ]  # fmt: skip
        self._stack = contextlib.ExitStack()
        self._names = count()
        self.start()

    def start(self) -> None:
        # SIGTERM would wait for the clients, SIGINT for the disk; what was committed is in the log either way.
        self._stack.enter_context(running(self._command, self.port, self.directory, signal.SIGQUIT))
        self._wait_until_ready()

    def stop(self) -> None:
        self._stack.close()

    def pause(self) -> None:
        """Let it fall silent without closing a connection, as a machine that hangs."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        pid = int((self.directory / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *map(int, children)):
            os.kill(one, number)

    def url(self, database: str) -> str:
        return f"postgresql://seekd@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty database."""
        import psycopg

        name = f"books{next(self._names)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def _wait_until_ready(self) -> None:
        import psycopg

        deadline_s = time.monotonic() + START_LIMIT_S
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.05)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'seekd[postgres]'")
    initdb, server = find_program("initdb"), find_program("postgres")
    if initdb is None or server is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    with service_directory() as directory:
        subprocess.run(
            [initdb, "-D", directory / "data", "-U", "seekd", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"],
            user=unprivileged_user(),
            cwd=directory,
            check=True,
            capture_output=True,
        )
        service = Postgres(directory, server)
        try:
            yield service
        finally:
            service.stop()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    pytest.importorskip("redis", reason="needs redis: pip install 'seekd[redis]'")
    server = find_program("valkey-server", "redis-server")
    if server is None:
        pytest.skip("needs Redis or Valkey: apt-get install redis-server")
    with service_directory() as directory:
        port = free_port()
        command = [str(server), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
        with running(command, port, directory):
            yield f"redis://127.0.0.1:{port}"
