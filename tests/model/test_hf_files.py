"""The Hugging Face files of the bundled model, for backends that read no GGUF: the same weights and tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest

from seekd.models.locate import find_model_file
from seekd.models.settings import BUNDLED_MODEL

FOLDER = Path(__file__).parents[1] / "data" / "seekd-demo-hf"
Weights = dict[str, npt.NDArray[np.float32]]


def _safetensors(path: Path) -> Weights:
    """Tensors of a file whose values are all bfloat16, a type that NumPy lacks: the upper half of a float32."""
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    out = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        assert entry["dtype"] == "BF16"
        start, end = (begin + offset for offset in entry["data_offsets"])
        upper = np.frombuffer(data[start:end], "<u2").astype(np.uint32)
        out[name] = (upper << 16).view(np.float32).reshape(entry["shape"])
    return out


def _rounded(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """To bfloat16, half to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)


@pytest.fixture(scope="module")
def reader() -> gguf.GGUFReader:
    return gguf.GGUFReader(find_model_file(BUNDLED_MODEL))


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    value: dict[str, Any] = json.loads((FOLDER / "config.json").read_text())
    return value


def test_every_weight_is_that_of_the_model_file(reader: gguf.GGUFReader, config: dict[str, Any]) -> None:
    ours = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    names = {
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
    scale = 3.0 * config["hidden_size"] ** 0.5  # of the input table, which the file quantises apart
    wanted = {
        "model.embed_tokens.weight": ours["output.weight"] * np.float32(scale),
        "lm_head.weight": ours["output.weight"],
        "model.norm.weight": ours["output_norm.weight"],
    }
    for i in range(config["num_hidden_layers"]):
        for name, theirs in names.items():
            wanted[f"model.layers.{i}.{theirs}.weight"] = ours[f"blk.{i}.{name}.weight"]
        # llama.cpp keeps the two halves apart, and keys transposed
        k, v = ours[f"blk.{i}.attn_k_b.weight"].transpose(0, 2, 1), ours[f"blk.{i}.attn_v_b.weight"]
        wanted[f"model.layers.{i}.self_attn.kv_b_proj.weight"] = np.concatenate((k, v), axis=1).reshape(
            -1, config["kv_lora_rank"]
        )
    found = _safetensors(FOLDER / "model.safetensors")
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert np.array_equal(found[name], _rounded(values)), name


def test_the_sizes_are_those_of_the_model_file(reader: gguf.GGUFReader, config: dict[str, Any]) -> None:
    keys = {
        "vocab_size": "vocab_size",
        "hidden_size": "embedding_length",
        "intermediate_size": "feed_forward_length",
        "num_hidden_layers": "block_count",
        "first_k_dense_replace": "leading_dense_block_count",
        "num_attention_heads": "attention.head_count",
        "q_lora_rank": "attention.q_lora_rank",
        "kv_lora_rank": "attention.kv_lora_rank",
        "qk_rope_head_dim": "rope.dimension_count",
        "v_head_dim": "attention.value_length_mla",
        "rope_theta": "rope.freq_base",
        "max_position_embeddings": "context_length",
    }
    assert {name: config[name] for name in keys} == {
        name: reader.fields[f"deepseek2.{key}"].contents() for name, key in keys.items()
    }
    assert config["rms_norm_eps"] == pytest.approx(
        reader.fields["deepseek2.attention.layer_norm_rms_epsilon"].contents()
    )


def test_the_tokenizer_is_that_of_the_model_file(reader: gguf.GGUFReader) -> None:
    model = json.loads((FOLDER / "tokenizer.json").read_text())["model"]
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    assert model["vocab"] == {token: i for i, token in enumerate(tokens)}
    assert [" ".join(merge) for merge in model["merges"]] == reader.fields["tokenizer.ggml.merges"].contents()
