"""How `.venv` is made, with a pip and a compiler that only write down what they are asked."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "scripts" / "bootstrap.py"

PIP = """#!{python}
import json, os, pathlib, sys, time

root, arguments = pathlib.Path({root!r}), sys.argv[3:]
call = {{"arguments": arguments}} | {{name: os.environ.get(name) for name in ("CMAKE_ARGS", "CFLAGS", "CXXFLAGS")}}
with (root / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(call) + "\\n")
if arguments[0] == "cache":
    print(root / "pip-cache")
elif arguments[0] == "wheel":
    if (root / "broken").exists():
        sys.exit("error: the compiler stumbled")
    deadline = time.monotonic() + 60
    while not (root / "packages-installed").exists():  # a compile that ends first was not beside the packages
        if time.monotonic() > deadline:
            sys.exit("the packages were not installed beside the compile")
        time.sleep(0.01)
    wheels = pathlib.Path(arguments[arguments.index("-w") + 1])
    wheels.mkdir()
    (wheels / "llama_cpp_python-1.2.3-py3-none-any.whl").touch()
elif arguments[-1].endswith(".whl"):
    (root / ".venv/lib/python3/site-packages/llama_cpp_python-1.2.3.dist-info").mkdir(parents=True, exist_ok=True)
elif arguments[-1] == ".":
    (root / "packages-installed").touch()
"""
COMPILER = """#!/bin/sh
echo '#define __cplusplus 201703L'
case "$*" in *-march=native*) for feature in {features}; do echo "#define $feature 1"; done ;; esac
"""


@dataclass(frozen=True)
class Tree:
    """A checkout, and the machine around it."""

    root: Path

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script; the calls of pip are those of this run."""
        (self.root / "calls.jsonl").write_text("")
        (self.root / "packages-installed").unlink(missing_ok=True)
        own = {name: value for name, value in os.environ.items() if name not in {"CMAKE_ARGS", "CFLAGS", "CXXFLAGS"}}
        return subprocess.run(
            [sys.executable, self.root / "scripts" / "bootstrap.py", *arguments],
            env=own | {"CXX": str(self.root / "c++")} | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def calls(self, argument: str | None = None) -> list[Mapping[str, Any]]:  # Any: JSON
        lines = (self.root / "calls.jsonl").read_text().splitlines()
        return [call for call in map(json.loads, lines) if argument is None or argument in call["arguments"]]

    def compile(self, **environment: str) -> Mapping[str, Any]:
        """What pip was asked when llama.cpp was compiled by this run."""
        done = self.run(**environment)
        assert done.returncode == 0, done.stderr
        (call,) = self.calls("wheel")
        return call

    def processor(self, *features: str) -> None:
        self._program("c++", COMPILER.format(features=" ".join(features)))

    def forget_venv(self) -> None:
        shutil.rmtree(self.root / ".venv", ignore_errors=True)
        (self.root / ".venv" / "bin").mkdir(parents=True)
        self._program(".venv/bin/python", PIP.format(python=sys.executable, root=str(self.root)))

    def _program(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)
        (self.root / name).chmod(0o755)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPT, tmp_path / "scripts")
    (tmp_path / "constraints.txt").touch()
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy>=1", "llama-cpp-python==1.2.3"]\n'
        'optional-dependencies = { redis = ["redis>=5"], postgres = ["psycopg>=3"] }\n'
        '[dependency-groups]\ndev = ["pytest>=8"]\n'
    )
    tree = Tree(tmp_path)
    tree.processor("__AVX2__")
    tree.forget_venv()
    return tree


def cache_of(call: Mapping[str, Any]) -> str:  # Any: JSON
    return str(call["arguments"][call["arguments"].index("--cache-dir") + 1])


def test_packages_are_installed_beside_the_compile_and_a_second_run_does_nothing(tree: Tree) -> None:
    done = tree.run()
    assert done.returncode == 0, done.stderr
    assert "Then the server starts" in done.stdout
    (packages,) = tree.calls("numpy>=1")
    assert "pytest>=8" not in packages["arguments"]
    assert packages["CMAKE_ARGS"] is None
    assert tree.calls()[-1]["arguments"][-1].endswith("llama_cpp_python-1.2.3-py3-none-any.whl")
    assert tree.run().stdout == ""
    assert tree.calls() == []


def test_only_what_seekd_loads_is_compiled(tree: Tree) -> None:
    assert "-DLLAVA_BUILD=OFF" in tree.compile()["CMAKE_ARGS"]
    hook = (tree.root / ".venv" / "llama.cmake").read_text()
    assert "set(LLAMA_BUILD_COMMON OFF)" in hook


