"""Checks a GGUF file before llama.cpp touches it.

Pure Python over a memory map.

llama.cpp aborts the whole process on several kinds of malformed files. What can be told from the header is told here
in one sentence; what cannot is survived because the file is first loaded in the engine process.

Source: the GGUF specification, version 3 (ggml's docs/gguf.md).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from seekd.errors import ConfigError

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING = 8
_ARRAY = 9
# GGUF value type -> struct format of a scalar.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_F64 = 28  # ggml_type of a tensor; llama.cpp's graphs crash on it
_MAX_DIMENSIONS = 4
_TOKENS, _TOKEN_KINDS = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"
_INT32 = 5
_SPECIAL_KINDS = frozenset({3, 4})  # control and user-defined entries
_REQUIRED_KEYS = ("general.architecture", "tokenizer.ggml.model", _TOKENS)

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorPlace:
    """Where a tensor lies in its file.

    Attributes:
        shape: the outermost dimension first; a matrix is `(rows, columns)`.
        kind: its `ggml_type`.
        offset: bytes from the beginning of the file.
    """

    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """What the header says.

    Attributes:
        metadata: the scalar key-value pairs; arrays are left out.
        array_lengths: number of elements of each array key.
        size_bytes: of the file.
        special_tokens: spelling to id of every control and user-defined entry of the vocabulary.
        tensors: by name; empty where a split model's first part holds none.
    """

    path: Path
    metadata: Mapping[str, Scalar]
    array_lengths: Mapping[str, int]
    size_bytes: int
    special_tokens: Mapping[str, int] = field(default_factory=dict)
    tensors: Mapping[str, TensorPlace] = field(default_factory=dict)

    @property
    def printed_metadata(self) -> dict[str, str]:
        """The metadata as llama.cpp prints it, which is what a loaded model tells."""
        return {
            name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in self.metadata.items()
        }

    @property
    def architecture(self) -> str:
        """`general.architecture`."""
        return str(self.metadata["general.architecture"])

    def number(self, name: str) -> int | None:
        """An integer of the architecture's own section, such as `block_count`; None when it is absent."""
        value = self.metadata.get(f"{self.architecture}.{name}")
        return int(value) if isinstance(value, (int, float)) else None


