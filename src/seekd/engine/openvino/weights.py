"""A GGUF file's tensors as arrays that OpenVINO computes with, without loss for all but two of their types.

    in the file                 in memory, a weight                                  loss
    F32, F16, BF16              as it is                                             none
    Q8_0, Q5_0                  8-bit code times the scale of 32                     none
    Q4_0                        4-bit code times the scale of 32                     none
    Q6_K                        8-bit code times the scale of 16                     none
    Q4_1, Q4_K                  (4-bit code less a zero point) times a scale of 32   none beyond 32-bit arithmetic
    Q5_1, Q5_K                  (8-bit code less a zero point) times a scale of 32   none beyond 32-bit arithmetic
    Q2_K, Q3_K                  8-bit code times the scale of 32, the nearest        half a step: 1/254 of the largest

Zero points are numbers of 32 bits. OpenVINO's own reader of GGUF files rounds them to whole numbers, which costs a
model in Q4_1 a quarter of its perplexity; that is why there is this one.

Source: ggml's ggml-common.h (`block_q4_K` and its kin) and its ggml-quants.c (`dequantize_row_q4_K` and its kin).
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

from seekd.engine.llama.model_file import ModelFile, TensorPlace
from seekd.errors import ConfigError

_PLAIN: Mapping[GGMLQuantizationType, npt.DTypeLike] = {
    GGMLQuantizationType.F32: np.float32,
    GGMLQuantizationType.F16: np.float16,
    GGMLQuantizationType.BF16: np.uint16,
}
READER_VERSION = 1
"""Raised by whoever changes what the arrays or the graph over them compute: what is saved on disk is bound to it."""

_GROUP = 32  # weights of a row that share a scale, in most types
_ROWS_AT_ONCE = 4096  # unpacking takes several times the memory of its result


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainMatrix:
    """A matrix in a floating-point type.

    Attributes:
        values: shape `(rows, columns)`; 16-bit patterns where `is_bf16`.
        is_bf16: numpy has no such type.
    """

    values: npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.uint16]
    is_bf16: bool = False

    def with_rows(self, order: npt.NDArray[np.intp]) -> PlainMatrix:
        """The same rows in another order."""
        return PlainMatrix(values=self.values[order], is_bf16=self.is_bf16)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedMatrix:
    """A matrix of small integers in groups: a weight is its code, less the group's zero point, times its scale.

    Attributes:
        codes: shape `(rows, columns)` of 8 bits; of 4 bits `(rows, columns / 2)`, the first of two in the lower half.
            Signed where there are no zero points, else unsigned.
        scales: shape `(rows, groups)`; as many columns belong to each group.
        zero_points: shape `(rows, groups)`; None where all are 0.
        bits: of a code, 4 or 8.
    """

    codes: npt.NDArray[np.int8 | np.uint8]
    scales: npt.NDArray[np.float16 | np.float32]
    zero_points: npt.NDArray[np.float32] | None = None
    bits: int

    @property
    def group_size(self) -> int:
        """Columns that share a scale."""
        return int(self.codes.shape[1] * (8 // self.bits) // self.scales.shape[1])

    def with_rows(self, order: npt.NDArray[np.intp]) -> GroupedMatrix:
        """The same rows in another order."""
        zero_points = None if self.zero_points is None else self.zero_points[order]
        return GroupedMatrix(
            codes=self.codes[order], scales=self.scales[order], zero_points=zero_points, bits=self.bits
        )


Matrix = PlainMatrix | GroupedMatrix


class WeightsFile:
    """The tensors of one file, mapped into memory; a context manager, whose arrays outlive it.

    Args:
        file: of the model.
        unpacked: matrices that need not be read from the file.

    Attributes:
        matrices: those that were asked for, by tensor.
    """

    def __init__(self, file: ModelFile, unpacked: Mapping[str, Matrix] | None = None) -> None:
        self.matrices: dict[str, Matrix] = {}
        self._unpacked = {} if unpacked is None else unpacked
        self._file = file
        self._path: Path = file.path
        self._data: mmap.mmap | None = None
        self._read: set[str] = set()

    def __enter__(self) -> Self:
        try:
            with self._path.open("rb") as data:
                self._data = mmap.mmap(data.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise ConfigError(f"The model file {self._path} cannot be read: {error.strerror}.") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        data, self._data = self._data, None
        if data is not None:
            data.close()

    def __contains__(self, name: str) -> bool:
        return name in self._file.tensors

    @property
    def unread(self) -> list[str]:
        """Tensors of the file that nobody has asked for."""
        return sorted(set(self._file.tensors) - self._read)

    def vector(self, name: str) -> npt.NDArray[np.float32]:
        """A tensor of one dimension, such as a norm's weights.

        Raises:
            ConfigError: the file has no such tensor, or not of this form.
        """
        place = self._place(name)
        kind = _kind(place, name, self._path)
        if len(place.shape) != 1 or kind not in _PLAIN:
            raise ConfigError(
                f"The model file {self._path} holds {name} in a form that OpenVINO's kernels do not read."
            )
        values: npt.NDArray[np.float32] = dequantize(self._rows(place, kind), kind).reshape(-1)
        return np.array(values, dtype=np.float32)

    def matrix(self, name: str, order: npt.NDArray[np.intp] | None = None) -> Matrix:
        """A tensor of two dimensions: rows are outputs, columns are inputs. Read once.

        Args:
            name: of the tensor.
            order: of its rows, always the same for a tensor; None leaves them as they are.

        Raises:
            ConfigError: the file has no such tensor, or not of a type in the table above.
        """
        place = self._place(name)
        if name not in self.matrices:
            found = self._unpacked.get(name)
            if found is None:
                found = self._unpack(name, place)
                found = found if order is None else found.with_rows(order)
            self.matrices[name] = found
        return self.matrices[name]

    def _unpack(self, name: str, place: TensorPlace) -> Matrix:
        kind = _kind(place, name, self._path)
        if len(place.shape) != 2:
            raise ConfigError(
                f"The model file {self._path} holds {name} in the shape {place.shape}, which is no matrix."
            )
        rows = self._rows(place, kind)
        if kind in _PLAIN:
            return PlainMatrix(values=rows.view(_PLAIN[kind]).copy(), is_bf16=kind == GGMLQuantizationType.BF16)
        if kind in _GROUPED:
            return _joined([_GROUPED[kind](rows[at : at + _ROWS_AT_ONCE]) for at in range(0, len(rows), _ROWS_AT_ONCE)])
        raise ConfigError(
            f"The model file {self._path} holds {name} as {kind.name}, which OpenVINO's kernels do not read."
            ' Serve it with engine.kernels = "llama".'
        )

    def _place(self, name: str) -> TensorPlace:
        place = self._file.tensors.get(name)
        if place is None:
            raise ConfigError(f"The model file {self._path} lacks the tensor {name}.")
        self._read.add(name)
        return place

    def _rows(self, place: TensorPlace, kind: GGMLQuantizationType) -> npt.NDArray[np.uint8]:
        """The bytes of a tensor, one row of the tensor a row; borrowed from the map."""
        assert self._data is not None, "the file is not open"
        block, block_bytes = GGML_QUANT_SIZES[kind]
        num_rows = 1 if len(place.shape) == 1 else place.shape[0]
        row_bytes = place.shape[-1] // block * block_bytes
        if place.offset + num_rows * row_bytes > len(self._data) or place.shape[-1] % block:
            raise ConfigError(f"The model file {self._path} is damaged: a tensor ends behind its end.")
        flat = np.frombuffer(self._data, dtype=np.uint8, count=num_rows * row_bytes, offset=place.offset)
        return flat.reshape(num_rows, row_bytes).copy()


def _kind(place: TensorPlace, name: str, path: Path) -> GGMLQuantizationType:
    try:
        return GGMLQuantizationType(place.kind)
    except ValueError as error:
        raise ConfigError(f"The model file {path} holds {name} as type {place.kind}, which is unknown.") from error


# -- the types, each from the bytes of rows ----------------------------------------------------------------------------

Rows = npt.NDArray[np.uint8]


def _q8_0(rows: Rows) -> GroupedMatrix:
    """Blocks of a scale and 32 signed bytes."""
    scales, codes = _fields(rows, 2, 32)
    return _signed(codes.view(np.int8), _halves(scales), bits=8)


def _q4_0(rows: Rows) -> GroupedMatrix:
    """Blocks of a scale and 16 bytes; a lower half belongs to weight i, the upper one to i + 16. 8 stands for 0."""
    scales, packed = _fields(rows, 2, 16)
    return _signed(_nibbles(packed, 16).view(np.int8) - np.int8(8), _halves(scales), bits=4)


def _q4_1(rows: Rows) -> GroupedMatrix:
    """As Q4_0, with an offset instead of the 8."""
    scales, offsets, packed = _fields(rows, 2, 2, 16)
    return _unsigned(_nibbles(packed, 16), _halves(scales), _halves(offsets), bits=4)


def _q5_0(rows: Rows) -> GroupedMatrix:
    """As Q4_0, with the fifth bits of 32 weights in 4 bytes. 16 stands for 0."""
    scales, fifth, packed = _fields(rows, 2, 4, 16)
    return _signed((_nibbles(packed, 16) | _fifth_bits(fifth)).view(np.int8) - np.int8(16), _halves(scales), bits=8)


def _q5_1(rows: Rows) -> GroupedMatrix:
    """As Q5_0, with an offset instead of the 16."""
    scales, offsets, fifth, packed = _fields(rows, 2, 2, 4, 16)
    return _unsigned(_nibbles(packed, 16) | _fifth_bits(fifth), _halves(scales), _halves(offsets), bits=8)


def _q4_k(rows: Rows) -> GroupedMatrix:
    """Blocks of 256: two scales for all, a scale and an offset of 6 bits for each 32, then their halves of bytes."""
    scale, offset, small, packed = _fields(rows, 2, 2, 12, 128)
    return _unsigned(_nibbles(packed, 32), *_small_scales(scale, offset, small), bits=4)


def _q5_k(rows: Rows) -> GroupedMatrix:
    """As Q4_K; the fifth bit of weight i of group g is bit g of byte i."""
    scale, offset, small, fifth, packed = _fields(rows, 2, 2, 12, 32, 128)
    bits = fifth[:, :, None, :] >> np.arange(8, dtype=np.uint8)[:, None] & np.uint8(1)
    codes: Rows = _nibbles(packed, 32) | (bits << np.uint8(4)).reshape(len(rows), -1)
    return _unsigned(codes, *_small_scales(scale, offset, small), bits=8)


def _q6_k(rows: Rows) -> GroupedMatrix:
    """Blocks of 256: 4 lower and 2 upper bits of each, a signed scale of 8 bits for each 16, one scale for all."""
    lower, upper, small, scale = _fields(rows, 128, 64, 16, 2)
    upper_bits = upper.reshape(len(rows), -1, 1, 32) >> np.array([0, 2, 4, 6], np.uint8)[:, None] & 3
    codes = (_nibbles(lower, 64) | (upper_bits << 4).reshape(len(rows), -1)).view(np.int8) - np.int8(32)
    scales = _halves(scale).astype(np.float32)[:, :, None] * small.view(np.int8)
    return _signed(codes, scales.reshape(len(rows), -1), bits=8)


def _recoded(kind: GGMLQuantizationType) -> Callable[[Rows], GroupedMatrix]:
    """The nearest codes of 8 bits for what a type stands for."""

    def convert(rows: Rows) -> GroupedMatrix:
        groups = dequantize(rows, kind).reshape(len(rows), -1, _GROUP)
        # Rounded first, so that the codes are the nearest for the scale that will be used.
        scales = (np.abs(groups).max(axis=2) / 127).astype(np.float16)
        divisors = np.where(scales == 0, np.float32(1), scales.astype(np.float32))[:, :, None]
        codes = np.clip(np.rint(groups / divisors), -127, 127).astype(np.int8)
        return _signed(codes.reshape(len(rows), -1), scales, bits=8)

    return convert


_GROUPED: Mapping[GGMLQuantizationType, Callable[[Rows], GroupedMatrix]] = {
    GGMLQuantizationType.Q8_0: _q8_0,
    GGMLQuantizationType.Q4_0: _q4_0,
    GGMLQuantizationType.Q4_1: _q4_1,
    GGMLQuantizationType.Q5_0: _q5_0,
    GGMLQuantizationType.Q5_1: _q5_1,
    GGMLQuantizationType.Q4_K: _q4_k,
    GGMLQuantizationType.Q5_K: _q5_k,
    GGMLQuantizationType.Q6_K: _q6_k,
    GGMLQuantizationType.Q2_K: _recoded(GGMLQuantizationType.Q2_K),
    GGMLQuantizationType.Q3_K: _recoded(GGMLQuantizationType.Q3_K),
}


def _fields(rows: Rows, *sizes: int) -> list[Rows]:
    """The fields of every block of the rows: shape `(rows, blocks, size)` each."""
    blocks = rows.reshape(len(rows), -1, sum(sizes))
    return [np.ascontiguousarray(field) for field in np.split(blocks, np.cumsum(sizes[:-1]), axis=2)]


def _halves(field: Rows) -> npt.NDArray[np.float16]:
    """A field of one 16-bit number, shape `(rows, blocks)`."""
    return field.view(np.float16)[:, :, 0]


def _nibbles(packed: Rows, run: int) -> Rows:
    """The lower halves of `run` bytes, then their upper ones, then those of the next: shape `(rows, columns)`."""
    runs = packed.reshape(len(packed), -1, 1, run)
    return np.concatenate([runs & 0xF, runs >> 4], axis=2).reshape(len(packed), -1)


def _fifth_bits(field: Rows) -> Rows:
    """Bit i of 32 as the fifth bit of weight i, shape `(rows, columns)`."""
    return np.unpackbits(field, axis=2, bitorder="little").reshape(len(field), -1) << np.uint8(4)


def _small_scales(scale: Rows, offset: Rows, small: Rows) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The scales and offsets of the eight groups of each block, from 6 bits of each.

    Bytes 0 to 3 hold the first four scales, 4 to 7 the first four offsets, 8 to 11 the lower halves of the last four of
    both; their two upper bits are the upper bits of the first eight bytes.
    """
    first, second, both = small[:, :, :4], small[:, :, 4:8], small[:, :, 8:]
    scales = np.concatenate([first & 0x3F, both & 0xF | first >> 2 & 0x30], axis=2)
    offsets = np.concatenate([second & 0x3F, both >> 4 | second >> 2 & 0x30], axis=2)
    return (
        (_halves(scale).astype(np.float32)[:, :, None] * scales).reshape(len(small), -1),
        (_halves(offset).astype(np.float32)[:, :, None] * offsets * -1).reshape(len(small), -1),
    )


