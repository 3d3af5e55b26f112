"""Names of cached content: a hash of the tokens and of everything before them.

Pure.

A block's key covers its own tokens and, through its parent's key, all tokens before it and the salt, so equal keys
mean equal prefixes and one comparison stands for a whole prefix. blake2b rather than a faster unkeyed checksum:
a prompt is written by strangers, and a collision that someone can construct would hand out another prompt's
computed tokens.

    tokens   | 0 .. 63 | 64 .. 127 | 128 .. 150 |
    keys     | k0      | k1        | (no block) |      k0 = H(root(salt), t[0:64])   k1 = H(k0, t[64:128])
    snapshot of 151 tokens: k1 + 151 + H'(k1, t[128:151])
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import numpy as np

BLOCK_SIZE = 64
"""Tokens of a block."""

KEY_BYTES = 16
"""Length of a block's key. 128 bits: with 2**40 blocks the chance of any accidental collision is below 2**-48."""

SNAPSHOT_KEY_BYTES = KEY_BYTES + 4 + KEY_BYTES
"""Length of a snapshot's key: the key before it, the number of tokens, the hash of the tokens in between."""


def root_key(salt: str) -> bytes:
    """The key before the first block.

    Args:
        salt: keys made with different salts have nothing in common.
    """
    return hashlib.blake2b(salt.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES, person=b"seekd-root").digest()


def extend_keys(keys: list[bytes], token_ids: Sequence[int], salt: str) -> None:
    """Append the keys of the whole blocks of `token_ids` that `keys` lacks.

    Args:
        keys: of the first `len(keys)` blocks of the same tokens; mutated.
        token_ids: shape `(num_tokens,)`.
        salt: the one that `keys` was made with.
    """
    parent = keys[-1] if keys else root_key(salt)
    num_known = len(keys) * BLOCK_SIZE
    num_blocks = len(token_ids) // BLOCK_SIZE - len(keys)
    if num_blocks <= 0:
        return
    data = np.asarray(token_ids[num_known : num_known + num_blocks * BLOCK_SIZE], dtype="<i4").tobytes()
    width = BLOCK_SIZE * 4
    for start in range(0, len(data), width):
        parent = hashlib.blake2b(parent + data[start : start + width], digest_size=KEY_BYTES).digest()
        keys.append(parent)


def snapshot_key(keys: Sequence[bytes], token_ids: Sequence[int], num_tokens: int, salt: str) -> bytes:
    """The key of the exact prefix `token_ids[:num_tokens]`.

    Args:
        keys: block keys of the same tokens, at least `num_tokens // BLOCK_SIZE` of them.
        token_ids: at least `num_tokens` of them.
        num_tokens: at least 1.
        salt: the one that `keys` was made with.

    Returns:
        `SNAPSHOT_KEY_BYTES` bytes; `snapshot_parts` takes them apart.
    """
    num_blocks = num_tokens // BLOCK_SIZE
    parent = keys[num_blocks - 1] if num_blocks else root_key(salt)
    data = np.asarray(token_ids[num_blocks * BLOCK_SIZE : num_tokens], dtype="<i4").tobytes()
    rest = hashlib.blake2b(parent + data, digest_size=KEY_BYTES, person=b"seekd-rest").digest()
    return parent + struct.pack("<I", num_tokens) + rest


def snapshot_parts(key: bytes) -> tuple[bytes, int]:
    """The key before a snapshot's last, partial block, and the snapshot's number of tokens."""
    return key[:KEY_BYTES], int(struct.unpack_from("<I", key, KEY_BYTES)[0])