def read_model_file(path: Path) -> ModelFile:
    """Read and check a file's header. Costs 0.1 s for a vocabulary of 150,000 entries.

    Raises:
        ConfigError: the file cannot be a model that llama.cpp loads; the message is one sentence for the user.
    """
    try:
        size_bytes = path.stat().st_size
        if not path.is_file():
            raise ConfigError(f"The model {path} is not a file.")
        with path.open("rb") as file:
            if file.read(4) != _MAGIC:
                raise ConfigError(f"The model file {path} is not a GGUF file.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _parse(path, data, size_bytes)
    except FileNotFoundError as error:
        raise ConfigError(f"The model file {path} does not exist.") from error
    except OSError as error:
        raise ConfigError(f"The model file {path} cannot be read: {error.strerror}.") from error
    except (struct.error, IndexError, UnicodeDecodeError, OverflowError) as error:
        raise ConfigError(f"The model file {path} is damaged: its header cannot be read ({error}).") from error


class _Reader:
    """A cursor over the header's little-endian values."""

    def __init__(self, data: mmap.mmap, offset: int) -> None:
        self._data = data
        self.offset = offset

    def number(self, code: str) -> int:
        (value,) = struct.unpack_from("<" + code, self._data, self.offset)
        self.offset += struct.calcsize("<" + code)
        return value  # type: ignore[no-any-return]  # struct's result has no static type

    def string(self) -> str:
        length = self.number("Q")
        start, self.offset = self.offset, self.offset + length
        if self.offset > len(self._data):
            raise IndexError("a text ends beyond the end of the file")
        return self._data[start : self.offset].decode()

    def skip(self, kind: int, count: int) -> None:
        """Step over `count` array elements."""
        if kind == _STRING:
            data, offset, unpack = self._data, self.offset, struct.Struct("<Q").unpack_from
            for _ in range(count):
                offset += 8 + unpack(data, offset)[0]
            self.offset = offset
        elif kind in _SCALARS:
            self.offset += count * struct.calcsize("<" + _SCALARS[kind])
        else:
            raise IndexError(f"an array of the unknown type {kind}")
        if self.offset > len(self._data):
            raise IndexError("an array ends beyond the end of the file")


def _parse(path: Path, data: mmap.mmap, size_bytes: int) -> ModelFile:
    reader = _Reader(data, offset=4)
    version = reader.number("I")
    if version not in _VERSIONS:
        raise ConfigError(f"The model file {path} has GGUF version {version}; seekd reads versions 2 and 3.")
    num_tensors, num_keys = reader.number("q"), reader.number("q")
    if num_tensors < 0 or num_keys < 0:
        raise IndexError("negative counts")
    metadata: dict[str, Scalar] = {}
    array_lengths: dict[str, int] = {}
    arrays: dict[str, tuple[int, int, int]] = {}  # kind, length, and where its elements begin
    for _ in range(num_keys):
        key, kind = reader.string(), reader.number("I")
        if kind == _ARRAY:
            kind, count = reader.number("I"), reader.number("Q")
            arrays[key] = (kind, count, reader.offset)
            reader.skip(kind, count)
            array_lengths[key] = count
        elif kind == _STRING:
            metadata[key] = reader.string()
        elif kind in _SCALARS:
            metadata[key] = reader.number(_SCALARS[kind])
        else:
            raise IndexError(f"the key {key} has the unknown type {kind}")
    is_split = metadata.get("split.count", 1) not in (0, 1)
    tensors: dict[str, TensorPlace] = {}
    if num_tensors or not is_split:  # the first part of a split model may hold the metadata alone
        tensors = _read_tensors(
            path, reader, num_tensors, size_bytes=size_bytes, alignment=int(metadata.get("general.alignment", 32))
        )
    model = ModelFile(
        path=path,
        metadata=metadata,
        array_lengths=array_lengths,
        size_bytes=size_bytes,
        special_tokens=_special_tokens(data, arrays),
        tensors=tensors,
    )
    _check_keys(model)
    return model


def _special_tokens(data: mmap.mmap, arrays: Mapping[str, tuple[int, int, int]]) -> dict[str, int]:
    (kind, count, offset), (kinds_kind, num_kinds, kinds_offset) = (
        arrays.get(name, (0, 0, 0)) for name in (_TOKENS, _TOKEN_KINDS)
    )
    if kind != _STRING or kinds_kind != _INT32 or count != num_kinds:
        return {}
    reader = _Reader(data, offset)
    found = {}
    for token_id, (token_kind,) in enumerate(struct.iter_unpack("<i", data[kinds_offset : kinds_offset + 4 * count])):
        if token_kind in _SPECIAL_KINDS:
            found[reader.string()] = token_id
        else:
            reader.skip(_STRING, 1)
    return found


def _read_tensors(
    path: Path, reader: _Reader, num_tensors: int, *, size_bytes: int, alignment: int
) -> dict[str, TensorPlace]:
    """The table of tensors must be whole, and every tensor must start inside the file."""
    if alignment <= 0 or alignment & (alignment - 1):
        raise ConfigError(f"The model file {path} is damaged: its alignment is {alignment}, not a power of two.")
    found: dict[str, TensorPlace] = {}  # with offsets from the beginning of the weights
    for _ in range(num_tensors):
        name = reader.string()
        num_dimensions = reader.number("I")
        if not 0 < num_dimensions <= _MAX_DIMENSIONS:
            raise IndexError(f"the tensor {name} has {num_dimensions} dimensions")
        dimensions = [reader.number("Q") for _ in range(num_dimensions)]
        kind = reader.number("I")
        if kind == _F64:
            raise ConfigError(
                f"The model file {path} holds the tensor {name} in 64 bits, which llama.cpp cannot compute."
            )
        if not all(dimensions):
            raise IndexError(f"the tensor {name} is empty")
        found[name] = TensorPlace(shape=tuple(reversed(dimensions)), kind=kind, offset=reader.number("Q"))
    if not found:
        raise ConfigError(f"The model file {path} holds no weights.")
    data_start = -(-reader.offset // alignment) * alignment
    if data_start + max(place.offset for place in found.values()) >= size_bytes:
        raise ConfigError(
            f"The model file {path} is cut short: it has {size_bytes} bytes and its last weights start behind."
        )
    return {name: replace(place, offset=data_start + place.offset) for name, place in found.items()}


def _check_keys(model: ModelFile) -> None:
    """What llama.cpp needs and asks for with an abort instead of an error."""
    missing = [key for key in _REQUIRED_KEYS if key not in model.metadata and key not in model.array_lengths]
    if missing:
        raise ConfigError(
            f"The model file {model.path} lacks {missing[0]}: it is not a language model with a vocabulary."
        )
    if model.metadata.get("split.count", 1) not in (0, 1):
        return  # the tensors of a split model are in several files; llama.cpp checks them
    if model.architecture == "deepseek2":
        _check_deepseek2(model)


def _check_deepseek2(model: ModelFile) -> None:
    """Keys whose absence aborts the process while a `deepseek2` file is loaded (llama.cpp 0c1e57098)."""
    needed = ["attention.head_count_kv", "attention.key_length", "rope.dimension_count"]
    if model.number("attention.head_count_kv") == 1:  # stored for MLA
        needed += ["attention.key_length_mla", "attention.value_length_mla"]
    for name in needed:
        if model.number(name) is None and f"deepseek2.{name}" not in model.array_lengths:
            raise ConfigError(f"The model file {model.path} lacks deepseek2.{name}.")
