"""The training loop: time-boxed, resumable, with a progress line."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from training.batches import LENGTHS, Batch, batches
from training.data.mix import Mixture
from training.model import DemoModel, ModelConfig
from training.optim import FAST_BFLOAT16, Muon
from training.tokenizer import Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of one run.

    Attributes:
        minutes: wall time of the whole run, over all its starts.
        tokens: positions of one step, in all processes together.
        beginning: part of the time with the copybook alone.
        beginning_tokens: positions of one step there; many small steps find copying sooner than few large ones.
        decay_from: part of the time after which the learning rates fall, linearly, to nothing.
        muon_rate: for matrices.
        adam_rate: for the embedding and the gains of the norms.
        warmup: steps until the full rates.
        workers: processes that share each step, one thread each.
        seed: of the weights and of the conversations.
        save_every: seconds between checkpoints.
        compile: whether layers go through `torch.compile`, which needs a C++ compiler.
        start: weights that this run begins with; there is no beginning then.
    """

    minutes: float
    tokens: int = 8192
    beginning: float = 0.09
    beginning_tokens: int = 2048
    decay_from: float = 0.2
    muon_rate: float = 0.02
    adam_rate: float = 0.002
    warmup: int = 60
    workers: int = 2
    seed: int = 1
    save_every: float = 180.0
    compile: bool = True
    start: dict[str, Tensor] | None = None


