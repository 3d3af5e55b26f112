"""Make `.venv` with seekd in it. Standard library only; prints what it does and how long it takes.

    python3 scripts/bootstrap.py [--dev] [--extras postgres,redis]

The one slow step is llama.cpp, which is compiled on this machine so that it uses this CPU's own instructions. pip keeps
the compiled wheel in its cache: the next virtual environment on this machine takes seconds.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOG = VENV / "install.log"
STAMP = VENV / "installed"

# Without its multimodal part: images are not served, and it doubles the time. Native: 70 prompt tokens/s against 48
# with a generic build (1.5B Q4_K_M on 2 cores).
CMAKE_FLAGS = "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF"


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
    digest = _digest()
    wanted = {f"{part}-{digest}" for part in ("run", *extras, *(["dev"] if options.dev else []))}
    present = {part for part in _stamped() if part.endswith(digest)}
    if wanted <= present:
        return 0
    if not (VENV / "bin" / "python").exists():
        print("Making .venv", flush=True)
        venv.create(VENV, with_pip=True)
    status = _install(extras, dev=options.dev)
    if not status:
        STAMP.write_text("\n".join(sorted(wanted | present)), encoding="utf-8")
    return status


def _digest() -> str:
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt", "scripts/bootstrap.py"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()[:16]


def _stamped() -> set[str]:
    """What was installed, each with the digest of the files that said how."""
    return set(STAMP.read_text(encoding="utf-8").split()) if STAMP.exists() else set()


def _known_extras() -> set[str]:
    return set(_pyproject()["project"]["optional-dependencies"])


def _dependency_groups() -> dict[str, list[str]]:
    """Read here, since pip before 25.1 has no `--group`."""
    return _pyproject()["dependency-groups"]


def _pyproject() -> dict:
    import tomllib  # not there before Python 3.11, which main refuses in words

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _install(extras: list[str], *, dev: bool) -> int:
    constraints = str(ROOT / "constraints.txt")
    llama = _requirement("llama-cpp-python")
    if not _has_llama():
        compilers = (os.environ.get("CXX"), "c++", "g++", "clang++")
        if not any(name and shutil.which(name) for name in compilers):
            print(
                "seekd compiles llama.cpp once, and no C++ compiler is here: install one "
                "(Debian, Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install).",
                file=sys.stderr,
            )
            return 1
        cores = os.cpu_count() or 1
        print(
            f"Compiling llama.cpp for this CPU: about {max(1, round(12 / cores))} minutes on {cores} cores, once "
            "(seconds if pip has it in its cache). Details: .venv/install.log",
            flush=True,
        )
        if _pip("Compiling llama.cpp", ["-v", "-c", constraints, llama]):
            return 1
    target = f".[{','.join(extras)}]" if extras else "."
    development = _dependency_groups()["dev"] if dev else []
    return _pip("Installing seekd", ["-c", constraints, "-e", target, *development])


def _has_llama() -> bool:
    version = _requirement("llama-cpp-python").partition("==")[2]
    probe = f"import importlib.metadata as m, sys; sys.exit(m.version('llama-cpp-python') != {version!r})"
    return not subprocess.run([VENV / "bin" / "python", "-c", probe], capture_output=True, check=False).returncode


def _requirement(package: str) -> str:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(rf'"({re.escape(package)}[^"]*)"', text)
    if found is None:
        raise SystemExit(f"pyproject.toml does not name {package}.")
    return found[1]


def _pip(what: str, arguments: list[str]) -> int:
    """Run `pip install`, showing one line that moves; its output goes to the log."""
    environment = os.environ | {
        "CMAKE_ARGS": f"{CMAKE_FLAGS} {os.environ.get('CMAKE_ARGS', '')}".strip(),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", *arguments]
    started = time.monotonic()
    with LOG.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        progress = [""]
        reader = threading.Thread(target=_follow, args=(process, log, progress))
        reader.start()
        shown = 0.0
        while reader.is_alive():
            reader.join(0.5)
            elapsed = time.monotonic() - started
            every = 1.0 if sys.stdout.isatty() else 15.0
            if elapsed - shown >= every:
                shown = elapsed
                _show(f"{what} {progress[0]} {int(elapsed) // 60}:{int(elapsed) % 60:02d}".replace("  ", " "))
        status = process.wait()
    took = time.monotonic() - started
    _show(f"{what}: {'done' if not status else 'failed'} after {took:.0f} s", end=True)
    if status:
        tail = LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        print("\n".join(tail), file=sys.stderr)
        print(f"{what} failed; the whole output is in .venv/install.log", file=sys.stderr)
    return status


def _follow(process: "subprocess.Popen[str]", log: object, progress: list[str]) -> None:
    for line in process.stdout or ():
        log.write(line)  # type: ignore[attr-defined]  # a text file
        step = re.search(r"\[\d+/\d+\]", line)
        if step:
            progress[0] = step[0]


def _show(text: str, *, end: bool = False) -> None:
    if sys.stdout.isatty():
        print(f"\r\x1b[K{text}", end="\n" if end else "", flush=True)
    else:
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
