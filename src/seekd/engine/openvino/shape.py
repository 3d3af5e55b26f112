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


def read_shape(file: ModelFile) -> ModelShape:
    """The shape of a file's model.

    Raises:
        ConfigError: OpenVINO's kernels do not compute this model here; the message says why.
    """
    if file.architecture not in ARCHITECTURES:
        raise _refusal(
            file, f"has the architecture {file.architecture}; they compute {', '.join(sorted(ARCHITECTURES))}"
        )
    if file.metadata.get("split.count", 1) not in (0, 1):
        raise _refusal(file, "is split into several files")
    if file.number("expert_count"):
        raise _refusal(file, "has experts")
    if str(file.metadata.get(f"{file.architecture}.rope.scaling.type", "none")) != "none":
        raise _refusal(file, "stretches its positions (rope.scaling)")
    num_heads = _needed(file, "attention.head_count")
    width = _needed(file, "embedding_length")
    head_size = file.number("attention.key_length") or width // num_heads
    if (file.number("attention.value_length") or head_size) != head_size:
        raise _refusal(file, "has keys and values of different sizes")
    if (file.number("rope.dimension_count") or head_size) != head_size:
        raise _refusal(file, "rotates only a part of each head")
    return ModelShape(
        num_layers=_needed(file, "block_count"),
        width=width,
        num_heads=num_heads,
        num_kv_heads=file.number("attention.head_count_kv") or num_heads,
        head_size=head_size,
        norm_epsilon=float(file.metadata.get(f"{file.architecture}.attention.layer_norm_rms_epsilon", 1e-5)),
        rope_base=float(file.metadata.get(f"{file.architecture}.rope.freq_base", 10000.0)),
        rotates_pairs=file.architecture == "llama",
    )


def _needed(file: ModelFile, name: str) -> int:
    value = file.number(name)
    if not value:
        raise ConfigError(f"The model file {file.path} lacks {file.architecture}.{name}.")
    return value


def _refusal(file: ModelFile, reason: str) -> ConfigError:
    return ConfigError(
        f'OpenVINO\'s kernels cannot compute {file.path}: it {reason}. Serve it with engine.kernels = "llama".'
    )
