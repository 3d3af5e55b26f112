"""Every client that seekd is tested with, each in its own environment, against real servers: `make clients`.

python -m tests.clients.run [CLIENT ...]             their checks
python -m tests.clients.run --faults [CLIENT ...]    how they behave under the faults of the test kit

With every client, the second writes `docs/reference/client-matrix.md`.
"""

from __future__ import annotations

import argparse
import enum
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seekd.testing.faults import FAULTS
from seekd.testing.open_kit import open_kit
from tests.clients.environments import ROOT, SCRIPTS, SetUpFailed, node, node_environment, python_environment
from tests.clients.stage import open_stage
from tests.integration.conftest import ServerProcess

LIMIT_S = 600
MATRIX = ROOT / "docs" / "reference" / "client-matrix.md"

Behaviour = Mapping[tuple[str, bool], str]
"""What a client did under a fault, streamed or not."""


class Script(enum.Enum):
    """What a client has."""

    CHECKS = "use"
    PROBE = "probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One client.

    Attributes:
        name: as users know it, with the version that is tested.
        command: sets the client up and says how one of its scripts is run, the checks or the probe.
    """

    name: str
    command: Callable[[Script], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one client."""

    client: str
    num_passed: int
    failures: Sequence[str]


def _python(name: str, *requirements: str) -> Callable[[Script], Sequence[str]]:
    return lambda script: (
        str(python_environment(f"{name}_python", requirements)),
        str(SCRIPTS / f"{script.value}_{name}.py"),
    )


def _node(name: str, checks: str) -> Callable[[Script], Sequence[str]]:
    return lambda script: (
        str(node()),
        str(node_environment(name) / (checks if script is Script.CHECKS else "probe.mjs")),
    )


CLIENTS: Mapping[str, Client] = {
    "openai": Client(name="openai 3.54.0 (Python)", command=_python("openai", "openai==3.54.0")),
    "openai-node": Client(name="openai 7.57.0 (Node.js)", command=_node("openai_node", "use_openai.mjs")),
    "anthropic": Client(name="anthropic 2.12.0", command=_python("anthropic", "anthropic==2.12.0")),
    "langchain": Client(name="langchain-deepseek 1.1.1", command=_python("langchain", "langchain-deepseek==1.1.1")),
    "ai-sdk": Client(name="@ai-sdk/deepseek 3.0.56", command=_node("ai_sdk", "use_ai_sdk.mjs")),
    "litellm": Client(name="litellm 1.100.0", command=_python("litellm", "litellm==1.100.0")),
    "pydantic-ai": Client(
        name="pydantic-ai-slim 2.68.0", command=_python("pydantic_ai", "pydantic-ai-slim[openai]==2.68.0")
    ),
    "dsh": Client(name="@deepseek-ai/dsh 0.1.0-rc.8", command=_node("dsh", "use_dsh.mjs")),
}


def main() -> int:
    """Run the clients that were named, or all; 0 if every check passed."""
    parser = argparse.ArgumentParser(description="Run clients of the DeepSeek API against seekd.")
    parser.add_argument("--faults", action="store_true", help="play the faults of the test kit instead of the checks")
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=f"of {', '.join(CLIENTS)}; all without any")
    arguments = parser.parse_args()
    wanted = arguments.clients or list(CLIENTS)
    unknown = [name for name in wanted if name not in CLIENTS]
    if unknown:
        parser.error(f"no client is called {', '.join(unknown)}; there are {', '.join(CLIENTS)}")
    return _play_faults(wanted) if arguments.faults else _check(wanted)


def _check(wanted: Sequence[str]) -> int:
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
        command = client.command(Script.CHECKS)
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


def _play_faults(wanted: Sequence[str]) -> int:
    seen: dict[str, Behaviour] = {}
    with open_kit() as seekd:
        environment = os.environ | {"SEEKD_KIT_URL": seekd.url, "SEEKD_FAULTS": " ".join(FAULTS)}
        for name in wanted:
            _say(f"{CLIENTS[name].name} ...")
            command = CLIENTS[name].command(Script.PROBE)
            done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
            lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
            seen[name] = {(fault, is_stream): outcome for fault, is_stream, outcome in lines}
            if done.returncode or not lines:
                _say(f"{name}: exit status {done.returncode}\n{done.stdout}")
    page = matrix_page(seen)
    _say(page)
    if set(wanted) == set(CLIENTS) and all(seen.values()):
        MATRIX.write_text(page, encoding="utf-8")
    return 0 if all(seen.values()) else 1


def matrix_page(seen: Mapping[str, Behaviour]) -> str:
    """The page of what clients did under each fault."""
    parts = [
        "# Clients under faults\n",
        "<!-- Written by `make clients`; run it again after a change of a client's version. -->",
        "What each client does with an answer under a [fault](client-faults.md), without attempts to repeat where it",
        "has a setting for them. `whole`: it returned the answer; `part`, `empty`, `other text`: it returned that,",
        "without an error; other words: the class of its error. Time limits were 1 s, where a client has a setting",
        "for them, and 3 s by the caller in Node.js. `–`: the fault does not change such an answer, or the client does",
        "not ask for one.\n",
        *(f"- {name}: {CLIENTS[name].name}" for name in seen),
        "",
    ]
    for is_stream, title in ((True, "Streamed"), (False, "Whole")):
        parts += [f"## {title}\n", f"| fault | {' | '.join(seen)} |", "|---" * (len(seen) + 1) + "|"]
        for fault, kind in FAULTS.items():
            cells = [
                behaviour.get((fault, is_stream), "–")
                if kind.changes(is_stream=is_stream, is_chat=name != "anthropic")
                else "–"
                for name, behaviour in seen.items()
            ]
            if set(cells) != {"–"}:
                parts.append(f"| `{fault}` | {' | '.join(cells)} |")
        parts.append("")
    return "\n".join(parts)


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