def _signed(codes: npt.NDArray[np.int8], scales: npt.NDArray[np.float16 | np.float32], *, bits: int) -> GroupedMatrix:
    flat = codes.reshape(len(codes), -1)
    return GroupedMatrix(codes=_packed(flat.view(np.uint8)) if bits == 4 else flat, scales=scales, bits=bits)


def _unsigned(
    codes: npt.NDArray[np.uint8],
    scales: npt.NDArray[np.float16 | np.float32],
    offsets: npt.NDArray[np.float16 | np.float32],
    *,
    bits: int,
) -> GroupedMatrix:
    """What is `code * scale + offset`. A group whose scale is 0 is its offset, once."""
    steps, offset = scales.astype(np.float32), offsets.astype(np.float32)
    is_flat = steps == 0
    codes = np.where(np.repeat(is_flat, codes.shape[1] // scales.shape[1], axis=1), np.uint8(1), codes)
    zero_points = np.where(is_flat, np.float32(0), -offset / np.where(is_flat, np.float32(1), steps))
    return GroupedMatrix(
        codes=_packed(codes) if bits == 4 else codes,
        scales=np.where(is_flat, offset, steps),
        zero_points=zero_points,
        bits=bits,
    )


def _packed(codes: Rows) -> Rows:
    return codes[:, 0::2] & np.uint8(0xF) | codes[:, 1::2] << np.uint8(4)


def _joined(parts: Sequence[GroupedMatrix]) -> GroupedMatrix:
    zero_points = [part.zero_points for part in parts if part.zero_points is not None]
    return GroupedMatrix(
        codes=np.concatenate([part.codes for part in parts]),
        scales=np.concatenate([part.scales for part in parts]),
        zero_points=np.concatenate(zero_points) if zero_points else None,
        bits=parts[0].bits,
    )
