"""The directory of one block store: whose it is, and who uses it.

    <directory>/store.json  what the blocks belong to, for people
    <directory>/lock        held by flock while a process uses the directory
    <directory>/tmp/        files being written

One process uses a directory. A second one waits a while, since the first may be on its way out (an engine whose server
was killed ends after its current step), and is then refused. flock, because it ends with the process however that
ends, and is not lost when some other descriptor of the file is closed (as POSIX locks are).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import time
from pathlib import Path

from seekd.errors import StoreError

logger = logging.getLogger(__name__)

TEMPORARY = "tmp"
_STORE_FILE = "store.json"
_LOCK_FILE = "lock"
_LOCK_POLL_S = 0.05


def binding_digest(binding: str) -> bytes:
    """16 bytes that stand for what blocks are bound to."""
    return hashlib.blake2b(binding.encode(), digest_size=16, person=b"seekd-bind").digest()


def lock_directory(directory: Path) -> int | None:
    """Take the directory for this process.

    Returns:
        A descriptor; closing it lets go. None when another holder has it.

    Raises:
        OSError: the lock file cannot be opened.
    """
    descriptor = os.open(directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_binding(directory: Path) -> str:
    """What the blocks of a directory belong to, for people; empty when unknown."""
    try:
        stored = json.loads((directory / _STORE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(stored.get("binding", "")) if isinstance(stored, dict) else ""


def _lock_within(directory: Path, wait_s: float) -> int | None:
    descriptor = lock_directory(directory)
    if descriptor is None and wait_s > 0:
        logger.warning(
            "The cache directory is in use; waiting for its release",
            extra={"action": "cache.wait", "path": str(directory), "wait_s": wait_s},
        )
    end_s = time.monotonic() + wait_s
    while descriptor is None and time.monotonic() < end_s:
        time.sleep(_LOCK_POLL_S)
        descriptor = lock_directory(directory)
    return descriptor


def open_directory(directory: Path, binding: str, wait_s: float) -> int:
    """Make the directory where it is missing, and take it for this process.

    Args:
        directory: mode 0700 when it is made.
        binding: text that names everything a block's bytes depend on.
        wait_s: longest wait for another process to let go of it.

    Returns:
        A descriptor; closing it lets go.

    Raises:
        StoreError: another process uses it, or it cannot be used.
    """
    try:
        for folder in (directory.parent, directory):  # made by `parents` it would be open to all
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = _lock_within(directory, wait_s)
        if descriptor is None:
            raise StoreError(f"The cache directory {directory} is in use by another process.")
        try:
            (directory / TEMPORARY).mkdir(mode=0o700, exist_ok=True)
            text = json.dumps({"binding": binding})
            if read_binding(directory) != binding:
                (directory / _STORE_FILE).write_text(text, encoding="utf-8")
                (directory / _STORE_FILE).chmod(0o600)
        except OSError:
            os.close(descriptor)
            raise
    except OSError as error:
        raise StoreError(f"The cache directory {directory} cannot be used: {error.strerror}.") from error
    return descriptor
