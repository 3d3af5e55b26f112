"""A GGUF file's tensors as arrays that OpenVINO computes with, without loss where its element types allow it.

    in the file                 in memory                                       loss
    F32, F16, BF16              as they are                                     none
    Q8_0                        8-bit codes, a 16-bit scale for 32 of them      none
    Q4_0                        4-bit codes, a 16-bit scale for 32 of them      none
    Q4_1, Q5_*, Q2_K to Q6_K    8-bit codes of the dequantised values, as Q8_0  half a step: 1/254 of the largest of 32

OpenVINO's own reader of GGUF files keeps 4-bit codes for Q4_1 with a whole number for a zero point, which costs a model
a quarter of its perplexity; that is why there is this one.

Source: ggml's ggml-common.h (`block_q4_0`, `block_q8_0`); the dequantisation is that of the package `gguf`.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
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

GROUP_SIZE = 32
"""Weights of a row that share a scale."""

_PLAIN: Mapping[GGMLQuantizationType, npt.DTypeLike] = {
    GGMLQuantizationType.F32: np.float32,
    GGMLQuantizationType.F16: np.float16,
    GGMLQuantizationType.BF16: np.uint16,
}
_RECODED = frozenset(
    {
        GGMLQuantizationType.Q4_1,
        GGMLQuantizationType.Q5_0,
        GGMLQuantizationType.Q5_1,
        GGMLQuantizationType.Q2_K,
        GGMLQuantizationType.Q3_K,
        GGMLQuantizationType.Q4_K,
        GGMLQuantizationType.Q5_K,
        GGMLQuantizationType.Q6_K,
    }
)
_ROWS_AT_ONCE = 4096  # of the dequantised values, which take 4 bytes each


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
    """A matrix of small integers, a scale for each `GROUP_SIZE` of them: a weight is its code times its scale.

    Attributes:
        codes: shape `(rows, columns)` of 8 bits; of 4 bits `(rows, columns / 2)`, the first of two in the lower half.
        scales: shape `(rows, columns / GROUP_SIZE)`.
        bits: of a code, 4 or 8.
    """

    codes: npt.NDArray[np.int8] | npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float16]
    bits: int

    def with_rows(self, order: npt.NDArray[np.intp]) -> GroupedMatrix:
        """The same rows in another order."""
        return GroupedMatrix(codes=self.codes[order], scales=self.scales[order], bits=self.bits)


Matrix = PlainMatrix | GroupedMatrix


class WeightsFile:
    """The tensors of one file, mapped into memory; a context manager, whose arrays are copies and outlive it."""

    def __init__(self, file: ModelFile) -> None:
        self._file = file
        self._path: Path = file.path
        self._data: mmap.mmap | None = None

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

    def matrix(self, name: str) -> Matrix:
        """A tensor of two dimensions: rows are outputs, columns are inputs.

        Raises:
            ConfigError: the file has no such tensor, or not of a type in the table above.
        """
        place = self._place(name)
        kind = _kind(place, name, self._path)
        if len(place.shape) != 2:
            raise ConfigError(
                f"The model file {self._path} holds {name} in the shape {place.shape}, which is no matrix."
            )
        rows = self._rows(place, kind)
        if kind in _PLAIN:
            return PlainMatrix(values=rows.view(_PLAIN[kind]).copy(), is_bf16=kind == GGMLQuantizationType.BF16)
        if kind == GGMLQuantizationType.Q8_0:
            return _codes_of_8_bits(rows)
        if kind == GGMLQuantizationType.Q4_0:
            return _codes_of_4_bits(rows)
        if kind in _RECODED:
            return _recoded(rows, kind)
        raise ConfigError(
            f"The model file {self._path} holds {name} as {kind.name}, which OpenVINO's kernels do not read."
            ' Serve it with engine.kernels = "llama".'
        )

    def _place(self, name: str) -> TensorPlace:
        place = self._file.tensors.get(name)
        if place is None:
            raise ConfigError(f"The model file {self._path} lacks the tensor {name}.")
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


def _codes_of_8_bits(rows: npt.NDArray[np.uint8]) -> GroupedMatrix:
    """Q8_0: blocks of a 16-bit scale and 32 signed bytes."""
    blocks = rows.reshape(len(rows), -1, 2 + GROUP_SIZE)
    return GroupedMatrix(
        codes=np.ascontiguousarray(blocks[:, :, 2:]).view(np.int8).reshape(len(rows), -1),
        scales=np.ascontiguousarray(blocks[:, :, :2]).view(np.float16).reshape(len(rows), -1),
        bits=8,
    )


def _codes_of_4_bits(rows: npt.NDArray[np.uint8]) -> GroupedMatrix:
    """Q4_0: blocks of a 16-bit scale and 16 bytes; a lower half belongs to weight i, the upper one to i + 16.

    A code is 8 more than what it stands for, so its highest bit is turned to make it a signed one.
    """
    blocks = rows.reshape(len(rows), -1, 2 + GROUP_SIZE // 2)
    packed = blocks[:, :, 2:]
    codes = np.concatenate([packed & 0xF, packed >> 4], axis=2) ^ 8
    return GroupedMatrix(
        codes=(codes[:, :, 0::2] | codes[:, :, 1::2] << 4).reshape(len(rows), -1),
        scales=np.ascontiguousarray(blocks[:, :, :2]).view(np.float16).reshape(len(rows), -1),
        bits=4,
    )


def _recoded(rows: npt.NDArray[np.uint8], kind: GGMLQuantizationType) -> GroupedMatrix:
    parts = [
        _nearest_codes(dequantize(rows[start : start + _ROWS_AT_ONCE], kind))
        for start in range(0, len(rows), _ROWS_AT_ONCE)
    ]
    return GroupedMatrix(
        codes=np.concatenate([part.codes for part in parts]),
        scales=np.concatenate([part.scales for part in parts]),
        bits=8,
    )


def _nearest_codes(values: npt.NDArray[np.float32]) -> GroupedMatrix:
    groups = values.reshape(len(values), -1, GROUP_SIZE)
    # Rounded first, so that the codes are the nearest for the scale that will be used.
    scales = (np.abs(groups).max(axis=2) / 127).astype(np.float16)
    divisors = np.where(scales == 0, np.float32(1), scales.astype(np.float32))[:, :, None]
    codes = np.clip(np.rint(groups / divisors), -127, 127).astype(np.int8)
    return GroupedMatrix(codes=codes.reshape(len(values), -1), scales=scales, bits=8)
