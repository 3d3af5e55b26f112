"""The wheel and the source package: what is in them, and that a package index would take them."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    return folder


def _tracked(folder: str) -> set[str]:
    listed = subprocess.run(["git", "ls-files", folder], cwd=ROOT, check=True, capture_output=True, text=True)
    return {line for line in listed.stdout.splitlines() if (ROOT / line).exists()}


def test_the_wheel_holds_the_package_and_its_licences_and_nothing_else(packages: Path) -> None:
    [path] = packages.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    package = {name for name in names if name.startswith("seekd/")}
    assert _tracked("src/seekd") <= {f"src/{name}" for name in package}
    [info] = {name.partition("/")[0] for name in names - package}
    assert {f"{info}/entry_points.txt", f"{info}/licenses/LICENSE", f"{info}/licenses/NOTICE"} <= names
    assert all(name.startswith(f"{info}/") for name in names - package)


def test_the_source_package_holds_neither_tests_nor_training(packages: Path) -> None:
    [path] = packages.glob("*.tar.gz")
    with tarfile.open(path) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert _tracked("src/seekd") <= names
    heads = {name.partition("/")[0] for name in names}
    assert {"src", "docs", "README.md", "LICENSE", "NOTICE", "pyproject.toml"} <= heads
    assert not heads & {"tests", "training", "bench", "scripts"}


def test_a_package_index_would_take_them(packages: Path) -> None:
    files = [str(path) for path in packages.iterdir()]
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
