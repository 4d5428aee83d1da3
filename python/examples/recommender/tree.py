"""All IDs as a prefix tree."""

from __future__ import annotations

import numpy as np
import torch

from .histories import Rows


class Tree:
    """All prefixes of all IDs. `next` maps a prefix and a code to the longer prefix; -1 if no item has it."""

    def __init__(self, codes: Rows, codebook_sizes: list[int]) -> None:
        self.next: list[torch.Tensor] = []
        self.parents: list[torch.Tensor] = []
        """The parent of each prefix, per level."""
        at = np.zeros(len(codes), np.int64)
        prefixes = 1
        for level, size in enumerate(codebook_sizes):
            pairs = at * size + codes[:, level]
            distinct, at = np.unique(pairs, return_inverse=True)
            table = np.full((prefixes, size), -1, np.int64)
            table.reshape(-1)[distinct] = np.arange(len(distinct))
            self.next.append(torch.from_numpy(table))
            self.parents.append(torch.from_numpy(distinct // size))
            prefixes = len(distinct)
        self.leaves = at
        # Items that share an ID are all of its items.
        order = np.argsort(at, kind="stable")
        self.items = np.split(order, np.cumsum(np.bincount(at))[:-1])

    def unseen(self, seen: list[Rows]) -> list[torch.Tensor]:
        """Per level: whether each prefix leads to an item that the user has not seen, `(users, prefixes)`."""
        left = np.tile(np.bincount(self.leaves), (len(seen), 1))
        for row, items in zip(left, seen, strict=True):
            np.subtract.at(row, self.leaves[np.unique(items)], 1)
        there = [torch.from_numpy(left > 0)]
        for parents, table in zip(self.parents[:0:-1], self.next[:0:-1], strict=True):
            shorter = torch.zeros(len(seen), len(table), dtype=torch.int32)
            shorter.index_add_(1, parents, there[-1].int())
            there.append(shorter > 0)
        return there[::-1]
