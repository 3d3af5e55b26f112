"""Every client that seekd is tested with, each in its own environment, against real servers: `make clients`.

python -m tests.clients.run [CLIENT ...]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.clients.environments import SCRIPTS, SetUpFailed, node, node_environment, python_environment
from tests.clients.stage import open_stage
from tests.integration.conftest import ServerProcess

LIMIT_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One client.

    Attributes:
        name: as users know it, with the version that is tested.
        command: sets the client up and says how its script is run.
    """

    name: str
    command: Callable[[], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one client."""

    client: str
    num_passed: int
    failures: Sequence[str]


def _python(script: str, *requirements: str) -> Callable[[], Sequence[str]]:
    name = script.removeprefix("use_").removesuffix(".py")
    return lambda: (str(python_environment(f"{name}_python", requirements)), str(SCRIPTS / script))


def _node(name: str, script: str) -> Callable[[], Sequence[str]]:
    return lambda: (str(node()), str(node_environment(name) / script))


CLIENTS: Mapping[str, Client] = {
    "openai": Client(name="openai 3.54.0 (Python)", command=_python("use_openai.py", "openai==3.54.0")),
    "openai-node": Client(name="openai 7.57.0 (Node.js)", command=_node("openai_node", "use_openai.mjs")),
    "anthropic": Client(name="anthropic 2.12.0", command=_python("use_anthropic.py", "anthropic==2.12.0")),
    "langchain": Client(
        name="langchain-deepseek 1.1.1", command=_python("use_langchain.py", "langchain-deepseek==1.1.1")
    ),
    "ai-sdk": Client(name="@ai-sdk/deepseek 3.0.56", command=_node("ai_sdk", "use_ai_sdk.mjs")),
    "litellm": Client(name="litellm 1.100.0", command=_python("use_litellm.py", "litellm==1.100.0")),
    "pydantic-ai": Client(
        name="pydantic-ai-slim 2.68.0", command=_python("use_pydantic_ai.py", "pydantic-ai-slim[openai]==2.68.0")
    ),
    "dsh": Client(name="@deepseek-ai/dsh 0.1.0-rc.8", command=_node("dsh", "use_dsh.mjs")),
}


def main() -> int:
    """Run the clients that were named, or all; 0 if every check passed."""
    parser = argparse.ArgumentParser(description="Run clients of the DeepSeek API against seekd.")
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=f"of {', '.join(CLIENTS)}; all without any")
    wanted = parser.parse_args().clients or list(CLIENTS)
    unknown = [name for name in wanted if name not in CLIENTS]
    if unknown:
        parser.error(f"no client is called {', '.join(unknown)}; there are {', '.join(CLIENTS)}")
    with tempfile.TemporaryDirectory(prefix="seekd-clients-") as folder, open_stage(Path(folder) / "stage") as stage:
        model = ServerProcess(["--port", "0", "--data-dir", str(Path(folder) / "model")]).start()
        try:
            servers = stage.environment | {"SEEKD_MODEL_URL": model.wait_until_ready().url}
            outcomes = [_run(CLIENTS[name], servers) for name in wanted]
        finally:
            model.stop()
    _print_table(outcomes)
    return 1 if any(outcome.failures for outcome in outcomes) else 0


def _run(client: Client, servers: Mapping[str, str]) -> Outcome:
    _say(f"{client.name} ...")
    try:
        command = client.command()
        done = subprocess.run(
            command, env=os.environ | servers, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except SetUpFailed as error:
        _say(str(error))
        return Outcome(client=client.name, num_passed=0, failures=("set-up",))
    except subprocess.TimeoutExpired:
        return Outcome(client=client.name, num_passed=0, failures=(f"longer than {LIMIT_S} s",))
    lines = done.stdout.splitlines()
    failures = [line.removeprefix("FAIL ") for line in lines if line.startswith("FAIL ")]
    num_passed = sum(line.startswith("ok ") for line in lines)
    if failures or done.returncode or not num_passed:
        _say(done.stdout + done.stderr)
        failures = failures or [f"exit status {done.returncode}, {num_passed} checks passed"]
    return Outcome(client=client.name, num_passed=num_passed, failures=failures)


def _print_table(outcomes: Sequence[Outcome]) -> None:
    width = max(len(outcome.client) for outcome in outcomes)
    _say(f"\n{'client':{width}}  passed  failed")
    for outcome in outcomes:
        _say(f"{outcome.client:{width}}  {outcome.num_passed:6}  {', '.join(outcome.failures) or '-'}")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