def _optimizers(model: DemoModel, c: TrainConfig) -> list[torch.optim.Optimizer]:
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        Muon(matrices, c.muon_rate),
        torch.optim.AdamW(others, c.adam_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _loss(hidden: Tensor, where: Tensor, embedding: Tensor, targets: Tensor) -> Tensor:
    logits = F.linear(hidden.flatten(0, 1)[where], embedding.to(hidden.dtype))
    return F.cross_entropy(logits.float(), targets)


def load_model(checkpoint: Path) -> DemoModel:
    """The model of a checkpoint."""
    state = torch.load(checkpoint, weights_only=True)
    model = DemoModel(ModelConfig(**state["config"]))
    model.load_state_dict(state["model"])
    return model.eval()


class _Run:
    """What a run carries from step to step, and what a checkpoint holds."""

    def __init__(self, model_config: ModelConfig, c: TrainConfig, folder: Path) -> None:
        self.model = DemoModel(model_config)
        self.optimizers = _optimizers(self.model, c)
        self.step, self.tokens, self.spent = 0, 0, 0.0
        self.path = folder / "checkpoint.pt"
        self.rates = [[g["lr"] for g in o.param_groups] for o in self.optimizers]
        if c.start is not None and not self.path.exists():
            self.model.load_state_dict(c.start)
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            self.model.load_state_dict(state["model"])
            for o, saved in zip(self.optimizers, state["optimizers"], strict=True):
                o.load_state_dict(saved)
            self.step, self.tokens, self.spent = state["step"], state["tokens"], state["spent"]

    def save(self) -> None:
        """Write the checkpoint; the old one stays until the new one is whole."""
        state = {
            "config": self.model.c.as_dict(),
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "step": self.step,
            "tokens": self.tokens,
            "spent": self.spent,
        }
        torch.save(state, self.path.with_suffix(".tmp"))
        self.path.with_suffix(".tmp").replace(self.path)

    def share(self, *numbers: float) -> list[float]:
        """Give every process the mean gradients, and the sums of `numbers`."""
        workers = dist.get_world_size()
        grads = [p.grad for p in self.model.parameters() if p.grad is not None]
        flat = torch.cat([*(g.flatten() for g in grads), torch.tensor(numbers)])
        dist.all_reduce(flat)
        at = 0
        for g in grads:
            g.copy_(flat[at : at + g.numel()].view_as(g)).div_(workers)
            at += g.numel()
        return flat[at:].tolist()

    def update(self, scale: float) -> None:
        """One step of both optimizers with scaled rates."""
        for o, rates in zip(self.optimizers, self.rates, strict=True):
            for group, rate in zip(o.param_groups, rates, strict=True):
                group["lr"] = rate * scale
            o.step()
            o.zero_grad(set_to_none=True)
        self.step += 1


def _compile(model: DemoModel) -> None:
    """Compile one layer for all, once a length; a whole network in one piece would take minutes for each."""
    torch._dynamo.config.recompile_limit = 4 * len(LENGTHS)  # noqa: SLF001 - where PyTorch documents this setting
    for block in model.blocks:
        block.compile(dynamic=False)


def _keep_freed_memory() -> None:
    """Let glibc keep what tensors free: to give it back and touch new pages in the next step took a third of the time.

    Source: mallopt(3), M_TRIM_THRESHOLD and M_MMAP_THRESHOLD. Other C libraries have no such function.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-1, 2**31 - 1)
        mallopt(-3, 2**30)


def train(model_config: ModelConfig, c: TrainConfig, codec: Codec, mixture: Mixture, folder: Path) -> Path:
    """Train until the time is over; continue from the folder's checkpoint if there is one."""
    _keep_freed_memory()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as meeting:

        def work(rank: int) -> Path:
            dist.init_process_group("gloo", f"file://{meeting}/rank", rank=rank, world_size=c.workers)
            try:
                return _work(rank, model_config, c, codec, mixture, folder)
            finally:
                dist.destroy_process_group()

        # One thread is set before the fork: a pool of PyTorch's threads would not survive it.
        helpers = [multiprocessing.get_context("fork").Process(target=work, args=(r,)) for r in range(1, c.workers)]
        for helper in helpers:
            helper.start()
        try:
            return work(0)
        finally:
            for helper in helpers:
                helper.join()


def _work(rank: int, model_config: ModelConfig, c: TrainConfig, codec: Codec, mixture: Mixture, folder: Path) -> Path:
    """One process's part; the first one keeps the time, prints and saves."""
    torch.manual_seed(c.seed)
    run = _Run(model_config, c, folder)
    loss_of = _loss
    if c.compile:
        _compile(run.model)
        loss_of = torch.compile(_loss, dynamic=True)
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    source: Iterator[Batch] | None = None
    total, smooth, beginning, stopped = c.minutes * 60, 0.0, False, False
    copybook_until = 0.0 if c.start else c.beginning  # copybook alone makes a trained network forget the rest
    last = saved = mark = time.monotonic()
    mark_tokens = run.tokens
    while run.spent < total and not stopped:
        progress = run.spent / total
        if source is None or (progress < copybook_until) != beginning:
            beginning = progress < copybook_until
            tokens = (c.beginning_tokens if beginning else c.tokens) // c.workers
            seed, part = c.seed * 1_000_000 + run.step, (rank, c.workers)
            source = batches(mixture, codec, seed, tokens, beginning=beginning, part=part)
        scale = min(1.0, (run.step + 1) / c.warmup, max(0.02, (1 - progress) / (1 - c.decay_from)))
        batch = next(source)
        with torch.autocast("cpu", torch.bfloat16, enabled=FAST_BFLOAT16):
            loss = loss_of(run.model.hidden(batch.ids), batch.where, run.model.embed.weight, batch.targets)
        loss.backward()
        now = time.monotonic()
        spent, stops, losses, seen = run.share(now - last if rank == 0 else 0.0, len(stop), loss.item(), batch.tokens)
        last = now
        stopped = stops > 0
        run.spent += spent
        run.tokens += round(seen)
        smooth = losses / c.workers if smooth == 0 else 0.98 * smooth + 0.02 * losses / c.workers
        run.update(scale)
        if rank > 0:
            continue
        if run.step % 50 == 0:
            rate = (run.tokens - mark_tokens) / (now - mark)
            mark, mark_tokens = now, run.tokens
            print(
                f"step {run.step}  tokens {run.tokens / 1e6:.2f}M  {rate:.0f} tok/s  loss {smooth:.4f}  "
                f"lr x{scale:.2f}  left {(total - run.spent) / 60:.1f} min",
                flush=True,
            )
        if now - saved > c.save_every:
            run.save()
            saved = now
    if rank == 0:
        run.save()
        if stopped:
            raise SystemExit("stopped; the checkpoint is saved and the same command continues")
    return run.path
