"""The Hugging Face files of the bundled model, made of it for backends that read no GGUF.

They are judged by what they compute: the class's forward pass, written here in NumPy, against llama.cpp on the GGUF.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from seekd.models.locate import find_model_file
from seekd.models.settings import BUNDLED_MODEL
from tests.model.test_truth import logits, opened

Array = npt.NDArray[np.float32]
NOISE = 0.04  # of the largest logit: llama.cpp multiplies in eight bits, here weights are bfloat16; measured 0.018


def _weights(folder: Path) -> dict[str, Array]:
    data = (folder / "model.safetensors").read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    out = {}
    for name, entry in json.loads(data[8:begin]).items():
        if name != "__metadata__":
            start, end = (begin + offset for offset in entry["data_offsets"])
            upper = np.frombuffer(data[start:end], "<u2").astype(np.uint32)  # bfloat16: the upper half of a float32
            out[name] = (upper << 16).view(np.float32).reshape(entry["shape"])
    return out


class _DeepseekV3:
    """`DeepseekV3ForCausalLM` with dense layers only."""

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.weights = _weights(folder)

    def last_logits(self, token_ids: list[int]) -> Array:
        x = self.weights["model.embed_tokens.weight"][token_ids]
        for i in range(self.config["num_hidden_layers"]):
            layer = f"model.layers.{i}."
            x = x + self._attention(self._norm(x, f"{layer}input_layernorm"), f"{layer}self_attn.")
            h = self._norm(x, f"{layer}post_attention_layernorm")
            gate = self._linear(h, f"{layer}mlp.gate_proj")
            up = self._linear(h, f"{layer}mlp.up_proj")
            x = x + self._linear(gate / (1 + np.exp(-gate)) * up, f"{layer}mlp.down_proj")
        found: Array = self._linear(self._norm(x[-1:], "model.norm"), "lm_head")[0]
        return found

    def _linear(self, x: Array, name: str) -> Array:
        found: Array = x @ self.weights[f"{name}.weight"].T
        return found

    def _norm(self, x: Array, name: str) -> Array:
        scale = 1 / np.sqrt((x**2).mean(-1, keepdims=True) + self.config["rms_norm_eps"])
        found: Array = x * scale * self.weights[f"{name}.weight"]
        return found

    def _attention(self, x: Array, name: str) -> Array:
        c = self.config
        time, heads = len(x), c["num_attention_heads"]
        nope, rope, rank = c["qk_nope_head_dim"], c["qk_rope_head_dim"], c["kv_lora_rank"]
        q = self._linear(self._norm(self._linear(x, f"{name}q_a_proj"), f"{name}q_a_layernorm"), f"{name}q_b_proj")
        q = q.reshape(time, heads, nope + rope)
        latent = self._linear(x, f"{name}kv_a_proj_with_mqa")
        kv = self._linear(self._norm(latent[:, :rank], f"{name}kv_a_layernorm"), f"{name}kv_b_proj")
        kv = kv.reshape(time, heads, nope + c["v_head_dim"])
        k_rope = np.broadcast_to(self._rotated(latent[:, None, rank:]), (time, heads, rope))
        k = np.concatenate((kv[..., :nope], k_rope), axis=-1)
        q = np.concatenate((q[..., :nope], self._rotated(q[..., nope:])), axis=-1)
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(nope + rope)
        scores = np.where(np.tril(np.ones((time, time), bool)), scores, -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        said = np.einsum("hqk,khd->qhd", shares, kv[..., nope:]).reshape(time, -1)
        return self._linear(said, f"{name}o_proj")

    def _rotated(self, x: Array) -> Array:
        """Rotate the pairs (2i, 2i+1) of the last axis; `rope_interleave` says that they lie side by side."""
        assert self.config["rope_interleave"]
        size = x.shape[-1]
        angles = np.arange(len(x))[:, None] / self.config["rope_theta"] ** (np.arange(0, size, 2) / size)
        cos, sin = (f(angles)[:, None].astype(np.float32) for f in (np.cos, np.sin))
        even, odd = x[..., 0::2], x[..., 1::2]
        found: Array = np.stack((even * cos - odd * sin, even * sin + odd * cos), axis=-1).reshape(x.shape)
        return found


def test_they_compute_what_the_model_file_does(hf_files: Path) -> None:
    with opened(find_model_file(BUNDLED_MODEL)) as runtime:
        special = runtime.vocabulary.special_tokens
        asked = runtime.vocabulary.tokenize("What is 17 + 25?")
        token_ids = [special["<｜begin▁of▁sentence｜>"], special["<｜User｜>"], *asked, special["<｜Assistant｜>"]]
        expected = logits(runtime, token_ids, slot=0, start=0, size=256)
    found = _DeepseekV3(hf_files).last_logits(token_ids)
    assert np.abs(found - expected).max() < NOISE * np.abs(expected).max()


def test_the_tokenizer_is_that_of_the_model_file(hf_files: Path) -> None:
    written = json.loads((hf_files / "tokenizer.json").read_text())
    fields = gguf.GGUFReader(find_model_file(BUNDLED_MODEL)).fields
    tokens, kinds = (fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "token_type"))
    assert written["model"]["vocab"] == {token: i for i, token in enumerate(tokens)}
    assert [" ".join(merge) for merge in written["model"]["merges"]] == fields["tokenizer.ggml.merges"].contents()
    special = {token["content"]: token["id"] for token in written["added_tokens"]}
    assert special == {token: i for i, token in enumerate(tokens) if kinds[i] != gguf.TokenType.NORMAL}
    settings = json.loads((hf_files / "tokenizer_config.json").read_text())
    assert settings["chat_template"] == fields["tokenizer.chat_template"].contents()
