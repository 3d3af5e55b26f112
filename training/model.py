"""The bundled model: DeepSeek's `deepseek2` layout with latent attention and dense feed-forward layers."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CHUNK = 256  # queries at a time: half of what lies behind the diagonal is not computed


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Sizes of the network; the names follow the keys of the GGUF file."""

    vocab: int
    width: int = 256
    layers: int = 6
    heads: int = 4
    nope: int = 32
    rope: int = 32
    value: int = 64
    q_rank: int = 128
    kv_rank: int = 128
    ff: int = 768
    context: int = 8192
    rope_base: float = 10000.0
    eps: float = 1e-6

    def as_dict(self) -> dict[str, float | int]:
        """The sizes as plain values, for checkpoints."""
        return asdict(self)


def rope_tables(length: int, dim: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary angles, each (length, dim / 2)."""
    inv = base ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * inv
    return angle.cos().float(), angle.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate interleaved pairs (2i, 2i+1) of the last axis; `x` is (batch, heads, time, dim)."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


class Norm(nn.Module):
    """RMS norm with a learned gain."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


class Attention(nn.Module):
    """Multi-head latent attention, computed with expanded keys and values."""

    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.c = c
        self.q_a = nn.Linear(c.width, c.q_rank, bias=False)
        self.q_a_norm = Norm(c.q_rank, c.eps)
        self.q_b = nn.Linear(c.q_rank, c.heads * (c.nope + c.rope), bias=False)
        self.kv_a = nn.Linear(c.width, c.kv_rank + c.rope, bias=False)
        self.kv_a_norm = Norm(c.kv_rank, c.eps)
        self.k_b = nn.Linear(c.kv_rank, c.heads * c.nope, bias=False)
        self.v_b = nn.Linear(c.kv_rank, c.heads * c.value, bias=False)
        self.out = nn.Linear(c.heads * c.value, c.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """Attend to what came before."""
        c = self.c
        b, t, _ = x.shape
        q = self.q_b(self.q_a_norm(self.q_a(x))).view(b, t, c.heads, c.nope + c.rope).transpose(1, 2)
        latent, k_rope = self.kv_a(x).split((c.kv_rank, c.rope), dim=-1)
        latent = self.kv_a_norm(latent)
        k_nope = self.k_b(latent).view(b, t, c.heads, c.nope).transpose(1, 2)
        v = self.v_b(latent).view(b, t, c.heads, c.value).transpose(1, 2)
        q = torch.cat((q[..., : c.nope], rotate(q[..., c.nope :], cos, sin)), dim=-1)
        k_rope = rotate(k_rope[:, None], cos, sin).expand(b, c.heads, t, c.rope)
        k = torch.cat((k_nope, k_rope), dim=-1)
        scale = (c.nope + c.rope) ** -0.5
        parts = []
        for start in range(0, t, _CHUNK):
            end = min(start + _CHUNK, t)
            scores = (q[:, :, start:end] @ k[:, :, :end].transpose(-1, -2)).float() * scale + mask[start:end, :end]
            parts.append(scores.softmax(-1).to(v.dtype) @ v[:, :, :end])
        y = torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]
        return self.out(y.transpose(1, 2).reshape(b, t, c.heads * c.value))


class FeedForward(nn.Module):
    """Gated feed-forward layer with SiLU."""

    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(c.width, c.ff, bias=False)
        self.up = nn.Linear(c.width, c.ff, bias=False)
        self.down = nn.Linear(c.ff, c.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer at every position."""
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """One pre-norm residual layer."""

    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.attn_norm = Norm(c.width, c.eps)
        self.attn = Attention(c)
        self.ffn_norm = Norm(c.width, c.eps)
        self.ffn = FeedForward(c)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """Add attention and feed-forward to the residual stream."""
        x = x + self.attn(self.attn_norm(x), cos, sin, mask)
        return x + self.ffn(self.ffn_norm(x))


class DemoModel(nn.Module):
    """The whole network; the output layer is the embedding, which enters the network scaled to unit size.

    One table for both ends lets a copied token be named without having been an answer before. The scale keeps a
    token's own vector from drowning in what the layers add to it.
    """

    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.c = c
        self.embed = nn.Embedding(c.vocab, c.width)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.layers))
        self.norm = Norm(c.width, c.eps)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=1 / self.embed_scale if "embed" in name else p.shape[1] ** -0.5)
            if name.endswith(("attn.out.weight", "ffn.down.weight")):
                nn.init.zeros_(p)  # the layers start as identity, which lets the first steps be large
        cos, sin = rope_tables(c.context, c.rope, c.rope_base)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    @property
    def embed_scale(self) -> float:
        """What the embedding is multiplied with on its way in."""
        return 3.0 * float(self.c.width**0.5)  # with a smaller one the first answer to a token is the token itself

    def hidden(self, ids: Tensor) -> Tensor:
        """Normalised last states, (batch, time, width)."""
        x = self.embed(ids) * self.embed_scale
        t = ids.shape[1]
        cos, sin = self.cos[:t], self.sin[:t]
        mask = torch.full((t, t), float("-inf")).triu(1)
        for block in self.blocks:
            x = block(x, cos, sin, mask)
        return self.norm(x)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits at every position."""
        return F.linear(self.hidden(ids), self.embed.weight)
