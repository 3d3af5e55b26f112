"""The GGUF file: Q8_0 matrices, F32 norms, the tokenizer, and a chat template."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Q

from training.model import DemoModel
from training.tokenizer import BOS, EOS, PAD, SPECIALS, USER_DEFINED
from training.train import load_model

# Renders plain chats for programs that use only the template; seekd itself renders V4.1 prompts with deepseek-recipe.
CHAT_TEMPLATE = """\
{%- set dsml_token = '｜DSML｜' -%}
{#- DeepSeek V4.1 layout; calls: <｜DSML｜ calls> <｜DSML｜ invoke name="..."> <｜DSML｜ parameter name="..." string="true|false"> -#}
{{- '<｜begin▁of▁sentence｜>' -}}
{%- for message in messages -%}
{%- if message['role'] == 'system' -%}
{{- '<｜System｜>' + message['content'] -}}
{%- elif message['role'] == 'user' -%}
{{- '<｜User｜>' + message['content'] -}}
{%- elif message['role'] == 'tool' -%}
{{- '<｜User｜><tool_result>' + message['content'] + '</tool_result>' -}}
{%- elif message['role'] == 'assistant' -%}
{{- '<｜Assistant｜></think>' + (message['content'] or '') -}}
{%- if message['tool_calls'] -%}
{{- '\\n\\n<' + dsml_token + ' calls>\\n' -}}
{%- for call in message['tool_calls'] -%}
{{- '<' + dsml_token + ' invoke name="' + call['function']['name'] + '">\\n' -}}
{%- for name, value in call['function']['arguments'] | items -%}
{{- '<' + dsml_token + ' parameter name="' + name + '" string="' + ('true' if value is string else 'false') + '">' -}}
{{- (value if value is string else value | tojson) + '</' + dsml_token + ' parameter>\\n' -}}
{%- endfor -%}
{{- '</' + dsml_token + ' invoke>\\n' -}}
{%- endfor -%}
{{- '</' + dsml_token + ' calls>' -}}
{%- endif -%}
{{- '<｜end▁of▁sentence｜>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<｜Assistant｜>' + ('<think>' if thinking is defined and thinking else '</think>') -}}
{%- endif -%}
"""

# Names of a layer's weights here and in the file, where both have one shape.
LAYER_NAMES = {
    "attn_norm": "attn_norm", "attn.q_a": "attn_q_a", "attn.q_a_norm": "attn_q_a_norm", "attn.q_b": "attn_q_b", "attn.kv_a": "attn_kv_a_mqa",
    "attn.kv_a_norm": "attn_kv_a_norm", "attn.out": "attn_output", "ffn_norm": "ffn_norm", "ffn.gate": "ffn_gate", "ffn.up": "ffn_up", "ffn.down": "ffn_down",
}  # fmt: skip


def tensors(model: DemoModel) -> dict[str, np.ndarray]:
    """All tensors under their GGUF names, F32."""
    c = model.c
    state = {k: v.detach().float().numpy() for k, v in model.state_dict().items()}
    out = {
        "token_embd.weight": state["embed.weight"] * model.embed_scale,
        "output.weight": state["embed.weight"],
        "output_norm.weight": state["norm.weight"],
    }
    for i in range(c.layers):
        s, d = f"blocks.{i}.", f"blk.{i}."
        for ours, theirs in LAYER_NAMES.items():
            out[f"{d}{theirs}.weight"] = state[f"{s}{ours}.weight"]
        k_b = state[f"{s}attn.k_b.weight"].reshape(c.heads, c.nope, c.kv_rank)
        out[f"{d}attn_k_b.weight"] = k_b.transpose(0, 2, 1)  # per head and transposed: k = latent @ this
        out[f"{d}attn_v_b.weight"] = state[f"{s}attn.v_b.weight"].reshape(c.heads, c.value, c.kv_rank)
    return {k: np.ascontiguousarray(v, dtype=np.float32) for k, v in out.items()}


def _metadata(w: gguf.GGUFWriter, model: DemoModel, trained: str) -> None:
    c = model.c
    w.add_name("seekd-demo")
    w.add_description("Demonstration model of seekd: small, made from scratch by the seekd project, not by DeepSeek")
    w.add_author("the seekd project")
    w.add_version(trained)
    numbers = {
        "block_count": c.layers, "context_length": c.context, "embedding_length": c.width, "feed_forward_length": c.ff, "attention.head_count": c.heads,
        "attention.head_count_kv": 1, "attention.q_lora_rank": c.q_rank, "attention.kv_lora_rank": c.kv_rank, "attention.key_length": c.kv_rank + c.rope,
        "attention.value_length": c.kv_rank, "attention.key_length_mla": c.nope + c.rope, "attention.value_length_mla": c.value, "rope.dimension_count": c.rope,
        "leading_dense_block_count": c.layers, "expert_feed_forward_length": c.ff, "expert_shared_count": 0, "vocab_size": c.vocab,
    }  # fmt: skip
    for key, value in numbers.items():
        w.add_uint32(f"deepseek2.{key}", value)
    w.add_float32("deepseek2.attention.layer_norm_rms_epsilon", c.eps)
    w.add_float32("deepseek2.rope.freq_base", c.rope_base)
    w.add_string("seekd.prompt_format", "deepseek-v4.1")
    w.add_string("seekd.temperature_mapping", "v3")
    w.add_bool("seekd.demo", True)


def _vocabulary(w: gguf.GGUFWriter, path: Path) -> None:
    spec = json.loads(path.read_text(encoding="utf-8"))
    vocab = sorted(spec["model"]["vocab"].items(), key=lambda kv: kv[1])
    types = [(4 if t in USER_DEFINED else 3) if t in SPECIALS else 1 for t, _ in vocab]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("deepseek-v3")
    w.add_token_list([t for t, _ in vocab])
    w.add_token_types(types)
    w.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in spec["model"]["merges"]])
    w.add_bos_token_id(BOS)
    w.add_eos_token_id(EOS)
    w.add_pad_token_id(PAD)
    w.add_add_bos_token(False)
    w.add_add_eos_token(False)
    w.add_chat_template(CHAT_TEMPLATE)


def export(checkpoint: Path, tokenizer: Path, out: Path, *, f32: bool = False, trained: str = "1") -> None:
    """Write the file."""
    model = load_model(checkpoint)
    write(model, tokenizer, out, f32=f32, trained=trained)


def write(model: DemoModel, tokenizer: Path, out: Path, *, f32: bool = False, trained: str = "1") -> None:
    """Write a model; `f32` keeps every tensor unquantised."""
    w = gguf.GGUFWriter(str(out), "deepseek2")
    _metadata(w, model, trained)
    _vocabulary(w, tokenizer)
    for name, value in tensors(model).items():
        if value.ndim == 1 or f32:
            w.add_tensor(name, value)
        else:
            w.add_tensor(name, gguf.quants.quantize(value, Q.Q8_0), raw_dtype=Q.Q8_0)
    w.add_file_type(gguf.LlamaFileType.ALL_F32 if f32 else gguf.LlamaFileType.MOSTLY_Q8_0)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main() -> None:
    """Export a checkpoint by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--f32", action="store_true")
    args = parser.parse_args()
    with torch.no_grad():
        export(args.checkpoint, args.tokenizer, args.out, f32=args.f32)


if __name__ == "__main__":
    main()
