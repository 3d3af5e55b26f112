"""Packing of conversations into rows, made on the fly so that no conversation repeats."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from training.data.conversation import segments
from training.data.mix import talks
from training.data.opendata import OpenData
from training.tokenizer import PAD, Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Token rows, the mask that keeps documents apart, and the positions with loss."""

    ids: Tensor
    mask: Tensor
    where: Tensor
    targets: Tensor
    tokens: int


def _pack(documents: list[tuple[list[int], list[bool]]], length: int) -> Iterator[list[tuple[list[int], list[bool]]]]:
    rows: list[list[tuple[list[int], list[bool]]]] = []
    room: list[int] = []
    for document in documents:
        size = len(document[0])
        if size > length:
            continue
        fit = [(r, i) for i, r in enumerate(room) if r >= size]
        if fit:
            _, i = min(fit)
            rows[i].append(document)
            room[i] -= size
        else:
            rows.append([document])
            room.append(length - size)
            if len(rows) > 24:  # the fullest row leaves, which keeps the mixture even
                i = min(range(len(room)), key=room.__getitem__)
                room.pop(i)
                yield rows.pop(i)
    yield from rows


def _batch(rows: list[list[tuple[list[int], list[bool]]]], length: int) -> Batch:
    ids = torch.full((len(rows), length), PAD)
    owner = torch.full((len(rows), length), -1)
    loss = torch.zeros((len(rows), length), dtype=torch.bool)
    for r, row in enumerate(rows):
        at = 0
        for n, (tokens, marks) in enumerate(row):
            end = at + len(tokens)
            ids[r, at:end] = torch.tensor(tokens)
            loss[r, at:end] = torch.tensor(marks)
            owner[r, at:end] = n
            at = end
    same = owner[:, :, None] == owner[:, None, :]
    allowed = same & torch.ones(length, length, dtype=torch.bool).tril()
    mask = torch.zeros(len(rows), 1, length, length, dtype=torch.bfloat16).masked_fill(~allowed[:, None], float("-inf"))
    predicts = torch.zeros_like(loss)
    predicts[:, :-1] = loss[:, 1:]
    where = predicts.flatten().nonzero().squeeze(1)
    targets = ids.flatten()[where + 1]
    return Batch(ids=ids, mask=mask, where=where, targets=targets, tokens=int((owner >= 0).sum()))


def batches(data: OpenData, codec: Codec, seed: int, length: int, rows: int, chunk: int = 3000) -> Iterator[Batch]:
    """Endless batches; every chunk of conversations has a seed of its own."""
    held: list[list[tuple[list[int], list[bool]]]] = []
    while True:
        documents = codec.encode_all([segments(t) for t in talks(data, seed, chunk)])
        seed += 1
        for row in _pack(documents, length):
            held.append(row)
            if len(held) == rows:
                yield _batch(held, length)
                held = []
