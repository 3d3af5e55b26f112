"""A loaded model: weights and vocabulary."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from seekd.engine.llama.binding import C, has_amx
from seekd.engine.llama.model_file import ModelFile, read_model_file
from seekd.errors import ConfigError


class Model:
    """Owns a `llama_model`. Enter it inside a `Library`; contexts on it must be closed before it.

    Args:
        path: of the file, or of the first part of a split one.
        vocab_only: leave the weights out.
        num_gpu_layers: layers whose weights go to a GPU; more than there are means all.

    Attributes:
        file: what the file's header says.
    """

    def __init__(self, path: Path, *, vocab_only: bool = False, num_gpu_layers: int = 0) -> None:
        self.file: ModelFile = read_model_file(path)
        self._vocab_only = vocab_only
        self._num_gpu_layers = num_gpu_layers
        self._pointer: C.llama_model_p | None = None

    def __enter__(self) -> Self:
        """Load the file, which may abort the process.

        Raises:
            ConfigError: llama.cpp refused the file; its reasons are in the log.
        """
        params = C.llama_model_default_params()
        params.vocab_only = self._vocab_only
        params.n_gpu_layers = self._num_gpu_layers
        params.use_extra_bufts = not has_amx()
        pointer = C.llama_model_load_from_file(str(self.file.path).encode(), params)
        if pointer is None:
            raise ConfigError(f"llama.cpp cannot load the model file {self.file.path}; the log says why.")
        self._pointer = pointer
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pointer, self._pointer = self._pointer, None
        if pointer is not None:
            C.llama_model_free(pointer)

    @property
    def borrowed_pointer(self) -> C.llama_model_p:
        """Valid until the model is closed."""
        assert self._pointer is not None, "the model is not open"
        return self._pointer

    @property
    def borrowed_vocab_pointer(self) -> C.llama_vocab_p:
        """Valid until the model is closed."""
        pointer: C.llama_vocab_p | None = C.llama_model_get_vocab(self.borrowed_pointer)
        assert pointer is not None
        return pointer

    @property
    def vocab_size(self) -> int:
        """Number of vocabulary entries, which is the width of a row of logits."""
        return int(C.llama_vocab_n_tokens(self.borrowed_vocab_pointer))

    @property
    def has_decoder(self) -> bool:
        """Whether it generates text from tokens alone (encoders and encoder-decoder models do not)."""
        pointer = self.borrowed_pointer
        return bool(C.llama_model_has_decoder(pointer)) and not bool(C.llama_model_has_encoder(pointer))

    def metadata(self) -> dict[str, str]:
        """The file's scalar key-value pairs as llama.cpp prints them; array keys are left out."""
        pointer = self.borrowed_pointer
        pairs: dict[str, str] = {}
        for index in range(C.llama_model_meta_count(pointer)):
            key = _text(partial(C.llama_model_meta_key_by_index, pointer, index))
            if key not in self.file.array_lengths:
                pairs[key] = _text(partial(C.llama_model_meta_val_str_by_index, pointer, index))
        return pairs


def _text(fill: Callable[..., int]) -> str:
    """Read a text of unknown length: `fill` returns the length that it wanted to write."""
    buffer = ctypes.create_string_buffer(256)
    length = fill(buffer, len(buffer))
    if length >= len(buffer):
        buffer = ctypes.create_string_buffer(length + 1)
        fill(buffer, len(buffer))
    return buffer.value.decode(errors="replace")
