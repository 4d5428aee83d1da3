"""A recommender that goes on: trained on the old block with the old IDs, fine-tuned on the next block with other IDs.

All ways start from the same trained recommender and take the same number of steps. The embeddings of codes are those of
their numbers: a code that names other items than before has to be learned again.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from .histories import Blocks, Histories, Rows, content_hash, of_seed
from .model import Decoder
from .settings import Settings
from .training import gradient, set_rate
from .tree import Tree

Windows = tuple[Rows, Rows]
"""Histories `(rows, history + 1)`, padded with -1 at their end, and the first position of each whose loss counts."""


def windows(histories: Histories, starts: Rows, ends: Rows, length: int) -> Windows:
    """The events `starts:ends` of each user in rows of at most `length` events. Earlier events of the user are context.
    Rows overlap by one event, so that each event is predicted once."""
    rows, first = [], []
    begins = histories.offsets[:-1]
    for begin, start, end in zip(begins.tolist(), starts.tolist(), ends.tolist(), strict=True):
        while end > start:
            low = max(begin, end - length)
            rows.append((low, end))
            first.append(max(start - low, int(low > begin)))
            if low == begin:
                break
            end = low + 1
    spans = np.array(rows, np.int64).reshape(-1, 2)
    return histories.windows(spans[:, 0], spans[:, 1], length), np.array(first, np.int64)


def tune(
    model: Decoder, tree: Tree, data: Windows, *, steps: int, settings: Settings, seed: int, device: torch.device
) -> None:
    """Trains for a number of steps, each on a batch of windows."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.98),
        fused=device.type == "cuda",
    )  # fmt: skip
    rows, first = data
    order, at = np.empty(0, np.int64), 0
    model.train()
    for step in range(steps):
        if at >= len(order):
            order, at = rng.permutation(len(rows)), 0
        batch = order[at : at + settings.batch]
        at += settings.batch
        set_rate(optimizer, settings.learning_rate, step, steps)
        gradient(model, tree, rows[batch], settings, device, first[batch])
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    model.eval()


def tuned(
    histories: Histories, blocks: Blocks, codes: Rows, settings: Settings, seed: int, device: torch.device
) -> tuple[Decoder, Tree]:
    """The recommender after both blocks."""
    old = of_seed(blocks.old, seed)
    if old.shape[1] != codes.shape[1]:
        raise ValueError(f"expected IDs of {old.shape[1]} levels, as those of the old items, got {codes.shape[1]}")
    sizes = [int(size) + 1 for size in np.maximum(blocks.old.reshape(-1, old.shape[1]).max(axis=0), codes.max(axis=0))]
    model = copy.deepcopy(_Base.of(histories, blocks, sizes, settings, seed, device))
    data = windows(histories, histories.offsets[:-1] + blocks.cuts, histories.offsets[1:] - 2, settings.history + 1)
    tree = Tree(codes, device, sizes)
    steps = math.ceil(settings.tune_epochs * len(data[0]) / settings.batch)
    tune(model, tree, data, steps=steps, settings=settings, seed=seed + 1000, device=device)
    return model, tree


class _Base:
    """The last recommender that was trained on an old block, which the ways of a seed share."""

    key: tuple[object, ...] | None = None
    model: Decoder | None = None

    @classmethod
    def of(
        cls, histories: Histories, blocks: Blocks, sizes: list[int], settings: Settings, seed: int, device: torch.device
    ) -> Decoder:
        old = replace(settings, tune_epochs=0.0)
        key = (content_hash(histories.items, blocks.cuts, of_seed(blocks.old, seed)), *sizes, old, seed, str(device))
        if cls.model is None or cls.key != key:
            cls.key, cls.model = key, base(histories, blocks, sizes, settings, seed, device)
        return cls.model


def base(
    histories: Histories, blocks: Blocks, sizes: list[int], settings: Settings, seed: int, device: torch.device
) -> Decoder:
    """The recommender after the old block. It knows the old items only."""
    torch.manual_seed(seed)
    kept = np.flatnonzero(~blocks.new)
    tree = Tree(of_seed(blocks.old, seed)[kept], device, sizes)
    shape = {name: getattr(settings, name) for name in ("dim", "layers", "heads", "dropout")}
    model = Decoder(tree.offsets, settings.history, **shape).to(device)
    starts = histories.offsets[:-1]
    rows, first = windows(histories, starts, starts + blocks.cuts, settings.history + 1)
    number = np.full(histories.n_items, -1)
    number[kept] = np.arange(len(kept))
    renumbered = np.where(rows >= 0, number[np.maximum(rows, 0)], -1)
    steps = math.ceil(settings.old_epochs * len(rows) / settings.batch)
    tune(model, tree, (renumbered, first), steps=steps, settings=settings, seed=seed, device=device)
    return model
