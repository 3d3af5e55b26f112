"""A real server process on a real port, started once for all tests that only ask it questions."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import openai
import pytest

START_LIMIT_S = 60.0
STOP_LIMIT_S = 20.0


@dataclass
class ServerProcess:
    """`seekd serve` as a user runs it; its terminal lines are collected."""

    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    url: str = ""

    def start(self) -> ServerProcess:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SEEKD_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "seekd", "serve", *self.arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | self.environment,
        )
        self._has_line = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def wait_until_ready(self) -> ServerProcess:
        line = self.wait_for_line(r"seekd is ready at (http\S+)")
        found = re.search(r"(http://\S+?)[\s,]", line)
        assert found
        self.url = found[1]
        return self

    def wait_for_line(self, pattern: str, limit_s: float = START_LIMIT_S) -> str:
        deadline_s = time.monotonic() + limit_s
        seen = 0
        with self._has_line:
            while True:
                for line in self.lines[seen:]:
                    if re.search(pattern, line):
                        return line
                seen = len(self.lines)
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or (self.process.poll() is not None and not self._reader.is_alive()):
                    raise AssertionError(f"no line matches {pattern!r}:\n" + "\n".join(self.lines))
                self._has_line.wait(min(left_s, 0.2))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self._reader.join(STOP_LIMIT_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._has_line:
                self.lines.append(line.rstrip("\n"))
                self._has_line.notify_all()


StartServer = Callable[..., ServerProcess]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start servers that end with the test."""
    servers: list[ServerProcess] = []

    def start(*arguments: str, **environment: str) -> ServerProcess:
        own = ["--port", "0"] if "--port" not in arguments else []
        place = ["--data-dir", str(tmp_path / "data")] if "--data-dir" not in arguments else []
        server = ServerProcess([*own, *place, *arguments], environment)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server with the bundled model."""
    data_dir = tmp_path_factory.mktemp("data")
    running = ServerProcess(["--port", "0", "--data-dir", str(data_dir)]).start()
    try:
        yield running.wait_until_ready()
    finally:
        running.stop()


@pytest.fixture(scope="session")
def client(server: ServerProcess) -> Iterator[openai.OpenAI]:
    """The official client, with the classic API's base URL but for the host."""
    with openai.OpenAI(api_key="YOUR_API_KEY", base_url=f"{server.url}/v1", max_retries=0) as running:
        yield running


@pytest.fixture(scope="session")
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    """Plain HTTP, for what the official client hides."""
    with httpx.Client(base_url=server.url, timeout=60.0) as running:
        yield running
