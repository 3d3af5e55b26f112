"""The image of deploy/container as a user runs it: read-only, without privileges, its data in a volume.

Needs Podman; llama.cpp is compiled in the image, which takes minutes at the first run. What a machine needs to build
images (certificates, another base) goes into `CONTAINER_BUILD_OPTIONS`, and what it needs to run them into
`CONTAINER_OPTIONS`, each as on a command line.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.programs import free_port, program

ROOT = Path(__file__).parents[2]
BUILD_LIMIT_S = 1800
LIMIT_S = 60.0
CONFINED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


def _podman(*arguments: str, limit_s: float = LIMIT_S) -> str:
    options = shlex.split(os.environ.get("CONTAINER_OPTIONS", ""))
    done = subprocess.run(
        [program("podman"), *options, *arguments], capture_output=True, text=True, timeout=limit_s, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def image() -> str:
    name = "seekd-test"
    options = shlex.split(os.environ.get("CONTAINER_BUILD_OPTIONS", ""))
    _podman(
        "build",
        *options,
        "-t",
        name,
        "-f",
        str(ROOT / "deploy/container/Containerfile"),
        str(ROOT),
        limit_s=BUILD_LIMIT_S,
    )
    return name


class Box:
    """One volume, and containers on it."""

    def __init__(self, image: str) -> None:
        self.name = f"seekd-test-{uuid.uuid4().hex[:8]}"
        self.port = free_port()
        self._run = ("run", "--network", "host", *CONFINED, "--volume", f"{self.name}:/var/lib/seekd")
        self._image = image

    def command(self, *arguments: str) -> str:
        """One `seekd` command in a container of its own."""
        return _podman(*self._run, "--rm", self._image, *arguments)

    @contextlib.contextmanager
    def serving(self) -> Iterator[httpx.Client]:
        """A server, once it answers requests."""
        _podman(*self._run, "--detach", "--name", self.name, self._image, "serve", "--port", str(self.port))
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=LIMIT_S) as client:
            deadline = time.monotonic() + LIMIT_S
            while not _is_up(client):
                assert time.monotonic() < deadline, _podman("logs", self.name)
                time.sleep(0.2)
            yield client

    def remove(self) -> None:
        """Remove containers and volume."""
        for arguments in (("rm", "--force", self.name), ("volume", "rm", "--force", self.name)):
            with contextlib.suppress(AssertionError):
                _podman(*arguments)


def _is_up(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def box(image: str) -> Iterator[Box]:
    box = Box(image)
    yield box
    box.remove()


def test_a_container_answers_with_a_key_and_ends_when_told(box: Box) -> None:
    box.command("accounts", "create", "team")
    key = re.search(r"sk-\S+", box.command("keys", "create", "--account", "team"))
    assert key
    with box.serving() as client:
        body = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hello, how are you?"}]}
        assert client.post("/v1/chat/completions", json=body).status_code == 401
        answer = client.post("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key.group()}"})
        assert answer.json()["choices"][0]["message"]["content"]
        assert _podman("exec", box.name, "id", "-u").strip() == "10001"
        check = re.search(r'CMD \["python", "-c", "(.+)"\]', (ROOT / "deploy/container/Containerfile").read_text())
        assert check
        _podman("exec", box.name, "python", "-c", check.group(1).replace(":8000", f":{box.port}"))
        assert key.group() not in _podman("logs", box.name)
    _podman("stop", "--time", "50", box.name)
    assert _podman("inspect", box.name, "--format", "{{.State.ExitCode}}").strip() == "0"
    assert "1" in box.command("usage", "--json")


def test_a_container_without_a_key_says_how_to_make_one(box: Box) -> None:
    with pytest.raises(AssertionError, match="keys create"):
        box.command("serve")
