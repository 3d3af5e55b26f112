"""Conversations of like length side by side, made on the fly so that no conversation repeats.

A row is one conversation, so attention stays inside it without a mask, and padding behind it is seen by nobody.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from training.data.conversation import segments
from training.data.mix import Mixture
from training.tokenizer import PAD, Codec

Document = tuple[list[int], list[bool]]

LENGTHS = (64, 96, 128, 160, 192, 256, 320, 384, 512, 640, 768, 896, 1024, 1408, 2048)  # each costs a compilation
_CHUNK = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Token rows of one length, and the positions with loss."""

    ids: Tensor
    where: Tensor
    targets: Tensor
    tokens: int


def _batch(rows: list[Document], length: int, size: int) -> Batch:
    ids = torch.full((size, length), PAD)
    loss = torch.zeros((size, length), dtype=torch.bool)
    for r, (tokens, marks) in enumerate(rows):
        ids[r, : len(tokens)] = torch.tensor(tokens)
        loss[r, : len(tokens)] = torch.tensor(marks)
    predicts = torch.zeros_like(loss)
    predicts[:, :-1] = loss[:, 1:]
    where = predicts.flatten().nonzero().squeeze(1)
    return Batch(ids=ids, where=where, targets=ids.flatten()[where + 1], tokens=sum(len(tokens) for tokens, _ in rows))


def batches(
    mixture: Mixture, codec: Codec, seed: int, tokens: int, *, beginning: bool = False, part: tuple[int, int] = (0, 1)
) -> Iterator[Batch]:
    """Endless batches of about `tokens` positions, lengths in random order.

    Args:
        mixture: where conversations come from.
        codec: the tokenizer.
        seed: of the first chunk of conversations; each later one has a seed of its own.
        tokens: rows times length; fixed for each length, so that each is compiled once.
        beginning: the mixture of a run's first part, see `mix.Mixture`.
        part: which process this is, and of how many. All make the same rows and each takes its own, so that their steps are
            of one length and nobody waits.
    """
    waiting: dict[int, list[Document]] = defaultdict(list)
    while True:
        ready: list[Batch] = []
        talk_segments = [segments(t) for t in mixture.talks(seed, _CHUNK, beginning=beginning)]
        for document in codec.encode_all(talk_segments):
            length = next((n for n in LENGTHS if n >= len(document[0])), None)
            if length is None:
                continue
            size = max(1, tokens // length)
            waiting[length].append(document)
            if len(waiting[length]) == size * part[1]:
                ready.append(_batch(waiting.pop(length)[part[0] :: part[1]], length, size))
        random.Random(seed).shuffle(ready)
        yield from ready
        seed += 1
