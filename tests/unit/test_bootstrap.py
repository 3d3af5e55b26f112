"""`make serve` on a machine that lacks something: one sentence, and nothing is installed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_an_old_python_is_told_before_it_reads_a_script(tmp_path: Path) -> None:
    old = tmp_path / "python3.8"
    patched = "import sys; sys.version_info = (3, 8, 18); sys.version = '3.8.18 (main)'"
    old.write_text(f'#!/bin/sh\n[ "$1" = -c ] || exit 99\nexec {sys.executable} -c "{patched}; $2"\n')
    old.chmod(0o755)
    done = _run("make", "serve", f"PYTHON={old}")
    assert done.returncode == 2
    said = done.stderr.splitlines()[0]
    assert said == f"seekd needs Python 3.11 or newer, and {old} is 3.8.18: name another one with PYTHON=python3.12"


def test_an_unknown_extra_is_told_with_the_known_ones() -> None:
    done = _run(sys.executable, "scripts/bootstrap.py", "--extras", "postgres,rediss")
    assert done.returncode == 1
    assert done.stderr == "There is no extra 'rediss'; there are postgres, presidio, redis.\n"
