"""The shape of a model that OpenVINO's kernels compute here, read off its file's header."""

from __future__ import annotations

from dataclasses import dataclass

from seekd.engine.llama.model_file import ModelFile
from seekd.errors import ConfigError

ARCHITECTURES = frozenset({"llama", "qwen2", "qwen3"})
"""Their graphs differ in biases of queries, keys and values (qwen2) and norms of each head (qwen3) only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """Numbers of a decoder with grouped-query attention and a gated feed-forward part.

    Attributes:
        num_layers: how many times both parts follow each other.
        width: of a token's hidden state.
        num_heads: of queries.
        num_kv_heads: of keys and values, each shared by as many query heads.
        head_size: of a query, key and value.
        norm_epsilon: added to a mean square.
        rope_base: of the rotary positions' wavelengths.
        rotates_pairs: the file's query and key rows are ordered so that neighbours are rotated; otherwise halves.
    """

    num_layers: int
    width: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    norm_epsilon: float
    rope_base: float
    rotates_pairs: bool


def find_obstacle(file: ModelFile) -> str | None:
    """Why OpenVINO's kernels cannot compute a file's model here, as the end of "it ..."; None where they can."""
    known = ", ".join(sorted(ARCHITECTURES))
    head_size = _head_size(file)
    obstacles = {
        f"has the architecture {file.architecture}; they compute {known}": file.architecture not in ARCHITECTURES,
        "is split into several files": file.metadata.get("split.count", 1) not in (0, 1),
        "varies its heads from layer to layer": f"{file.architecture}.attention.head_count_kv" in file.array_lengths,
        "has experts": bool(file.number("expert_count")),
        "stretches its positions (rope.scaling)": _text(file, "rope.scaling.type", "none") != "none",
        "has keys and values of different sizes": file.number("attention.value_length") not in (None, head_size),
        "rotates only a part of each head": file.number("rope.dimension_count") not in (None, head_size),
    }
    return next((obstacle for obstacle, is_there in obstacles.items() if is_there), None)


def read_shape(file: ModelFile) -> ModelShape:
    """The shape of a file's model.

    Raises:
        ConfigError: OpenVINO's kernels do not compute this model here; the message says why.
    """
    obstacle = find_obstacle(file)
    if obstacle is not None:
        raise ConfigError(
            f'OpenVINO\'s kernels cannot compute {file.path}: it {obstacle}. Serve it with engine.kernels = "llama".'
        )
    num_heads = _needed(file, "attention.head_count")
    return ModelShape(
        num_layers=_needed(file, "block_count"),
        width=_needed(file, "embedding_length"),
        num_heads=num_heads,
        num_kv_heads=file.number("attention.head_count_kv") or num_heads,
        head_size=_head_size(file),
        norm_epsilon=float(_text(file, "attention.layer_norm_rms_epsilon", "1e-5")),
        rope_base=float(_text(file, "rope.freq_base", "10000")),
        rotates_pairs=file.architecture == "llama",
    )


def _head_size(file: ModelFile) -> int:
    return file.number("attention.key_length") or (file.number("embedding_length") or 0) // (
        file.number("attention.head_count") or 1
    )


def _text(file: ModelFile, name: str, default: str) -> str:
    return str(file.metadata.get(f"{file.architecture}.{name}", default))


def _needed(file: ModelFile, name: str) -> int:
    value = file.number(name)
    if not value:
        raise ConfigError(f"The model file {file.path} lacks {file.architecture}.{name}.")
    return value
