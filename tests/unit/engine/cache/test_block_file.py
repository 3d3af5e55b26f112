from __future__ import annotations

import os
import random
import stat
from pathlib import Path

import pytest

from seekd.engine.cache.block_file import HEADER_BYTES, DamagedBlock, file_name, parse_name, read_block, write_block

KEY = bytes(range(16))
PARENT = bytes(range(16, 32))
BINDING = b"b" * 16


def written(directory: Path, payload: bytes = b"payload" * 100, key: bytes = KEY) -> Path:
    path = directory / file_name(key, None)
    size = write_block(path, directory / "temporary", key, payload, BINDING)
    assert size == path.stat().st_size == HEADER_BYTES + len(payload)
    assert not (directory / "temporary").exists()
    return path


@pytest.mark.parametrize("payload", [b"", b"x", bytes(100_000)])
@pytest.mark.parametrize("key", [KEY, bytes(36)])
def test_what_was_written_is_read(tmp_path: Path, payload: bytes, key: bytes) -> None:
    read = read_block(written(tmp_path, payload, key), key, BINDING)
    assert bytes(read) == payload
    assert read.readonly


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    assert stat.S_IMODE(written(tmp_path).stat().st_mode) == 0o600


def test_any_changed_byte_and_any_length_is_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    source = random.Random(5)
    for position in [*range(HEADER_BYTES), *(source.randrange(len(whole)) for _ in range(100))]:
        path.write_bytes(
            whole[:position] + bytes([whole[position] ^ (1 << source.randrange(8))]) + whole[position + 1 :]
        )
        with pytest.raises(DamagedBlock):
            read_block(path, KEY, BINDING)
    for length in [0, 1, HEADER_BYTES - 1, HEADER_BYTES, *(source.randrange(len(whole)) for _ in range(50))]:
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedBlock):
            read_block(path, KEY, BINDING)
    path.write_bytes(whole + b"x")
    with pytest.raises(DamagedBlock):
        read_block(path, KEY, BINDING)
    path.write_bytes(bytes(len(whole)))
    with pytest.raises(DamagedBlock):
        read_block(path, KEY, BINDING)


def test_another_model_or_another_key_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    with pytest.raises(DamagedBlock, match="model"):
        read_block(path, KEY, b"c" * 16)
    with pytest.raises(DamagedBlock, match="key"):
        read_block(path, PARENT, BINDING)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_block(tmp_path / "missing" / "name", tmp_path / "temporary", KEY, b"x", BINDING)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - every name counts


def test_names_carry_key_and_parent() -> None:
    for key, parent in ((KEY, None), (KEY, PARENT), (bytes(36), None)):
        assert parse_name(file_name(key, parent)) == (key, parent)
    for name in ("x.kv", KEY.hex(), f"{KEY.hex()}-.kv", f"{KEY.hex()}.kv2", f"{KEY.hex().upper()}.kv", "store.json"):
        assert parse_name(name) is None
