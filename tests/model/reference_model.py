"""A model file computed in 32 bits by numpy, a line of mathematics a line: what every other kernel is judged by."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
from gguf.quants import dequantize

Array = npt.NDArray[np.float32]


class ReferenceModel:
    """Decoders of the architectures llama, qwen2 and qwen3; whole prompts only."""

    def __init__(self, path: Path) -> None:
        reader = gguf.GGUFReader(path)
        self._fields = {name: field.contents() for name, field in reader.fields.items() if "tokenizer" not in name}
        self._architecture = str(self._fields["general.architecture"])
        self._weights: dict[str, Array] = {
            tensor.name: dequantize(tensor.data, tensor.tensor_type).astype(np.float32) for tensor in reader.tensors
        }

    def logits(self, token_ids: list[int]) -> Array:
        """Behind every token, shape `(tokens, vocabulary)`."""
        hidden = self._weights["token_embd.weight"][token_ids]
        for layer in range(self._number("block_count")):
            hidden = hidden + self._attention(layer, self._norm(hidden, f"blk.{layer}.attn_norm"))
            hidden = hidden + self._feed_forward(layer, self._norm(hidden, f"blk.{layer}.ffn_norm"))
        output = self._weights.get("output.weight", self._weights["token_embd.weight"])
        logits: Array = self._norm(hidden, "output_norm") @ output.T
        return logits

    def _number(self, name: str) -> int:
        return int(self._fields[f"{self._architecture}.{name}"])

    def _attention(self, layer: int, hidden: Array) -> Array:
        heads, kv_heads = self._number("attention.head_count"), self._number("attention.head_count_kv")
        num_tokens = len(hidden)
        parts = []
        for name, count in (("q", heads), ("k", kv_heads), ("v", kv_heads)):
            part = self._linear(f"blk.{layer}.attn_{name}", hidden).reshape(num_tokens, count, -1)
            if f"blk.{layer}.attn_{name}_norm.weight" in self._weights:
                part = self._norm(part, f"blk.{layer}.attn_{name}_norm")
            parts.append(part if name == "v" else self._rotated(part))
        query, key, value = parts
        key, value = (np.repeat(part, heads // kv_heads, axis=1) for part in (key, value))
        scores = np.einsum("qhd,khd->hqk", query, key) / np.float32(query.shape[-1] ** 0.5)
        scores = np.where(np.tri(num_tokens, dtype=np.bool_), scores, np.float32(-np.inf))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return self._linear(
            f"blk.{layer}.attn_output", np.einsum("hqk,khd->qhd", weights, value).reshape(num_tokens, -1)
        )

    def _rotated(self, heads: Array) -> Array:
        half = heads.shape[-1] // 2
        base = float(self._fields[f"{self._architecture}.rope.freq_base"])
        angles = np.arange(len(heads))[:, None] / base ** (np.arange(half) / half)
        angles = angles / self._weights.get("rope_freqs.weight", np.float32(1))
        cos, sin = (function(angles)[:, None].astype(np.float32) for function in (np.cos, np.sin))
        pairs = heads.reshape(*heads.shape[:2], half, 2)
        if self._architecture != "llama":  # these rotate halves, not neighbours
            pairs = heads.reshape(*heads.shape[:2], 2, half).swapaxes(2, 3)
        first, second = pairs[..., 0], pairs[..., 1]
        turned = np.stack([first * cos - second * sin, second * cos + first * sin], axis=-1)
        return turned.reshape(heads.shape)  # the order within a head changes no product of two heads

    def _feed_forward(self, layer: int, hidden: Array) -> Array:
        gate = self._linear(f"blk.{layer}.ffn_gate", hidden)
        up = self._linear(f"blk.{layer}.ffn_up", hidden)
        return self._linear(f"blk.{layer}.ffn_down", gate / (1 + np.exp(-gate)) * up)

    def _linear(self, name: str, hidden: Array) -> Array:
        product: Array = hidden @ self._weights[f"{name}.weight"].T
        return product + self._weights.get(f"{name}.bias", np.float32(0))

    def _norm(self, hidden: Array, name: str) -> Array:
        epsilon = np.float32(self._fields[f"{self._architecture}.attention.layer_norm_rms_epsilon"])
        mean_square = np.mean(hidden * hidden, axis=-1, keepdims=True)
        normed: Array = hidden / np.sqrt(mean_square + epsilon) * self._weights[f"{name}.weight"]
        return normed


def perplexity(logits: Array, token_ids: list[int]) -> float:
    """Of the tokens after the first, each predicted by the logits behind the one before it."""
    rows = logits[:-1].astype(np.float64)
    rows -= rows.max(axis=1, keepdims=True)
    losses = np.log(np.exp(rows).sum(axis=1)) - rows[np.arange(len(rows)), token_ids[1:]]
    return float(np.exp(losses.mean()))
