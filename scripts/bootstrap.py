"""Make `.venv` with seekd in it. Standard library only; prints what it does and how long it takes.

    python3 scripts/bootstrap.py [--dev] [--extras postgres,redis]

The one slow step is llama.cpp, which is compiled on this machine so that it uses this processor's own instructions; the
Python packages are installed beside it. pip keeps the compiled wheel in a cache whose name holds everything that the
wheel follows from: the next virtual environment takes seconds, and another processor compiles a wheel of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import venv
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
WHEELS = VENV / "wheels"
STAMP = VENV / "installed"
BUILD = VENV / "llama-cpp-build.json"
"""How the llama.cpp in `.venv` was compiled; `seekd doctor` reads it."""

# Native: 70 prompt tokens/s against 48 with a generic build (1.5B Q4_K_M on 2 cores).
CMAKE_ARGS = "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF"
# Read by CMake at the start of llama.cpp's own project. llama-cpp-python forces the library of llama.cpp's programs to
# be built, which seekd never loads and which takes as long as the rest; a plain variable wins over what it forces.
CMAKE_HOOK = "set(LLAMA_BUILD_COMMON OFF)\n"
USERS_OWN = ("CMAKE_ARGS", "CFLAGS", "CXXFLAGS")


@dataclass(frozen=True)
class Processor:
    """What a kind of processor asks of the compiler.

    Attributes:
        feature: the macro by which a compiler announces it under `-march=native`.
        flags: added to what is compiled; none where the table only says why not.
        reason: for the flags, as `seekd doctor` prints it.
    """

    feature: str
    flags: str
    reason: str


PROCESSORS = (
    Processor(
        "__AVX512FP16__",
        "-mno-avx512fp16",
        "ggml adds up halves in steps of 128 with AVX512-FP16, which heads of 64 values do not fill: decoding at depth "
        "was 2.4 times slower, batches of 34 tokens 3 times (SmolLM2-135M, Sapphire Rapids)",
    ),
    Processor(
        "__AMX_INT8__",
        "",
        "compiled in, but never used: seekd loads weights so that this llama.cpp leaves AMX alone, since GCC drops "
        "half of the unit's configuration and the first prompt would be an illegal instruction",
    ),
)


@dataclass(frozen=True)
class Build:
    """Everything that a compiled llama.cpp follows from. Equal builds are the same wheel.

    Attributes:
        requirement: llama-cpp-python with its version.
        machine: the architecture, as the system calls it.
        features: macros that the compiler defines for this processor and not for its plainest one.
        flags: of the compiler, from the table of processors.
        reasons: for them, one a row of the table that holds here.
        cmake: seekd's own CMake arguments and hook.
        users_own: the user's variables of the environment; the compiler and CMake read them after seekd's, so they win.
    """

    requirement: str
    machine: str
    features: list[str]
    flags: str
    reasons: list[str]
    cmake: str
    users_own: dict[str, str]

    @property
    def key(self) -> str:
        """A name for equal builds. Reasons are words, and do not count."""
        facts = {name: value for name, value in asdict(self).items() if name != "reasons"}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    def environment(self) -> dict[str, str]:
        """Of the process that compiles."""
        hook = shlex.quote(f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={VENV / 'llama.cmake'}")
        ours = {"CMAKE_ARGS": f"{CMAKE_ARGS} {hook}", "CFLAGS": self.flags, "CXXFLAGS": self.flags}
        return {name: f"{ours[name]} {self.users_own[name]}".strip() for name in USERS_OWN}


def main() -> int:
    """Install what is missing; 0 when `.venv` is ready."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="also what the tests and checks need")
    parser.add_argument("--extras", default="", metavar="NAMES", help="optional parts, such as postgres,redis")
    options = parser.parse_args()
    if sys.version_info < (3, 11):
        print(f"seekd needs Python 3.11 or newer; this is {sys.version.split()[0]}.", file=sys.stderr)
        return 1
    extras = [name for name in re.split(r"[,\s]+", options.extras) if name]
    unknown = sorted(set(extras) - _known_extras())
    if unknown:
        print(f"There is no extra {unknown[0]!r}; there are {', '.join(sorted(_known_extras()))}.", file=sys.stderr)
        return 1
    installed = _installed_build()
    compiler = _compiler()
    if compiler is not None:
        build = plan_build(compiler, installed)
    elif installed is not None:  # nothing can be compiled, so what is there has to do
        build = installed
    else:
        print(
            "seekd compiles llama.cpp once, and no C++ compiler is here: install one "
            "(Debian, Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install).",
            file=sys.stderr,
        )
        return 1
    digest = _digest(build)
    wanted = {f"{part}-{digest}" for part in ("run", *extras, *(["dev"] if options.dev else []))}
    present = {part for part in _stamped() if part.endswith(digest)}
    if wanted <= present:
        return 0
    if not PYTHON.exists():
        print("Making .venv", flush=True)
        venv.create(VENV, with_pip=True)
    if not _install(build, extras, compiles=build != installed, dev=options.dev):
        return 1
    STAMP.write_text("\n".join(sorted(wanted | present)), encoding="utf-8")
    return 0


