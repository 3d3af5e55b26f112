"""Coverage-guided fuzzing with Atheris: `make fuzz`.

python -m tests.fuzz.run [--inputs N] [TARGET ...]    each target in a process of its own, one after another

Inputs that reached new code are kept in `.fuzz/TARGET` and are the start of the next run.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".fuzz"
NUM_INPUTS = 100_000
LARGEST_INPUT = 4096
SLOWEST_INPUT_S = 10


def main() -> int:
    """Fuzz the targets that were named, or all; 1 if one found something."""
    parser = argparse.ArgumentParser(description="Fuzz seekd's readers.")
    parser.add_argument("--inputs", type=int, default=NUM_INPUTS, help=f"of each target; {NUM_INPUTS:,} without it")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    arguments = parser.parse_args()
    if arguments.only:
        _fuzz(arguments.only, arguments.inputs)
    from tests.fuzz.targets import targets

    unknown = [name for name in arguments.targets if name not in targets()]
    if unknown:
        parser.error(f"no target is called {', '.join(unknown)}; there are {', '.join(targets())}")
    _say(f"{'target':16} {'inputs':>10} {'seconds':>8}  outcome")
    outcomes = [_run(name, arguments.inputs) for name in arguments.targets or targets()]
    return 0 if all(outcomes) else 1


def _run(name: str, num_inputs: int) -> bool:
    started_s = time.monotonic()
    command = [sys.executable, "-m", "tests.fuzz.run", "--only", name, "--inputs", str(num_inputs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    log = done.stdout.decode(errors="replace")
    counted = re.search(r"Done (\d+) runs", log)
    outcome = "nothing found" if done.returncode == 0 and counted else f"see .fuzz/{name}.log"
    seconds = time.monotonic() - started_s
    _say(f"{name:16} {int(counted[1]) if counted else 0:>10,} {seconds:>8.0f}  {outcome}")
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.log").write_text(log, encoding="utf-8")
    return done.returncode == 0 and counted is not None


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _fuzz(name: str, num_inputs: int) -> None:
    """Fuzz one target; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["seekd"], enable_loader_override=False):
        from tests.fuzz.targets import targets
    target = targets()[name]
    corpus = FOLDER / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = (f"-runs={num_inputs}", f"-max_len={LARGEST_INPUT}", f"-timeout={SLOWEST_INPUT_S}", "-verbosity=1")
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={FOLDER}/{name}-", str(corpus)], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
