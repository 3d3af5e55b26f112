"""Hugging Face files of a model file: config, safetensors in bfloat16, tokenizer; class `DeepseekV3ForCausalLM`.

Needs NumPy and gguf only: the server's tests make these files for backends that read no GGUF.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from training.splitter import PATTERNS

Tensors = dict[str, npt.NDArray[np.float32]]

_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q_a": "self_attn.q_a_proj",
    "attn_q_a_norm": "self_attn.q_a_layernorm",
    "attn_q_b": "self_attn.q_b_proj",
    "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
    "attn_kv_a_norm": "self_attn.kv_a_layernorm",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_NORMAL = 1  # the type of a token that is none of the special ones


class _File:
    def __init__(self, path: Path) -> None:
        self._reader = gguf.GGUFReader(path)

    def tensors(self) -> Tensors:
        return {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in self._reader.tensors}

    def value(self, key: str) -> Any:  # whatever type the key has
        return self._reader.fields[key].contents()

    def size(self, key: str) -> Any:
        return self.value(f"deepseek2.{key}")


def export(model: Path, out: Path) -> None:
    """Write the files of a model that `export_gguf` wrote into a directory."""
    file = _File(model)
    out.mkdir(parents=True, exist_ok=True)
    _write_safetensors(out / "model.safetensors", _renamed(file))
    documents = (
        ("config.json", _config(file)),
        ("tokenizer.json", _tokenizer(file)),
        ("tokenizer_config.json", _tokenizer_config(file)),
    )
    for name, document in documents:
        (out / name).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _renamed(file: _File) -> Tensors:
    """All tensors under the names of the class; the halves of `kv_b` lie apart in the file, keys transposed."""
    found = file.tensors()
    out = {
        "model.embed_tokens.weight": found["token_embd.weight"],
        "model.norm.weight": found["output_norm.weight"],
        "lm_head.weight": found["output.weight"],
    }
    for i in range(file.size("block_count")):
        for ours, theirs in _LAYER.items():
            out[f"model.layers.{i}.{theirs}.weight"] = found[f"blk.{i}.{ours}.weight"]
        k, v = found[f"blk.{i}.attn_k_b.weight"].transpose(0, 2, 1), found[f"blk.{i}.attn_v_b.weight"]
        both = np.concatenate((k, v), axis=1)  # (heads, nope + value, rank)
        out[f"model.layers.{i}.self_attn.kv_b_proj.weight"] = both.reshape(-1, both.shape[-1])
    return out


def _write_safetensors(path: Path, tensors: Tensors) -> None:
    # A length in eight bytes, a header in JSON, the data. NumPy has no bfloat16: the upper half of a float32.
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    pieces, end = [], 0
    for name, values in tensors.items():
        data = _bfloat16(values).tobytes()
        header[name] = {"dtype": "BF16", "shape": list(values.shape), "data_offsets": [end, end + len(data)]}
        pieces.append(data)
        end += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(b"".join([len(text).to_bytes(8, "little"), text, *pieces]))


def _bfloat16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")  # half to even


def _config(file: _File) -> Mapping[str, object]:
    """`config.json`; every layer is dense, so what it says of experts is not used."""
    rope = file.size("rope.dimension_count")
    heads = file.size("attention.head_count")
    return {
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "deepseek_v3",
        "torch_dtype": "bfloat16",
        "vocab_size": file.size("vocab_size"),
        "hidden_size": file.size("embedding_length"),
        "intermediate_size": file.size("feed_forward_length"),
        "num_hidden_layers": file.size("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "q_lora_rank": file.size("attention.q_lora_rank"),
        "kv_lora_rank": file.size("attention.kv_lora_rank"),
        "qk_nope_head_dim": file.size("attention.key_length_mla") - rope,
        "qk_rope_head_dim": rope,
        "v_head_dim": file.size("attention.value_length_mla"),
        "rope_theta": file.size("rope.freq_base"),
        "rope_interleave": True,
        "max_position_embeddings": file.size("context_length"),
        "rms_norm_eps": round(file.size("attention.layer_norm_rms_epsilon"), 12),  # a float32 in the file
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": False,
        "first_k_dense_replace": file.size("block_count"),
        "moe_layer_freq": 1,
        "moe_intermediate_size": file.size("feed_forward_length"),
        "n_routed_experts": 1,
        "n_shared_experts": 1,
        "num_experts_per_tok": 1,
        "n_group": 1,
        "topk_group": 1,
        "bos_token_id": file.value("tokenizer.ggml.bos_token_id"),
        "eos_token_id": file.value("tokenizer.ggml.eos_token_id"),
        "pad_token_id": file.value("tokenizer.ggml.padding_token_id"),
    }


def _tokenizer(file: _File) -> Mapping[str, object]:
    tokens, types = file.value("tokenizer.ggml.tokens"), file.value("tokenizer.ggml.token_type")
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    split = {"type": "Split", "behavior": "Isolated", "invert": False}
    to_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": token, **flags} for i, token in enumerate(tokens) if types[i] != _NORMAL],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [*({**split, "pattern": {"Regex": pattern}} for pattern in PATTERNS), to_bytes],
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in file.value("tokenizer.ggml.merges")],
        },
    }


def _tokenizer_config(file: _File) -> Mapping[str, object]:
    tokens = file.value("tokenizer.ggml.tokens")
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": file.size("context_length"),
        "bos_token": tokens[file.value("tokenizer.ggml.bos_token_id")],
        "eos_token": tokens[file.value("tokenizer.ggml.eos_token_id")],
        "pad_token": tokens[file.value("tokenizer.ggml.padding_token_id")],
        "clean_up_tokenization_spaces": False,
        "chat_template": file.value("tokenizer.chat_template"),
    }


def main() -> None:
    """Export a model file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a file that export_gguf wrote")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    export(args.model, args.out)


if __name__ == "__main__":
    main()
