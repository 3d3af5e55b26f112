"""Hugging Face files of the same weights: config, safetensors in bfloat16, tokenizer; class `DeepseekV3ForCausalLM`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from training.export_gguf import CHAT_TEMPLATE
from training.import_gguf import load_state, load_tokenizer
from training.model import DemoModel, ModelConfig
from training.tokenizer import BOS, EOS, PAD, SPECIALS

_LAYER = {
    "attn_norm": "input_layernorm",
    "attn.q_a": "self_attn.q_a_proj",
    "attn.q_a_norm": "self_attn.q_a_layernorm",
    "attn.q_b": "self_attn.q_b_proj",
    "attn.kv_a": "self_attn.kv_a_proj_with_mqa",
    "attn.kv_a_norm": "self_attn.kv_a_layernorm",
    "attn.out": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn.gate": "mlp.gate_proj",
    "ffn.up": "mlp.up_proj",
    "ffn.down": "mlp.down_proj",
}


def tensors(model: DemoModel) -> dict[str, Tensor]:
    """All tensors under the names of the class.

    The class has no factor for its input, so the one table becomes two: scaled for the input, as it is for the output.
    """
    c = model.c
    state = {k: v.detach() for k, v in model.state_dict().items()}
    out = {
        "model.embed_tokens.weight": state["embed.weight"] * model.embed_scale,
        "model.norm.weight": state["norm.weight"],
        "lm_head.weight": state["embed.weight"],
    }
    for i in range(c.layers):
        for ours, theirs in _LAYER.items():
            out[f"model.layers.{i}.{theirs}.weight"] = state[f"blocks.{i}.{ours}.weight"]
        k = state[f"blocks.{i}.attn.k_b.weight"].view(c.heads, c.nope, c.kv_rank)
        v = state[f"blocks.{i}.attn.v_b.weight"].view(c.heads, c.value, c.kv_rank)
        out[f"model.layers.{i}.self_attn.kv_b_proj.weight"] = torch.cat((k, v), dim=1).flatten(0, 1)
    return out


def config(model: DemoModel) -> dict[str, object]:
    """`config.json`; every layer is dense, so what it says of experts is not used."""
    c = model.c
    return {
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "deepseek_v3",
        "torch_dtype": "bfloat16",
        "vocab_size": c.vocab,
        "hidden_size": c.width,
        "intermediate_size": c.ff,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.heads,
        "q_lora_rank": c.q_rank,
        "kv_lora_rank": c.kv_rank,
        "qk_nope_head_dim": c.nope,
        "qk_rope_head_dim": c.rope,
        "v_head_dim": c.value,
        "rope_theta": c.rope_base,
        "rope_interleave": True,
        "max_position_embeddings": c.context,
        "rms_norm_eps": c.eps,
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": False,
        "first_k_dense_replace": c.layers,
        "moe_layer_freq": 1,
        "moe_intermediate_size": c.ff,
        "n_routed_experts": 1,
        "n_shared_experts": 1,
        "num_experts_per_tok": 1,
        "n_group": 1,
        "topk_group": 1,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "pad_token_id": PAD,
    }


def write(model: DemoModel, tokenizer: Tokenizer, out: Path) -> None:
    """Write the files of a model into a directory."""
    out.mkdir(parents=True, exist_ok=True)
    weights = {k: v.to(torch.bfloat16).contiguous() for k, v in tensors(model).items()}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(out / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model.c.context,
        "bos_token": SPECIALS[BOS],
        "eos_token": SPECIALS[EOS],
        "pad_token": SPECIALS[PAD],
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    for name, value in (("config.json", config(model)), ("tokenizer_config.json", settings)):
        (out / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Export a model file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a file that export_gguf wrote")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    tokenizer = load_tokenizer(args.model)
    model = DemoModel(ModelConfig(vocab=tokenizer.get_vocab_size()))
    model.load_state_dict(load_state(args.model, model.c))
    write(model, tokenizer, args.out)


if __name__ == "__main__":
    main()
