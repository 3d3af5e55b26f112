"""The file of one cached block: name and bytes.

Reads and writes one file; knows no index, budget or thread.

    name      <key in hex>[-<parent's key in hex>].kv
    offset    0 magic | 8 format u16 | 10 key length u16 | 12 zero u32 | 16 payload length u64
             24 binding (16) | 40 xxh3-128 of the payload (16) | 56 key, padded with zeros to offset 128 | payload

Every field of the header is compared with what the reader expects, and the payload with its checksum, so a file that
is cut, overwritten, renamed or from another model or build is never used. The checksum finds accidents, not forgery:
who can write into the directory can also replace the model. Numbers are little-endian.

There is no fsync. `rename` puts whole files under their names as far as any other process can see, so killing the
process at any point leaves whole files only; after a power loss a file may be short or hold zeros, which the checksum
finds, and what is lost is a cache. An fsync per block would cost more than computing a small block again.
"""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import xxhash

from seekd.engine.cache.tier_index import Payload
from seekd.errors import SeekdError

SUFFIX = ".kv"
HEADER_BYTES = 128
_HEADER = struct.Struct("<8sHHIQ16s16s")
_MAGIC = b"seekd-kv"
_FORMAT = 1
_NAME = re.compile(r"([0-9a-f]{32}|[0-9a-f]{72})(?:-([0-9a-f]{32}))?\.kv")


class DamagedBlock(SeekdError):
    """A cached block is not what its name says."""


def file_name(key: bytes, parent: bytes | None) -> str:
    """The name under which a block lies in its directory."""
    return f"{key.hex()}-{parent.hex()}{SUFFIX}" if parent is not None else f"{key.hex()}{SUFFIX}"


def parse_name(name: str) -> tuple[bytes, bytes | None] | None:
    """Key and parent's key of a block's file name; None when it is not one."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    return bytes.fromhex(found[1]), bytes.fromhex(found[2]) if found[2] else None


def write_block(path: Path, temporary: Path, key: bytes, payload: Payload, binding: bytes) -> int:
    """Write a block whole or not at all.

    Args:
        path: where it appears; its directory exists.
        temporary: a free path on the same file system.
        key: at most 72 bytes.
        payload: any length.
        binding: 16 bytes; a reader with another binding refuses the file.

    Returns:
        Bytes of the file.

    Raises:
        OSError: nothing was written to `path`, and `temporary` is gone.
    """
    view = memoryview(payload).cast("B")
    checksum = xxhash.xxh3_128_digest(view)
    header = _HEADER.pack(_MAGIC, _FORMAT, len(key), 0, len(view), binding, checksum) + key
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            _write_all(descriptor, memoryview(header.ljust(HEADER_BYTES, b"\0")))
            _write_all(descriptor, view)
        finally:
            os.close(descriptor)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return HEADER_BYTES + len(view)


def read_block(path: Path, key: bytes, binding: bytes) -> memoryview:
    """Read a block and check all of it.

    Returns:
        The payload, read-only; owns its memory.

    Raises:
        DamagedBlock: the content is not what was written under this name.
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        data = file.readall()
    if len(data) < HEADER_BYTES:
        raise DamagedBlock("shorter than a header")
    magic, version, key_length, zero, length, its_binding, checksum = _HEADER.unpack_from(data)
    if (magic, version, zero) != (_MAGIC, _FORMAT, 0):
        raise DamagedBlock("not a block, or of another format")
    if its_binding != binding:
        raise DamagedBlock("of another model, build or type")
    if data[_HEADER.size : HEADER_BYTES] != key.ljust(HEADER_BYTES - _HEADER.size, b"\0") or key_length != len(key):
        raise DamagedBlock("of another key")
    payload = memoryview(data)[HEADER_BYTES:]
    if len(payload) != length:
        raise DamagedBlock("cut or extended")
    if xxhash.xxh3_128_digest(payload) != checksum:
        raise DamagedBlock("checksum differs")
    return payload


def _write_all(descriptor: int, view: memoryview) -> None:
    while view:
        view = view[os.write(descriptor, view) :]
