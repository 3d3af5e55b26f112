"""Programs of other projects that tests run, as Debian packages them."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"


def program(name: str) -> str:
    """Where a program is; without it the test is skipped."""
    # Servers lie in sbin, which is not on everybody's path.
    if path := shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin"):
        return path
    pytest.skip(f"need {name} (Debian: apt-get install nginx-light caddy prometheus systemd openssl podman)")


def free_port() -> int:
    """A port of the loopback address that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
