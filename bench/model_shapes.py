"""Writes random-weight GGUF files in the shape of published models; speed does not depend on the weights.

    python bench/model_shapes.py DIRECTORY [--shape qwen2-0.5b] [--shape qwen2-1.5b]

Each file is written in half precision and then quantized by llama.cpp itself to Q4_K_M, as published files are.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import gguf
import llama_cpp.llama_cpp as llama
import numpy as np

VOCAB_SIZE = 151_936
Q4_K_M = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a Qwen2 model with a tied head."""

    num_layers: int
    width: int
    num_heads: int
    num_kv_heads: int
    feed_forward: int


SHAPES = {
    "qwen2-0.5b": Shape(num_layers=24, width=896, num_heads=14, num_kv_heads=2, feed_forward=4864),
    "qwen2-1.5b": Shape(num_layers=28, width=1536, num_heads=12, num_kv_heads=2, feed_forward=8960),
}


def write_shape(directory: Path, name: str) -> Path:
    """Write a file, unless it is there; returns its path."""
    path = directory / f"{name}-random-q4_k_m.gguf"
    if path.exists():
        return path
    half = path.with_suffix(".f16")
    _write_half(half, name, SHAPES[name])
    params = llama.llama_model_quantize_default_params()
    params.ftype = Q4_K_M
    partial = path.with_suffix(".partial")
    if llama.llama_model_quantize(str(half).encode(), str(partial).encode(), params) != 0:
        raise SystemExit("llama.cpp could not quantize the file")
    partial.rename(path)
    half.unlink()
    return path


def _write_half(path: Path, name: str, shape: Shape) -> None:
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
    _write_vocabulary(writer)

    def half(tensor: str, rows: int, columns: int) -> None:
        values = random.standard_normal((rows, columns), dtype=np.float32) * np.float32(columns**-0.5)
        writer.add_tensor(tensor, values.astype(np.float16))

    def ones(tensor: str, size: int, value: float = 1.0) -> None:
        writer.add_tensor(tensor, np.full(size, value, dtype=np.float32))

    half("token_embd.weight", VOCAB_SIZE, shape.width)
    ones("output_norm.weight", shape.width)
    kv_width = shape.width // shape.num_heads * shape.num_kv_heads
    for layer in range(shape.num_layers):
        prefix = f"blk.{layer}."
        ones(f"{prefix}attn_norm.weight", shape.width)
        ones(f"{prefix}ffn_norm.weight", shape.width)
        for part, rows in (("q", shape.width), ("k", kv_width), ("v", kv_width)):
            half(f"{prefix}attn_{part}.weight", rows, shape.width)
            ones(f"{prefix}attn_{part}.bias", rows, 0.0)
        half(f"{prefix}attn_output.weight", shape.width, shape.width)
        half(f"{prefix}ffn_gate.weight", shape.feed_forward, shape.width)
        half(f"{prefix}ffn_up.weight", shape.feed_forward, shape.width)
        half(f"{prefix}ffn_down.weight", shape.width, shape.feed_forward)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_vocabulary(writer: gguf.GGUFWriter) -> None:
    """The byte alphabet, made-up words, and an end-of-generation token that is the last entry."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    alphabet = [chr(value) if value in printable else chr(next(others)) for value in range(256)]
    words = [f"word{number}" for number in range(VOCAB_SIZE - 257)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*alphabet, *words, "<|endoftext|>"])
    writer.add_token_types([gguf.TokenType.NORMAL] * (VOCAB_SIZE - 1) + [gguf.TokenType.CONTROL])
    writer.add_token_merges(["w o"])
    writer.add_eos_token_id(VOCAB_SIZE - 1)
    writer.add_add_bos_token(False)


def main() -> None:
    """Write the files and print their paths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--shape", action="append", choices=sorted(SHAPES))
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    for name in options.shape or sorted(SHAPES):
        print(write_shape(options.directory, name))


if __name__ == "__main__":
    main()