def plan_build(compiler: list[str], installed: Build | None) -> Build:
    """The build for this processor, with the user's own variables; one that is unset is as in the installed build.

    So `CMAKE_ARGS=-DGGML_CUDA=on make serve` is said once; `CMAKE_ARGS= make serve` goes back.
    """
    features = _features(compiler)
    rows = [row for row in PROCESSORS if row.feature in features]
    before = installed.users_own if installed else {}
    return Build(
        requirement=next(found for found in _requirements() if found.startswith("llama-cpp-python")),
        machine=platform.machine(),
        features=features,
        flags=" ".join(row.flags for row in rows if row.flags),
        reasons=[f"{row.feature}: {row.flags or 'no flag'} ({row.reason})" for row in rows],
        cmake=f"{CMAKE_ARGS}\n{CMAKE_HOOK}",
        users_own={name: os.environ.get(name, before.get(name, "")) for name in USERS_OWN},
    )


def _features(compiler: list[str]) -> list[str]:
    """The macros that compiling for this very processor adds to the compiler's own."""
    plain = _macros(compiler)
    native = _macros([*compiler, "-march=native"]) or _macros([*compiler, "-mcpu=native"])
    return sorted(native - plain)


def _macros(compiler: list[str]) -> set[str]:
    command = [*compiler, "-dM", "-E", "-x", "c++", os.devnull]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return set(re.findall(r"^#define (\w+)", done.stdout, re.MULTILINE)) if not done.returncode else set()


def _compiler() -> list[str] | None:
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        command = shlex.split(name or "")
        if command and shutil.which(command[0]):
            return command
    return None


