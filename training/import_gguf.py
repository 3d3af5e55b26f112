"""The weights and the tokenizer of a model file, to go on training from it."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models
from torch import Tensor

from training.export_gguf import LAYER_NAMES
from training.model import DemoModel, ModelConfig
from training.tokenizer import SPECIALS, splitter


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a model file that `export_gguf` wrote."""
    fields = gguf.GGUFReader(path).fields
    vocab = {token: i for i, token in enumerate(fields["tokenizer.ggml.tokens"].contents())}
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = splitter()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIALS])
    return tokenizer


def _rows(table: Tensor, old: Tokenizer, new: Tokenizer) -> Tensor:
    """Rows (vocab, width) for another tokenizer.

    A token keeps its row. A word that had two, with a space and without one, and keeps one gets their mean; what is new
    begins as the mean of its pieces.
    """
    ids, wanted = old.get_vocab(), new.get_vocab()
    plain = decoders.ByteLevel()
    usual = table.norm(dim=1).mean()
    out = torch.empty(new.get_vocab_size(), table.shape[1])
    for token, row in wanted.items():
        spellings = [token] if "Ġ" + token in wanted or not token[0].isalpha() else [token, "Ġ" + token]
        known = [ids[t] for t in spellings if t in ids]
        pieces = known or old.encode(plain.decode([token]), add_special_tokens=False).ids
        mean = table[pieces].mean(0)
        out[row] = mean if len(pieces) == 1 else mean * usual / mean.norm()
    return out


def load_state(path: Path, c: ModelConfig, tokenizer: Tokenizer | None = None) -> dict[str, Tensor]:
    """The state of a `DemoModel` with the sizes `c`, for the file's own tokenizer or another one.

    Raises:
        ValueError: the file's sizes are others.
    """
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}
    state = {"embed.weight": tensors["output.weight"], "norm.weight": tensors["output_norm.weight"]}
    for i in range(c.layers):
        ours, theirs = f"blocks.{i}.", f"blk.{i}."
        for name, stored in LAYER_NAMES.items():
            state[f"{ours}{name}.weight"] = tensors[f"{theirs}{stored}.weight"]
        state[f"{ours}attn.k_b.weight"] = tensors[f"{theirs}attn_k_b.weight"].transpose(0, 2, 1).reshape(-1, c.kv_rank)
        state[f"{ours}attn.v_b.weight"] = tensors[f"{theirs}attn_v_b.weight"].reshape(-1, c.kv_rank)
    found = {k: torch.tensor(np.ascontiguousarray(v)) for k, v in state.items()}
    if tokenizer is not None:
        found["embed.weight"] = _rows(found["embed.weight"], load_tokenizer(path), tokenizer)
    for name, wanted in DemoModel(c).state_dict().items():
        if name not in found or found[name].shape != wanted.shape:
            raise ValueError(f"{path}: {name} is not {tuple(wanted.shape)}; start from a file of the same sizes")
    return found
