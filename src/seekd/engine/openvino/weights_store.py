"""Matrices that were unpacked before, on disk: the next start maps them instead of unpacking the model file again.

    <directory>/<model>-<build>.bin     the arrays, one after the other, each aligned
    <directory>/<model>-<build>.json    where each matrix's arrays are; appears last, when the other is whole

`<model>` stands for the path of the file, `<build>` for its size and time of writing and the version of what is read.
A model has one pair here: who saves a new one removes the old.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seekd.engine.llama.model_file import ModelFile
from seekd.engine.openvino.weights import READER_VERSION, GroupedMatrix, Matrix, PlainMatrix
from seekd.engine.settings import default_cache_disk

_log = logging.getLogger(__name__)

_ALIGNMENT = 64


class WeightsStore:
    """The unpacked matrices of one model file.

    Args:
        directory: of all models; made where it is missing, mode 0700.
        file: of the model.
    """

    def __init__(self, directory: Path, file: ModelFile) -> None:
        status = file.path.stat()
        self._directory = directory
        self._model_name = _name(str(file.path.resolve()))
        build = _name(f"{READER_VERSION} {status.st_size} {status.st_mtime_ns}")
        self._index = directory / f"{self._model_name}-{build}.json"

    def load(self) -> Mapping[str, Matrix] | None:
        """The matrices by tensor, mapped into memory while they live; None when there are none that can be read."""
        try:
            index: dict[str, dict[str, Any]] = json.loads(self._index.read_text())  # as `save` wrote it
            data = np.memmap(self._index.with_suffix(".bin"), dtype=np.uint8, mode="c")
            return {name: _matrix(fields, data) for name, fields in index.items()}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("Saved weights cannot be read: %s", error, extra={"action": "weights_unreadable"})
            return None

    def save(self, matrices: Mapping[str, Matrix]) -> None:
        """Keep matrices, where they take no more of the disk than the prefix cache may by default. Never raises."""
        size_bytes = sum(array.nbytes for matrix in matrices.values() for array in _arrays(matrix).values())
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for old in self._directory.glob(f"{self._model_name}-*"):
                old.unlink()
            if size_bytes > default_cache_disk(self._directory):
                return
            temporary = self._directory / f"{self._model_name}-new-{os.getpid()}"
            index = _write_arrays(temporary, matrices)
            temporary.rename(self._index.with_suffix(".bin"))
            temporary.write_text(json.dumps(index))
            temporary.rename(self._index)
        except OSError as error:
            _log.warning("Weights cannot be kept: %s", error, extra={"action": "weights_not_kept"})


def _write_arrays(path: Path, matrices: Mapping[str, Matrix]) -> dict[str, dict[str, Any]]:
    """Write every array, and return where each is."""
    index: dict[str, dict[str, Any]] = {}
    with path.open("wb") as file:
        for name, matrix in matrices.items():
            fields: dict[str, Any] = {"bits": matrix.bits} if isinstance(matrix, GroupedMatrix) else {}
            fields |= {"is_bf16": matrix.is_bf16} if isinstance(matrix, PlainMatrix) else {}
            for field, array in _arrays(matrix).items():
                file.write(b"\0" * (-file.tell() % _ALIGNMENT))
                fields[field] = [str(array.dtype), list(array.shape), file.tell()]
                file.write(np.ascontiguousarray(array).data)
            index[name] = fields
        file.flush()
        os.fsync(file.fileno())  # the bytes reach the disk before their name does: they have no checksum
    return index


def _arrays(matrix: Matrix) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a matrix by field; of several element types."""
    if isinstance(matrix, PlainMatrix):
        return {"values": matrix.values}
    arrays: dict[str, npt.NDArray[Any]] = {"codes": matrix.codes, "scales": matrix.scales}
    return arrays if matrix.zero_points is None else arrays | {"zero_points": matrix.zero_points}


def _matrix(fields: Mapping[str, Any], data: npt.NDArray[np.uint8]) -> Matrix:
    def array(field: str) -> npt.NDArray[Any]:
        dtype, shape, offset = fields[field]
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        found: npt.NDArray[Any] = data[offset : offset + count].view(dtype).reshape(shape)
        return found

    if "values" in fields:
        return PlainMatrix(values=array("values"), is_bf16=fields["is_bf16"])
    zero_points = array("zero_points") if "zero_points" in fields else None
    return GroupedMatrix(codes=array("codes"), scales=array("scales"), zero_points=zero_points, bits=fields["bits"])


def _name(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