def _installed_build() -> Build | None:
    """What `.venv` holds; None where it holds no llama.cpp, or one that this script has not compiled."""
    try:
        build = Build(**json.loads(BUILD.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # not there, or of another version of this script
        return None
    version = build.requirement.partition("==")[2]
    return build if any(VENV.glob(f"lib/python*/site-packages/llama_cpp_python-{version}.dist-info")) else None


def _digest(build: Build) -> str:
    digest = hashlib.sha256(build.key.encode())
    for name in ("pyproject.toml", "constraints.txt", "scripts/bootstrap.py"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()[:16]


def _stamped() -> set[str]:
    """What was installed, each with the digest of what said how."""
    return set(STAMP.read_text(encoding="utf-8").split()) if STAMP.exists() else set()


def _known_extras() -> set[str]:
    return set(_pyproject()["project"]["optional-dependencies"])


def _requirements(extras: list[str] | None = None, *, dev: bool = False) -> list[str]:
    """What to install; groups are read here, since pip before 25.1 has no `--group`."""
    project = _pyproject()["project"]
    optional = [found for extra in extras or () for found in project["optional-dependencies"][extra]]
    return [*project["dependencies"], *optional, *(_pyproject()["dependency-groups"]["dev"] if dev else ())]


def _pyproject() -> dict:
    import tomllib  # not there before Python 3.11, which main refuses in words

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _install(build: Build, extras: list[str], *, compiles: bool, dev: bool) -> bool:
    constraints = ["-c", str(ROOT / "constraints.txt")]
    others = [found for found in _requirements(extras, dev=dev) if found != build.requirement]
    packages = Job(
        "Installing the Python packages",
        VENV / "install-packages.log",
        [
            ["install", *constraints, *others],
            ["install", "--no-deps", "-e", "."],
        ],
    )
    if not compiles:
        return _run(packages)
    cache = _cache(build)
    _announce(dev=dev, is_cached=cache is not None and any(cache.glob("wheels/**/llama_cpp_python-*.whl")))
    BUILD.unlink(missing_ok=True)
    (VENV / "llama.cmake").write_text(CMAKE_HOOK, encoding="utf-8")
    shutil.rmtree(WHEELS, ignore_errors=True)
    where = ["--cache-dir", str(cache)] if cache is not None else []
    llama = Job(
        "Compiling llama.cpp",
        VENV / "install-llama.cpp.log",
        [["wheel", "-v", "--no-deps", "-w", str(WHEELS), *where, build.requirement]],
        build.environment(),
    )
    if not _run(llama, packages):
        return False
    # The version that is there may be the same, of another build.
    commands = [["uninstall", "-y", "llama-cpp-python"], ["install", *constraints, *map(str, WHEELS.glob("*.whl"))]]
    if not _run(Job("Installing llama.cpp", VENV / "install-llama.cpp.log", commands)):
        return False
    shutil.rmtree(WHEELS)
    BUILD.write_text(json.dumps(asdict(build), indent=1), encoding="utf-8")
    return True


def _cache(build: Build) -> Path | None:
    """Where pip keeps the wheel of this build; None where the user keeps pip from caching.

    pip names a wheel in its cache by its source alone, so that builds that differ need caches that differ.
    """
    command = [PYTHON, "-m", "pip", "cache", "dir"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Path(done.stdout.strip()) / "seekd" / build.key if not done.returncode else None


def _announce(*, dev: bool, is_cached: bool) -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    then = "the checks run" if dev else "the server starts"
    if is_cached:
        print(f"llama.cpp for this processor is in pip's cache; in a minute {then}.", flush=True)
        return
    print(
        "llama.cpp is compiled for this processor while the Python packages are installed, once: about "
        f"{max(1, round(3.5 / cores))} min ({cores} CPUs). Then {then}. Details: .venv/install-*.log",
        flush=True,
    )


@dataclass
class Job:
    """Calls of pip, one after the other, in a thread; their output goes to a file.

    Attributes:
        what: they do, in words.
        log: the file.
        calls: arguments of each.
        environment: what differs from this process's.
    """

    what: str
    log: Path
    calls: list[list[str]]
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.progress = ""
        self.status = 0
        self.took_s = 0.0
        self._process: subprocess.Popen[str] | None = None
        self._is_stopped = False
        self._lock = threading.Lock()
        self.thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        started = time.monotonic()
        with self.log.open("a", encoding="utf-8") as log:
            for call in self.calls:
                self._call(call, log)
                if self.status:
                    break
        self.took_s = time.monotonic() - started

    def _call(self, arguments: list[str], log: object) -> None:
        with self._lock:
            if self._is_stopped:
                self.status = 1
                return
            self._process = process = subprocess.Popen(
                [PYTHON, "-m", "pip", *arguments],
                cwd=ROOT,
                env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # so that a compiler's whole family can be stopped
            )
        for line in process.stdout or ():
            log.write(line)  # type: ignore[attr-defined]  # a text file
            step = re.search(r"\[(\d+/\d+|\s*\d+%)\]", line)
            if step:
                self.progress = " " + step[0]
        self.status = process.wait()

    def stop(self) -> None:
        """End what runs, and start nothing more."""
        with self._lock:
            self._is_stopped = True
            if self._process is not None and self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGTERM)


def _run(*jobs: Job) -> bool:
    """Run jobs side by side, with a line that says how far they are; whether all went well. One that fails ends all."""
    started = shown = time.monotonic()
    running = list(jobs)
    try:
        for job in jobs:
            job.thread.start()
        while running:
            running[0].thread.join(0.2)
            for job in [job for job in running if not job.thread.is_alive()]:
                running.remove(job)
                _show(f"{job.what}: {'failed' if job.status else 'done'} after {job.took_s:.0f} s", end=True)
                if job.status:
                    _explain(job)
                    return False
            now = time.monotonic()
            if running and now - shown >= (1 if sys.stdout.isatty() else 15):
                shown = now
                minutes, seconds = divmod(int(now - started), 60)
                _show(f"{', '.join(job.what + job.progress for job in running)} {minutes}:{seconds:02d}")
        return True
    finally:
        for job in running:
            job.stop()


def _explain(job: Job) -> None:
    print("\n".join(job.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]), file=sys.stderr)
    print(f"{job.what} failed; the whole output is in {job.log.relative_to(ROOT)}", file=sys.stderr)


def _show(text: str, *, end: bool = False) -> None:
    if sys.stdout.isatty():
        print(f"\r\x1b[K{text}", end="\n" if end else "", flush=True)
    else:
        print(text, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
