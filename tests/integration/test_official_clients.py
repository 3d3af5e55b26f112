"""The official OpenAI clients, Python and Node.js, against real server processes.

The scripts are those of `make clients`, which runs them and the other clients' in environments of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.environments import SCRIPTS, node, node_environment
from tests.clients.stage import Stage, open_stage
from tests.integration.conftest import ServerProcess, StartServer

LIMIT_S = 120


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("stage")) as running:
        yield running


@pytest.fixture(scope="module")
def node_client() -> Path:
    """The folder of the Node.js client; without the npm registry its first set-up fails, and so does the test."""
    return node_environment("openai_node")


@pytest.fixture(scope="module")
def environment(stage: Stage, server: ServerProcess) -> dict[str, str]:
    """What a client's script reads: both servers."""
    return stage.environment | {"SEEKD_MODEL_URL": server.url}


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def _passes_all(done: subprocess.CompletedProcess[str], *, num_checks: int) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(line.startswith("ok ") for line in done.stdout.splitlines()) == num_checks


def test_the_python_client_gets_everything_it_knows_to_ask_for(environment: dict[str, str]) -> None:
    script = SCRIPTS / "use_openai.py"
    num_checks = script.read_text(encoding="utf-8").count("def check_")
    _passes_all(_run([sys.executable, str(script)], environment), num_checks=num_checks)


def test_the_nodejs_client_gets_everything_it_knows_to_ask_for(environment: dict[str, str], node_client: Path) -> None:
    script = node_client / "use_openai.mjs"
    num_checks = script.read_text(encoding="utf-8").count(": async () => {")
    _passes_all(_run([str(node()), str(script)], environment), num_checks=num_checks)


def test_the_nodejs_program_at_the_end_runs_unchanged_but_for_its_base_url(
    server: ServerProcess, node_client: Path
) -> None:
    done = _run([str(node()), str(node_client / "classic_api.mjs")], {"SEEKD_BASE_URL": f"{server.url}/v1"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr == ""


def test_a_program_in_typescript_is_tested_against_a_script(start_server: StartServer, node_client: Path) -> None:
    script = SCRIPTS / "openai_node" / "weather.toml"
    server = start_server("--script", str(script)).wait_until_ready()
    done = _run([str(node()), "--test", str(node_client / "kit.test.ts")], {"SEEKD_URL": server.url})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 4" in done.stdout or "\u2139 pass 4" in done.stdout
