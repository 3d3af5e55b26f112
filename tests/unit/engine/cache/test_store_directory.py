from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from seekd.engine.cache.store_directory import binding_digest, lock_directory, open_directory, read_binding
from seekd.errors import StoreError


def test_a_directory_is_made_for_its_owner_and_names_its_binding(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    descriptor = open_directory(directory, "model, build", 0.0)
    assert read_binding(directory) == "model, build"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir() if path.is_file()} == {0o600}
    os.close(descriptor)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    descriptor = open_directory(tmp_path, "", 0.0)
    assert lock_directory(tmp_path) is None
    with pytest.raises(StoreError, match="in use by another process"):
        open_directory(tmp_path, "", 0.0)
    code = (
        "import sys, pathlib\nfrom seekd.engine.cache.store_directory import open_directory\n"
        "open_directory(pathlib.Path(sys.argv[1]), '', 0.0)"
    )
    second = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "in use by another process" in second.stderr
    os.close(descriptor)
    os.close(open_directory(tmp_path, "", 0.0))


def test_a_directory_that_is_let_go_of_in_time_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    closer = threading.Timer(0.2, os.close, [open_directory(tmp_path, "", 0.0)])
    closer.start()
    with caplog.at_level(logging.WARNING):
        os.close(open_directory(tmp_path, "", 30.0))
    closer.join()
    assert [record.__dict__["action"] for record in caplog.records] == ["cache.wait"]


def test_what_cannot_be_used_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "locked" / "lock").mkdir(parents=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "tmp").write_text("")
    for name in ("file", "locked", "full"):
        with pytest.raises(StoreError, match="cannot be used"):
            open_directory(tmp_path / name, "", 0.0)
    (tmp_path / "full" / "tmp").unlink()
    os.close(open_directory(tmp_path / "full", "", 0.0))


def test_an_unreadable_binding_is_unknown(tmp_path: Path) -> None:
    assert read_binding(tmp_path) == ""
    for text in ("{", "[]", "{}"):
        (tmp_path / "store.json").write_text(text)
        assert read_binding(tmp_path) == ""


def test_bindings_have_digests_of_their_own() -> None:
    assert len({binding_digest(text) for text in ("", "a", "b", "ab")}) == 4
    assert len(binding_digest("a")) == 16
