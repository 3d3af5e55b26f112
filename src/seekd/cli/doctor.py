"""`seekd doctor`: what a report of trouble needs, and what is wrong with this machine.

It looks and changes nothing, except that it brings books that are there up to date, as every command does.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from seekd import __version__
from seekd.accounts.settings import AccountsSettings, books_path
from seekd.accounts.store import open_connection
from seekd.engine.settings import default_threads, memory_bytes
from seekd.errors import SeekdError
from seekd.settings import Settings

FEATURES = (
    *("avx", "avx2", "avx_vnni", "fma", "f16c"),
    *("avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_int8"),
    *("asimddp", "i8mm", "sve"),
)
"""What decides how fast llama.cpp computes, as Linux names it."""

_PROBE = (sys.executable, "-c", "from seekd.engine.llama.binding import build_info; print(build_info())")
_OPENVINO_PROBE = (
    sys.executable,
    "-c",
    "import openvino as ov; print(ov.__version__, *ov.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'))",
)
_BIG_BYTES = 1 << 30
_LEAST_FREE_BYTES = 1 << 30
_WAIT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report.

    Attributes:
        subject: what was looked at.
        found: what is there.
        problem: what is wrong with it and what to do; None when nothing is.
    """

    subject: str
    found: str
    problem: str | None = None


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """What scripts/bootstrap.py wrote down of the llama.cpp that it compiled; the rest of it is of no interest here.

    Attributes:
        features: of the processor, as the compiler's macros.
        flags: of the compiler.
        reasons: for them.
        users_own: variables of the environment.
    """

    features: tuple[str, ...]
    flags: str
    reasons: tuple[str, ...]
    users_own: dict[str, str]


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; takes a second."""
    features = processor_features(Path("/proc/cpuinfo"))
    return [
        Finding(subject="seekd", found=f"{__version__} with Python {platform.python_version()} in {sys.prefix}"),
        Finding(subject="machine", found=_machine()),
        Finding(subject="processor", found=" ".join(name for name in FEATURES if name in features) or "not known"),
        look_at_llama(_PROBE),
        *([look_at_openvino(_OPENVINO_PROBE)] if importlib.util.find_spec("openvino") else []),
        look_at_build(Path(sys.prefix) / "llama-cpp-build.json", features),
        look_at_disk(settings.server.data_dir),
        look_at_port(settings.server.host, settings.server.port),
        look_at_books(settings.accounts, settings.server.data_dir),
    ]


def as_json(findings: Sequence[Finding]) -> str:
    """The report for scripts."""
    return json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2)


def as_text(findings: Sequence[Finding]) -> str:
    """The report for people, problems last."""
    lines = [f"{finding.subject:10} {finding.found}" for finding in findings]
    problems = [f"PROBLEM    {finding.problem}" for finding in findings if finding.problem]
    return "\n".join([*lines, *(problems or ["No problem found."])])


def processor_features(cpuinfo: Path) -> frozenset[str]:
    """What the first processor can do, as Linux names it; empty on other systems."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    fields = (line.partition(":") for line in lines)
    return next(
        (frozenset(text.split()) for name, _, text in fields if name.strip() in {"flags", "Features"}), frozenset()
    )


def look_at_llama(probe: Sequence[str]) -> Finding:
    """Load llama.cpp in a process of its own, which an instruction that is unknown here would end."""
    return _look_at_kernels("llama.cpp", probe, "Compile it for this machine: make clean serve")


def look_at_openvino(probe: Sequence[str]) -> Finding:
    """Load OpenVINO, where it is installed, as llama.cpp."""
    return _look_at_kernels("OpenVINO", probe, 'Models with engine.kernels = "openvino" will not start here')


def _look_at_kernels(subject: str, probe: Sequence[str], advice: str) -> Finding:
    done = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own program
    if done.returncode == 0:
        return Finding(subject=subject, found=done.stdout.strip())
    last_line = (done.stderr.strip().splitlines() or ["no message"])[-1]
    how = f"signal {-done.returncode}" if done.returncode < 0 else last_line
    return Finding(subject=subject, found="cannot be loaded", problem=f"{subject} ended its process ({how}). {advice}")


def look_at_build(file: Path, features: Collection[str]) -> Finding:
    """How llama.cpp was compiled, and whether for a processor like this one."""
    try:
        build = msgspec.json.decode(file.read_bytes(), type=Build)
    except (OSError, msgspec.DecodeError):
        return Finding(subject="build", found="not compiled by make serve; its flags are not known")
    own = [f"{name}={value}" for name, value in build.users_own.items() if value]
    found = "; ".join([f"compiler flags: {build.flags or 'none'}", *own, *build.reasons])
    compiled = {_plain(name) for name in build.features}
    lacking = [name for name in FEATURES if _plain(name) in compiled and name not in features]
    problem = (
        f"llama.cpp was compiled for a processor with {', '.join(lacking)}, which this one lacks: it may end with an"
        " illegal instruction. Run make serve or make test, which compile it again."
    )
    return Finding(subject="build", found=found, problem=problem if lacking and features else None)


def _plain(name: str) -> str:
    """`avx512_fp16` of Linux and `__AVX512FP16__` of compilers are one name."""
    return name.replace("_", "").lower()


def look_at_disk(data_dir: Path) -> Finding:
    """Room for caches, books and models."""
    existing = next(folder for folder in (data_dir, *data_dir.absolute().parents) if folder.exists())
    free_bytes = shutil.disk_usage(existing).free
    return Finding(
        subject="disk",
        found=f"{free_bytes / 1024**3:.1f} GiB free for {data_dir}",
        problem=f"The disk of {data_dir} is nearly full: free some room." if free_bytes < _LEAST_FREE_BYTES else None,
    )


def look_at_port(host: str, port: int) -> Finding:
    """Whether a server can listen, or a seekd already does."""
    address = f"{host} port {port}"
    try:
        socket.create_connection((host, port), timeout=_WAIT_S).close()
    except OSError:
        return Finding(subject="port", found=f"{address} is free")
    connection = http.client.HTTPConnection(host, port, timeout=_WAIT_S)
    try:
        connection.request("GET", "/livez")
        if connection.getresponse().status == http.HTTPStatus.OK:
            return Finding(subject="port", found=f"{address}: a server answers")
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()
    return Finding(
        subject="port",
        found=f"{address} is taken",
        problem=f"Another program listens on {address}: stop it, or choose another port with --port.",
    )


def look_at_books(settings: AccountsSettings, data_dir: Path) -> Finding:
    """Whether the books can be opened; books that do not exist yet are left so."""
    where = "PostgreSQL" if settings.database_url else str(books_path(data_dir))
    if not settings.database_url and not books_path(data_dir).exists():
        return Finding(subject="books", found=f"{where}: not there yet, the first start makes it")
    try:
        open_connection(settings, data_dir).close()
    except SeekdError as error:
        return Finding(subject="books", found=f"{where} cannot be opened", problem=error.message)
    return Finding(subject="books", found=f"{where} can be opened")


def _machine() -> str:
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    threads = f"{os.cpu_count()} processors, of which llama.cpp uses {default_threads(_BIG_BYTES)}"
    return f"{system}, {threads}, {memory_bytes() / 1024**3:.1f} GiB memory"
