import contextlib
import importlib.util
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seekd.accounts.settings import AccountsSettings, books_path
from seekd.cli.doctor import (
    look_at_books,
    look_at_build,
    look_at_disk,
    look_at_llama,
    look_at_openvino,
    look_at_port,
    processor_features,
)
from seekd.cli.main import app


def doctor(data_dir: Path, port: int, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(
        app, ["doctor", "--data-dir", str(data_dir), *arguments], env={"SEEKD_SERVER_PORT": str(port)}
    )
    return result.exit_code, result.stdout


@pytest.fixture
def foreign_port() -> Iterator[int]:
    """Of a program that takes connections and knows no HTTP."""
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up_on_all() -> None:
        with contextlib.suppress(OSError):
            while True:
                listener.accept()[0].close()

    thread = threading.Thread(target=hang_up_on_all)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    listener.close()


def test_a_sound_machine_has_no_problem(data_dir: Path) -> None:
    status, text = doctor(data_dir, 1)
    assert (status, text.splitlines()[-1]) == (0, "No problem found.")
    status, text = doctor(data_dir, 1, "--json")
    findings = {finding["subject"]: finding for finding in json.loads(text)}
    optional = {"OpenVINO"} if importlib.util.find_spec("openvino") else set()
    assert set(findings) - optional == {"seekd", "machine", "processor", "llama.cpp", "build", "disk", "port", "books"}
    assert "llama-cpp-python" in findings["llama.cpp"]["found"]


def test_a_problem_is_said_last_and_in_the_exit_status(data_dir: Path, foreign_port: int) -> None:
    status, text = doctor(data_dir, foreign_port)
    assert status == 1
    assert text.splitlines()[-1].startswith(f"PROBLEM    Another program listens on 127.0.0.1 port {foreign_port}")


def test_looking_makes_no_data_directory(tmp_path: Path) -> None:
    data_dir = tmp_path / "new"
    assert doctor(data_dir, 1)[0] == 0
    assert not data_dir.exists()


def test_a_free_port_is_no_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert look_at_port("127.0.0.1", port).problem is None


def test_books_that_are_no_database_are_a_problem(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    books_path(tmp_path).write_bytes(b"no database" * 1000)
    assert look_at_books(AccountsSettings(), tmp_path).problem is not None


def test_a_data_directory_that_is_not_there_yet_lies_on_a_disk() -> None:
    assert look_at_disk(Path("/no/such/folder")).found.endswith("free for /no/such/folder")


def test_a_llama_cpp_that_kills_its_process_is_a_problem() -> None:
    problem = look_at_llama(["sh", "-c", "kill -ILL $$"]).problem
    assert problem is not None
    assert "signal 4" in problem


def test_a_llama_cpp_that_cannot_be_loaded_says_why() -> None:
    problem = look_at_llama(["sh", "-c", "echo no such library >&2; exit 1"]).problem
    assert problem is not None
    assert "no such library" in problem


def test_an_openvino_that_cannot_be_loaded_says_who_misses_it() -> None:
    assert look_at_openvino(["sh", "-c", "echo 2026.4.1 INT8"]).found == "2026.4.1 INT8"
    problem = look_at_openvino(["sh", "-c", "kill -ILL $$"]).problem
    assert problem is not None
    assert "signal 4" in problem
    assert "engine.kernels" in problem


def test_a_build_for_another_processor_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "build.json"
    build = {
        "features": ["__AVX2__", "__AVX512FP16__", "__znver3__"],
        "flags": "-mno-avx512fp16",
        "reasons": ["__AVX512FP16__: a reason"],
        "users_own": {"CMAKE_ARGS": "-DGGML_CUDA=on", "CFLAGS": ""},
        "machine": "x86_64",
    }
    file.write_text(json.dumps(build))
    sound = look_at_build(file, {"avx2", "avx512_fp16"})
    assert sound.problem is None
    assert sound.found == "compiler flags: -mno-avx512fp16; CMAKE_ARGS=-DGGML_CUDA=on; __AVX512FP16__: a reason"
    moved = look_at_build(file, {"avx2"}).problem
    assert moved is not None
    assert "a processor with avx512_fp16, which" in moved
    assert look_at_build(file, frozenset()).problem is None  # a system that does not say what it can do
    assert look_at_build(tmp_path / "none.json", {"avx2"}).problem is None


def test_features_are_those_of_the_first_processor(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("model name\t: X\nflags\t\t: fpu avx2\n\nflags\t\t: fpu\n")
    assert processor_features(tmp_path / "cpuinfo") == {"fpu", "avx2"}
    (tmp_path / "arm").write_text("Features\t: fp asimd i8mm\n")
    assert "i8mm" in processor_features(tmp_path / "arm")
    assert processor_features(tmp_path / "none") == set()
