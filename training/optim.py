"""Muon for matrices: momentum whose step is made orthogonal by a Newton-Schulz iteration."""

from __future__ import annotations

from collections import defaultdict

import torch
import torch.distributed as dist
from torch import Tensor

_CAPABILITIES = torch.cpu.get_capabilities()
# Without instructions for it, bfloat16 is emulated: on such a processor one step of this iteration took 13 s instead of 0.4.
FAST_BFLOAT16 = bool(_CAPABILITIES.get("avx512_bf16") or _CAPABILITIES.get("amx_bf16"))


def orthogonal(g: Tensor, steps: int = 5) -> Tensor:
    """Nearest semi-orthogonal matrices of a stack (count, rows, columns), approximately."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16() if FAST_BFLOAT16 else g
    flip = x.shape[1] > x.shape[2]
    x = x.mT if flip else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        s = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(s, s, s, beta=b, alpha=c), x, beta=a)
    return x.mT if flip else x


def _shared(stack: Tensor) -> Tensor:
    """`orthogonal` of a stack, of which each process of a run takes a part."""
    if not dist.is_initialized():
        return orthogonal(stack).float()
    mine = slice(dist.get_rank(), None, dist.get_world_size())
    update = torch.zeros_like(stack)
    if len(stack[mine]):
        update[mine] = orthogonal(stack[mine]).float()
    dist.all_reduce(update)
    return update


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonal step, decoupled weight decay."""

    def __init__(self, params: list[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.02) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; equal shapes go through one batched iteration."""
        for group in self.param_groups:
            shapes: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    shapes[tuple(p.shape)].append(p)
            for shape, params in shapes.items():
                moved = []
                for p in params:
                    state = self.state[p]
                    if "buffer" not in state:
                        state["buffer"] = torch.zeros_like(p)
                    state["buffer"].lerp_(p.grad, 1 - group["momentum"])
                    moved.append(p.grad.lerp(state["buffer"], group["momentum"]))
                update = _shared(torch.stack(moved))
                rate = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for p, u in zip(params, update, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(u, alpha=-rate)
