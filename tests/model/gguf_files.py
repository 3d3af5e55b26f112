"""Writes small GGUF files with random weights, so that any architecture can be run without a download.

Layouts: the `deepseek2` one as DeepSeek V2/V3 files store MLA; the others as llama.cpp's converter writes them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

_LEADING_CONTROL = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>")
_CONTROL = (
    "<｜System｜>",
    "<｜User｜>",
    "<｜Assistant｜>",
    "<｜fim▁begin｜>",
    "<｜fim▁hole｜>",
    "<｜fim▁end｜>",
)
_USER_DEFINED = ("<think>", "</think>", "｜DSML｜")
_MERGES = (("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "n"), ("Ġ", "a"), ("e", "r"), ("o", "n"))


class Architecture(enum.StrEnum):
    """Kinds of memory: whole attention (three of them), MLA, sliding window, recurrent, DeepSeek V4's compressed."""

    LLAMA = "llama"
    QWEN2 = "qwen2"
    QWEN3 = "qwen3"
    DEEPSEEK2 = "deepseek2"
    GEMMA3 = "gemma3"
    MAMBA = "mamba"
    DEEPSEEK4 = "deepseek4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a file's model; the defaults make a file of one to two megabytes."""

    num_layers: int = 3
    width: int = 128
    num_heads: int = 4
    num_kv_heads: int = 2
    feed_forward: int = 96
    context_length: int = 2048


def byte_alphabet() -> list[str]:
    """The printable stand-in of each byte in byte-level BPE vocabularies, as GPT-2 chose them."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(value) if value in printable else chr(next(others)) for value in range(256)]


def write_gguf(
    path: Path,
    architecture: Architecture = Architecture.LLAMA,
    *,
    shape: Shape | None = None,
    seed: int = 0,
    template: str | None = None,
    markers: Sequence[str] = (),
    pre_tokenizer: str = "deepseek-v3",
    merges: Sequence[tuple[str, str]] = _MERGES,
    rope_factors: Sequence[float] | None = None,
    extra_tensor: str | None = None,
) -> Path:
    """Write a model file; the same arguments give the same bytes.

    Args:
        path: of the file.
        architecture: of the model.
        shape: its sizes.
        seed: of its weights.
        template: its chat template; None for none.
        markers: user-defined tokens besides the usual ones.
        pre_tokenizer: how text is cut into words.
        merges: of the vocabulary, in the byte alphabet.
        rope_factors: by which each rotation is slowed down, one for every two numbers of a head; None for none.
        extra_tensor: name of one that the architecture does not have.
    """
    shape = shape if shape is not None else Shape()
    writer = gguf.GGUFWriter(str(path), str(architecture))
    vocab_size = _write_vocabulary(writer, markers, pre_tokenizer, merges)
    if template is not None:
        writer.add_chat_template(template)
    writer.add_name(f"random {architecture}")
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.num_layers)
    writer.add_vocab_size(vocab_size)
    writer.add_layer_norm_rms_eps(1e-6)
    tensors = _Tensors(writer, np.random.default_rng(seed))
    tensors.add("token_embd.weight", vocab_size, shape.width, scale=1.0)
    tensors.ones("output_norm.weight", shape.width)
    if architecture is not Architecture.GEMMA3:
        tensors.add("output.weight", vocab_size, shape.width)
    if rope_factors is not None:
        tensors.put("rope_freqs.weight", np.array(rope_factors, np.float32))
    if extra_tensor is not None:
        tensors.ones(extra_tensor, shape.num_heads)
    _BODIES[architecture](writer, tensors, shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_vocabulary(
    writer: gguf.GGUFWriter, markers: Sequence[str], pre_tokenizer: str, merges: Sequence[tuple[str, str]]
) -> int:
    normal = [*byte_alphabet(), *(left + right for left, right in merges)]
    tokens = [*_LEADING_CONTROL, *normal, *_CONTROL, *_USER_DEFINED, *markers]
    control, plain, user_defined = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL, gguf.TokenType.USER_DEFINED
    kinds = [control] * len(_LEADING_CONTROL) + [plain] * len(normal)
    kinds += [control] * len(_CONTROL) + [user_defined] * (len(_USER_DEFINED) + len(markers))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{left} {right}" for left, right in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    return len(tokens)


class _Tensors:
    """Adds random tensors; every value stays 32-bit."""

    def __init__(self, writer: gguf.GGUFWriter, random: np.random.Generator) -> None:
        self._writer = writer
        self._random = random

    def add(self, name: str, *shape: int, scale: float | None = None) -> None:
        """Normally distributed values, by default scaled so that a product keeps its input's size."""
        values = self._random.standard_normal(shape, dtype=np.float32)
        values *= np.float32(shape[-1] ** -0.5 if scale is None else scale)
        self._writer.add_tensor(name, values)

    def put(self, name: str, values: npt.NDArray[np.float32]) -> None:
        self._writer.add_tensor(name, values.astype(np.float32))

    def ones(self, name: str, *shape: int) -> None:
        self._writer.add_tensor(name, np.ones(shape, dtype=np.float32))

    def near_one(self, name: str, *shape: int) -> None:
        self.put(name, 1 + 0.1 * self._random.standard_normal(shape, dtype=np.float32))

    def feed_forward(self, prefix: str, width: int, hidden: int) -> None:
        self.add(f"{prefix}ffn_gate.weight", hidden, width)
        self.add(f"{prefix}ffn_up.weight", hidden, width)
        self.add(f"{prefix}ffn_down.weight", width, hidden)


