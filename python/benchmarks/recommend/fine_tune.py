"""A recommender that goes on: trained on the old block with the old IDs, fine-tuned on the next block with other IDs.

All ways start from the same trained recommender and take the same number of steps. A row of the embeddings belongs to a
code: if the code names other items than before, the row has to be learned again.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from .histories import Blocks, Histories, Rows, content_hash, of_seed
from .model import Decoder
from .settings import Settings
from .training import advance, gradient, new_model, new_optimizer, set_rate
from .tree import Tree

Windows = tuple[Rows, Rows]
"""Histories `(rows, history + 1)`, padded with -1 at their end, and the first position of each whose loss counts."""


def windows(histories: Histories, starts: Rows, ends: Rows, length: int) -> Windows:
    """The events `starts:ends` of each user in rows of at most `length` events. Earlier events of the user are context.
    Rows overlap by one event, so that each event is predicted once."""
    spans, first = [], []
    begins = histories.offsets[:-1]
    for begin, start, last in zip(begins.tolist(), starts.tolist(), ends.tolist(), strict=True):
        end = last
        while end > start:
            low = max(begin, end - length)
            spans.append((low, end))
            first.append(max(start - low, int(low > begin)))
            end = low + 1 if low > begin else start
    rows = np.array(spans, np.int64).reshape(-1, 2)
    return histories.windows(rows[:, 0], rows[:, 1], length), np.array(first, np.int64)


def tune(model: Decoder, tree: Tree, data: Windows, epochs: float, settings: Settings) -> None:
    """Trains for a number of epochs with the whole learning rate schedule. The order of the windows depends on the
    global random state."""
    rows, first = data
    steps = math.ceil(epochs * len(rows) / settings.batch)
    optimizer = new_optimizer(model, settings)
    order, at = np.empty(0, np.int64), 0
    model.train()
    for step in range(steps):
        if at >= len(order):
            order, at = torch.randperm(len(rows)).numpy(), 0
        batch = order[at : at + settings.batch]
        at += settings.batch
        set_rate(optimizer, settings.learning_rate, step, steps)
        gradient(model, tree, rows[batch], settings, first=first[batch])
        advance(model, optimizer)
    model.eval()


@dataclass(frozen=True)
class GrowingRecommender:
    """A recommender of one seed: its histories, blocks, settings and device."""

    histories: Histories
    blocks: Blocks
    settings: Settings
    seed: int
    device: torch.device

    def fine_tuned(self, codes: Rows) -> tuple[Decoder, Tree]:
        """The recommender after both blocks, if the items have these codes `(items, levels)` in the next block."""
        levels = self.blocks.old.shape[-1]
        if codes.shape[1] != levels:
            raise ValueError(f"expected IDs of {levels} levels, as those of the old items, got {codes.shape[1]}")
        most = np.maximum(self.blocks.old.reshape(-1, levels).max(axis=0), codes.max(axis=0))
        sizes = [int(size) + 1 for size in most]
        model = copy.deepcopy(self._shared_base(sizes))
        torch.manual_seed(self.seed + 1000)
        offsets = self.histories.offsets
        data = windows(self.histories, offsets[:-1] + self.blocks.cuts, offsets[1:] - 2, self.settings.history + 1)
        tree = Tree(codes, self.device, sizes)
        tune(model, tree, data, self.settings.tune_epochs, self.settings)
        return model, tree

    def base(self, sizes: list[int]) -> Decoder:
        """The recommender after the old block. It knows the old items only."""
        torch.manual_seed(self.seed)
        kept = np.flatnonzero(~self.blocks.new)
        tree = Tree(of_seed(self.blocks.old, self.seed)[kept], self.device, sizes)
        model = new_model(tree, self.settings, self.device)
        starts = self.histories.offsets[:-1]
        rows, first = windows(self.histories, starts, starts + self.blocks.cuts, self.settings.history + 1)
        number = np.full(self.histories.n_items, -1)
        number[kept] = np.arange(len(kept))
        renumbered = np.where(rows >= 0, number[np.maximum(rows, 0)], -1)
        tune(model, tree, (renumbered, first), self.settings.old_epochs, self.settings)
        return model

    def _shared_base(self, sizes: list[int]) -> Decoder:
        """`base`, trained once for all ways of a seed."""
        content = content_hash(self.histories.items, self.blocks.cuts, of_seed(self.blocks.old, self.seed))
        key = (content, *sizes, replace(self.settings, tune_epochs=0.0), self.seed, str(self.device))
        if key not in _bases:
            _bases.clear()
            _bases[key] = self.base(sizes)
        return _bases[key]


_bases: dict[tuple[object, ...], Decoder] = {}
"""The last base: the ways of a seed run one after another."""