def test_what_the_checks_need_comes_without_another_compile(tree: Tree) -> None:
    tree.compile()
    assert tree.run("--dev").returncode == 0
    assert tree.calls("wheel") == []
    assert len(tree.calls("pytest>=8")) == 1
    assert tree.run().returncode == 0
    assert tree.calls() == []


def test_extras_are_installed_once_and_stay_installed(tree: Tree) -> None:
    tree.compile()
    assert tree.run("--extras", "redis").returncode == 0
    assert tree.calls("wheel") == []
    (packages,) = tree.calls("redis>=5")
    assert "psycopg>=3" not in packages["arguments"]
    for extras in ("redis", ""):
        assert tree.run("--extras", extras).returncode == 0
        assert tree.calls() == []


def test_an_unknown_extra_is_told_with_the_known_ones(tree: Tree) -> None:
    done = tree.run("--extras", "postgres,rediss")
    assert done.returncode == 1
    assert done.stderr == "There is no extra 'rediss'; there are postgres, redis.\n"
    assert tree.calls() == []


def test_an_old_python_is_told_before_it_reads_a_script(tmp_path: Path) -> None:
    old = tmp_path / "python3.8"
    patched = "import sys; sys.version_info = (3, 8, 18); sys.version = '3.8.18 (main)'"
    old.write_text(f'#!/bin/sh\n[ "$1" = -c ] || exit 99\nexec {sys.executable} -c "{patched}; $2"\n')
    old.chmod(0o755)
    command = ["make", "serve", f"PYTHON={old}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    said = done.stderr.splitlines()[0]
    assert said == f"seekd needs Python 3.11 or newer, and {old} is 3.8.18: name another one with PYTHON=python3.12"


def test_flags_follow_from_the_processor_and_the_users_own_come_last(tree: Tree) -> None:
    assert tree.compile()["CFLAGS"] == ""
    tree.processor("__AVX2__", "__AVX512FP16__")
    call = tree.compile(CFLAGS="-mavx512fp16", CMAKE_ARGS="-DGGML_CUDA=on")
    assert call["CFLAGS"] == "-mno-avx512fp16 -mavx512fp16"
    assert call["CXXFLAGS"] == "-mno-avx512fp16"
    assert call["CMAKE_ARGS"].endswith(" -DGGML_CUDA=on")


def test_the_users_own_arguments_hold_until_others_are_given(tree: Tree) -> None:
    tree.compile(CMAKE_ARGS="-DGGML_CUDA=on")
    assert tree.run().returncode == 0
    assert tree.calls() == []
    assert not tree.compile(CMAKE_ARGS="")["CMAKE_ARGS"].endswith("-DGGML_CUDA=on")


def test_a_processor_with_other_features_compiles_and_caches_a_wheel_of_its_own(tree: Tree) -> None:
    first = tree.compile()
    tree.processor("__AVX2__", "__AVX512F__")
    assert cache_of(tree.compile()) != cache_of(first)
    tree.processor("__AVX2__")
    tree.forget_venv()
    assert cache_of(tree.compile()) == cache_of(first)


def test_a_machine_without_a_compiler_keeps_what_is_installed(tree: Tree) -> None:
    without = {"CXX": "", "PATH": str(tree.root)}
    (tree.root / "c++").unlink()
    done = tree.run(**without)
    assert (done.returncode, "apt-get install g++" in done.stderr) == (1, True)
    tree.processor("__AVX2__")
    tree.compile()
    (tree.root / "c++").unlink()
    assert tree.run(**without).returncode == 0
    assert tree.calls() == []


def test_a_failed_compile_says_where_its_output_is_and_is_tried_again(tree: Tree) -> None:
    (tree.root / "broken").touch()
    done = tree.run()
    assert done.returncode == 1
    assert "the compiler stumbled" in done.stderr
    assert ".venv/install-llama.cpp.log" in done.stderr
    (tree.root / "broken").unlink()
    tree.compile()


def test_the_flag_against_avx512_fp16_wins_over_the_processor() -> None:
    compiler = shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")
    command = [str(compiler), "-march=sapphirerapids", "-dM", "-E", "-x", "c++", os.devnull]
    plain = subprocess.run(command, capture_output=True, text=True, check=False)
    if plain.returncode:
        pytest.skip("needs a C++ compiler that knows Sapphire Rapids")
    assert "__AVX512FP16__" in plain.stdout
    command.insert(1, "-mno-avx512fp16")  # before -march, as CMake places it
    assert "__AVX512FP16__" not in subprocess.run(command, capture_output=True, text=True, check=True).stdout
