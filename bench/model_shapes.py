"""Writes random-weight GGUF files in the shape of published models; speed does not depend on the weights.

    python bench/model_shapes.py DIRECTORY [--shape qwen2-0.5b] [--shape qwen2-1.5b] [--layers 4]

Each tensor has the type that llama.cpp gives it in a Q4_K_M file, as published files have, and is made of random blocks
of that type: quantizing real numbers would take minutes a file and change nothing of what is measured.

Source: `llama_tensor_get_type` in llama.cpp's src/llama-quant.cpp, and the block layouts in ggml's src/ggml-common.h.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Type


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a Qwen2 model with a tied head."""

    num_layers: int
    width: int
    num_heads: int
    num_kv_heads: int
    feed_forward: int
    vocab_size: int = 151_936


SHAPES = {
    "qwen2-0.5b": Shape(num_layers=24, width=896, num_heads=14, num_kv_heads=2, feed_forward=4864),
    "qwen2-1.5b": Shape(num_layers=28, width=1536, num_heads=12, num_kv_heads=2, feed_forward=8960),
}


def write_shape(directory: Path, name: str, num_layers: int | None = None) -> Path:
    """Write a file, unless it is there; returns its path. With `num_layers` it is cut to that many."""
    shape = SHAPES[name]
    if num_layers is not None:
        shape, name = replace(shape, num_layers=num_layers), f"{name}-{num_layers}-layers"
    path = directory / f"{name}-random-q4_k_m.gguf"
    if not path.exists():
        partial = path.with_suffix(".partial")
        write_model(partial, name, shape)
        partial.rename(path)
    return path


def write_model(path: Path, name: str, shape: Shape) -> None:
    """Write a file of any sizes."""
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(str(path), "qwen2", use_temp_file=False)
    writer.add_name(f"{name} (random weights)")
    writer.add_context_length(32_768)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.num_layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.num_heads)
    writer.add_head_count_kv(shape.num_kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _write_vocabulary(writer, shape.vocab_size)

    def weights(tensor: str, rows: int, columns: int, wanted: Type = Type.Q4_K) -> None:
        kind = wanted if columns % 256 == 0 else FALLBACKS[wanted]
        writer.add_tensor(tensor, random_blocks(random, kind, rows, columns), raw_dtype=kind)

    def plain(tensor: str, size: int, value: float) -> None:
        writer.add_tensor(tensor, np.full(size, value, dtype=np.float32))

    weights("token_embd.weight", shape.vocab_size, shape.width, Type.Q6_K)  # also the head
    plain("output_norm.weight", shape.width, 1)
    kv_width = shape.width // shape.num_heads * shape.num_kv_heads
    for layer in range(shape.num_layers):
        prefix = f"blk.{layer}."
        better = Type.Q6_K if _has_more_bits(layer, shape.num_layers) else Type.Q4_K
        plain(f"{prefix}attn_norm.weight", shape.width, 1)
        plain(f"{prefix}ffn_norm.weight", shape.width, 1)
        for part, rows, kind in (("q", shape.width, Type.Q4_K), ("k", kv_width, Type.Q4_K), ("v", kv_width, better)):
            weights(f"{prefix}attn_{part}.weight", rows, shape.width, kind)
            plain(f"{prefix}attn_{part}.bias", rows, 0)
        weights(f"{prefix}attn_output.weight", shape.width, shape.width)
        weights(f"{prefix}ffn_gate.weight", shape.feed_forward, shape.width)
        weights(f"{prefix}ffn_up.weight", shape.feed_forward, shape.width)
        weights(f"{prefix}ffn_down.weight", shape.width, shape.feed_forward, better)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _has_more_bits(layer: int, num_layers: int) -> bool:
    """Whether a Q4_K_M file keeps a layer's values and its way down in six bits."""
    eighth = num_layers // 8
    return layer < eighth or layer >= 7 * num_layers // 8 or (layer - eighth) % 3 == 2


FALLBACKS = {Type.Q4_K: Type.Q5_0, Type.Q6_K: Type.Q8_0}
"""For rows that are no multiple of 256 long."""


def random_blocks(random: np.random.Generator, kind: Type, rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Blocks whose weights are uniform around zero with the deviation `columns ** -0.5`, shape `(rows, row_bytes)`."""
    block_size, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    num_blocks = rows * columns // block_size
    blocks = (
        np.frombuffer(random.bytes(num_blocks * block_bytes), dtype=np.uint8).reshape(num_blocks, block_bytes).copy()
    )
    FILLERS[kind](blocks, columns**-0.5)
    return blocks.reshape(rows, -1)


def _half(value: float) -> npt.NDArray[np.uint8]:
    return np.array([value], dtype="<f2").view(np.uint8)


def _deviation(num_values: int) -> float:
    """Of the whole numbers below `num_values`."""
    return float(((num_values**2 - 1) / 12) ** 0.5)


def _fill_q4_k(blocks: npt.NDArray[np.uint8], deviation: float) -> None:
    """`scale * 32 * q - minimum * 32` with q below 16; eight scales and minima of six bits in twelve bytes."""
    scale = deviation / 32 / _deviation(16)
    blocks[:, 0:2] = _half(scale)
    blocks[:, 2:4] = _half(scale * 7.5)
    blocks[:, 4:12] = 32 | 32 >> 4 << 6
    blocks[:, 12:16] = 0


def _fill_q6_k(blocks: npt.NDArray[np.uint8], deviation: float) -> None:
    """`scale * 4 * (q - 32)` with q below 64; sixteen scales of eight bits behind the quanta."""
    blocks[:, 192:208] = 4
    blocks[:, 208:210] = _half(deviation / 4 / _deviation(64))


def _fill_q5_0(blocks: npt.NDArray[np.uint8], deviation: float) -> None:
    """`scale * (q - 16)` with q below 32."""
    blocks[:, 0:2] = _half(deviation / _deviation(32))


def _fill_q8_0(blocks: npt.NDArray[np.uint8], deviation: float) -> None:
    """`scale * q` with q of a signed byte."""
    blocks[:, 0:2] = _half(deviation / _deviation(256))


FILLERS: dict[Type, Callable[[npt.NDArray[np.uint8], float], None]] = {
    Type.Q4_K: _fill_q4_k,
    Type.Q6_K: _fill_q6_k,
    Type.Q5_0: _fill_q5_0,
    Type.Q8_0: _fill_q8_0,
}


def _write_vocabulary(writer: gguf.GGUFWriter, vocab_size: int) -> None:
    """The byte alphabet, made-up words, and an end-of-generation token that is the last entry."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    alphabet = [chr(value) if value in printable else chr(next(others)) for value in range(256)]
    words = [f"word{number}" for number in range(vocab_size - 257)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*alphabet, *words, "<|endoftext|>"])
    writer.add_token_types([gguf.TokenType.NORMAL] * (vocab_size - 1) + [gguf.TokenType.CONTROL])
    writer.add_token_merges(["w o"])
    writer.add_eos_token_id(vocab_size - 1)
    writer.add_add_bos_token(False)


def main() -> None:
    """Write the files and print their paths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--shape", action="append", choices=sorted(SHAPES))
    parser.add_argument("--layers", type=int, help="fewer than the model has, to look for causes in less time")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    for name in options.shape or sorted(SHAPES):
        print(write_shape(options.directory, name, options.layers))


if __name__ == "__main__":
    main()