def _write_attention(
    writer: gguf.GGUFWriter, tensors: _Tensors, shape: Shape, *, biases: bool = False, head_size: int | None = None
) -> None:
    head_size = head_size or shape.width // shape.num_heads
    kv_width = shape.num_kv_heads * head_size
    writer.add_head_count(shape.num_heads)
    writer.add_head_count_kv(shape.num_kv_heads)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_rope_freq_base(10000.0)
    for layer in range(shape.num_layers):
        prefix = f"blk.{layer}."
        tensors.ones(f"{prefix}attn_norm.weight", shape.width)
        tensors.ones(f"{prefix}ffn_norm.weight", shape.width)
        for name, rows in (("q", shape.num_heads * head_size), ("k", kv_width), ("v", kv_width)):
            tensors.add(f"{prefix}attn_{name}.weight", rows, shape.width)
            if biases:
                tensors.add(f"{prefix}attn_{name}.bias", rows, scale=0.1)
        tensors.add(f"{prefix}attn_output.weight", shape.width, shape.num_heads * head_size)
        tensors.feed_forward(prefix, shape.width, shape.feed_forward)


def _write_llama(writer: gguf.GGUFWriter, tensors: _Tensors, shape: Shape) -> None:
    writer.add_rope_dimension_count(shape.width // shape.num_heads)
    _write_attention(writer, tensors, shape)


def _write_qwen2(writer: gguf.GGUFWriter, tensors: _Tensors, shape: Shape) -> None:
    _write_attention(writer, tensors, shape, biases=True)


def _write_qwen3(writer: gguf.GGUFWriter, tensors: _Tensors, shape: Shape) -> None:
    """Heads that are wider than their share of the hidden state, and normed."""
    head_size = 2 * shape.width // shape.num_heads
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    _write_attention(writer, tensors, shape, head_size=head_size)
    for layer in range(shape.num_layers):
        for name in ("q", "k"):
            tensors.near_one(f"blk.{layer}.attn_{name}_norm.weight", head_size)


def _write_gemma3(writer: gguf.GGUFWriter, tensors: _Tensors, shape: Shape) -> None:
    """Attention through a window of 32 tokens in most layers."""
    head_size = shape.width // shape.num_heads
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_sliding_window(32)
    _write_attention(writer, tensors, shape)
    for layer in range(shape.num_layers):
        prefix = f"blk.{layer}."
        tensors.ones(f"{prefix}attn_q_norm.weight", head_size)
        tensors.ones(f"{prefix}attn_k_norm.weight", head_size)
        tensors.ones(f"{prefix}post_attention_norm.weight", shape.width)
        tensors.ones(f"{prefix}post_ffw_norm.weight", shape.width)


def _write_mamba(writer: gguf.GGUFWriter, tensors: _Tensors, shape: Shape) -> None:
    """A state of fixed size instead of keys and values."""
    inner, kernel, state, rank = 2 * shape.width, 4, 16, 8
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(rank)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    for layer in range(shape.num_layers):
        prefix = f"blk.{layer}."
        tensors.ones(f"{prefix}attn_norm.weight", shape.width)
        tensors.add(f"{prefix}ssm_in.weight", 2 * inner, shape.width)
        tensors.add(f"{prefix}ssm_conv1d.weight", inner, kernel)
        tensors.add(f"{prefix}ssm_conv1d.bias", inner, scale=0.1)
        tensors.add(f"{prefix}ssm_x.weight", rank + 2 * state, inner)
        tensors.add(f"{prefix}ssm_dt.weight", inner, rank)
        tensors.add(f"{prefix}ssm_dt.bias", inner, scale=0.1)
        # Negative, as the converter stores -exp(A_log): the state fades.
        tensors.put(f"{prefix}ssm_a", -np.tile(np.arange(1, state + 1, dtype=np.float32), (inner, 1)))
        tensors.ones(f"{prefix}ssm_d", inner)
        tensors.add(f"{prefix}ssm_out.weight", shape.width, inner)


def _write_deepseek2(writer: gguf.GGUFWriter, tensors: _Tensors, shape: Shape) -> None:
    """One dense layer, then mixtures of experts; MLA with a plain query matrix."""
    heads, no_position, rotary, value, rank = shape.num_heads, 32, 32, 32, 32
    num_experts, expert_width = 4, 32
    writer.add_head_count(heads)
    writer.add_head_count_kv(1)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_q_lora_rank(0)
    writer.add_kv_lora_rank(rank)
    writer.add_key_length(rank + rotary)
    writer.add_value_length(rank)
    writer.add_key_length_mla(no_position + rotary)
    writer.add_value_length_mla(value)
    writer.add_rope_dimension_count(rotary)
    writer.add_rope_freq_base(10000.0)
    writer.add_leading_dense_block_count(1)
    writer.add_expert_feed_forward_length(expert_width)
    writer.add_expert_shared_count(1)
    writer.add_expert_count(num_experts)
    writer.add_expert_used_count(2)
    writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
    writer.add_expert_weights_norm(True)
    writer.add_expert_weights_scale(1.0)
    for layer in range(shape.num_layers):
        prefix = f"blk.{layer}."
        tensors.ones(f"{prefix}attn_norm.weight", shape.width)
        tensors.ones(f"{prefix}ffn_norm.weight", shape.width)
        tensors.add(f"{prefix}attn_q.weight", heads * (no_position + rotary), shape.width)
        tensors.add(f"{prefix}attn_kv_a_mqa.weight", rank + rotary, shape.width)
        tensors.ones(f"{prefix}attn_kv_a_norm.weight", rank)
        tensors.add(f"{prefix}attn_k_b.weight", heads, rank, no_position)
        tensors.add(f"{prefix}attn_v_b.weight", heads, value, rank)
        tensors.add(f"{prefix}attn_output.weight", shape.width, heads * value)
        if layer == 0:
            tensors.feed_forward(prefix, shape.width, shape.feed_forward)
            continue
        tensors.add(f"{prefix}ffn_gate_inp.weight", num_experts, shape.width)
        for name, rows, columns in (
            ("gate", expert_width, shape.width),
            ("up", expert_width, shape.width),
            ("down", shape.width, expert_width),
        ):
            tensors.add(f"{prefix}ffn_{name}_exps.weight", num_experts, rows, columns)
            tensors.add(f"{prefix}ffn_{name}_shexp.weight", rows, columns)


def _write_deepseek4(writer: gguf.GGUFWriter, tensors: _Tensors, shape: Shape) -> None:
    """Four streams between layers, a window of 128 tokens, and behind it keys compressed 4 and 128 to 1."""
    heads, head_size, query_rank, streams = 2, 64, 64, 4
    groups, group_rank, indexer_size, num_experts, expert_width = 2, 32, 64, 2, 64
    mix = (2 + streams) * streams
    width = shape.width
    ratios = [4, 128, 0][: shape.num_layers]
    writer.add_head_count(heads)
    writer.add_head_count_kv(1)
    writer.add_key_length(head_size)
    writer.add_value_length(head_size)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_q_lora_rank(query_rank)
    writer.add_sliding_window(128)
    writer.add_rope_dimension_count(head_size // 2)
    writer.add_rope_freq_base(10000.0)
    writer.add_expert_count(num_experts)
    writer.add_expert_used_count(1)
    writer.add_expert_shared_count(1)
    writer.add_expert_feed_forward_length(expert_width)
    writer.add_expert_weights_scale(1.0)
    writer.add_expert_weights_norm(True)
    keys: dict[str, int] = {
        "expert_gating_func": 4,
        "attention.indexer.head_count": 1,
        "attention.indexer.key_length": indexer_size,
        "attention.indexer.top_k": 8,
        "attention.output_group_count": groups,
        "attention.output_lora_rank": group_rank,
        "hyper_connection.count": streams,
        "hyper_connection.sinkhorn_iterations": 3,
        "hash_layer_count": 0,
    }
    for name, number in keys.items():
        writer.add_uint32(f"deepseek4.{name}", number)
    writer.add_float32("deepseek4.swiglu_clamp_exp", 7.0)
    writer.add_float32("deepseek4.attention.compress_rope_freq_base", 10000.0)
    writer.add_float32("deepseek4.hyper_connection.epsilon", 1e-6)
    writer.add_array("deepseek4.attention.compress_ratios", ratios)
    tensors.add("output_hc_fn.weight", streams, streams * width)
    tensors.ones("output_hc_base.weight", streams)
    tensors.ones("output_hc_scale.weight", 1)
    for layer, ratio in enumerate(ratios):
        prefix = f"blk.{layer}."
        tensors.ones(f"{prefix}attn_norm.weight", width)
        tensors.ones(f"{prefix}ffn_norm.weight", width)
        tensors.ones(f"{prefix}attn_sinks.weight", heads)
        tensors.add(f"{prefix}attn_q_a.weight", query_rank, width)
        tensors.ones(f"{prefix}attn_q_a_norm.weight", query_rank)
        tensors.add(f"{prefix}attn_q_b.weight", heads * head_size, query_rank)
        tensors.add(f"{prefix}attn_kv.weight", head_size, width)
        tensors.ones(f"{prefix}attn_kv_a_norm.weight", head_size)
        tensors.add(f"{prefix}attn_output_a.weight", group_rank * groups, heads * head_size // groups)
        tensors.add(f"{prefix}attn_output_b.weight", width, groups * group_rank)
        for part in ("attn", "ffn"):
            tensors.add(f"{prefix}hc_{part}_fn.weight", mix, streams * width)
            tensors.ones(f"{prefix}hc_{part}_base.weight", mix)
            tensors.ones(f"{prefix}hc_{part}_scale.weight", 3)
        if ratio:
            factor = 2 if ratio == 4 else 1
            _write_compressor(tensors, f"{prefix}attn_compressor_", width, head_size, factor, ratio)
        if ratio == 4:
            tensors.add(f"{prefix}indexer.proj.weight", 1, width)
            tensors.add(f"{prefix}indexer.attn_q_b.weight", indexer_size, query_rank)
            _write_compressor(tensors, f"{prefix}indexer_compressor_", width, indexer_size, 2, ratio)
        tensors.add(f"{prefix}ffn_gate_inp.weight", num_experts, width)
        tensors.add(f"{prefix}exp_probs_b.bias", num_experts, scale=0.1)
        for name, rows, columns in (
            ("gate", expert_width, width),
            ("up", expert_width, width),
            ("down", width, expert_width),
        ):
            tensors.add(f"{prefix}ffn_{name}_exps.weight", num_experts, rows, columns)
            tensors.add(f"{prefix}ffn_{name}_shexp.weight", rows, columns)


def _write_compressor(tensors: _Tensors, prefix: str, width: int, size: int, factor: int, ratio: int) -> None:
    tensors.add(f"{prefix}kv.weight", factor * size, width)
    tensors.add(f"{prefix}gate.weight", factor * size, width)
    tensors.add(f"{prefix}ape.weight", ratio, factor * size)
    tensors.ones(f"{prefix}norm.weight", size)


_BODIES: dict[Architecture, Callable[[gguf.GGUFWriter, _Tensors, Shape], None]] = {
    Architecture.LLAMA: _write_llama,
    Architecture.QWEN2: _write_qwen2,
    Architecture.QWEN3: _write_qwen3,
    Architecture.DEEPSEEK2: _write_deepseek2,
    Architecture.GEMMA3: _write_gemma3,
    Architecture.MAMBA: _write_mamba,
    Architecture.DEEPSEEK4: _write_deepseek4,
}
