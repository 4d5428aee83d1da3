"""All IDs as a tree of prefixes."""

from __future__ import annotations

import numpy as np
import torch

from .histories import Rows


class Tree:
    """All prefixes of all IDs as tables: which prefix a prefix and a code lead to, -1 where no item goes on so."""

    def __init__(self, codes: Rows, codebook_sizes: list[int]) -> None:
        self.next: list[torch.Tensor] = []
        at = np.zeros(len(codes), np.int64)
        prefixes = 1
        for level, size in enumerate(codebook_sizes):
            pairs = at * size + codes[:, level]
            distinct, at = np.unique(pairs, return_inverse=True)
            table = np.full((prefixes, size), -1, np.int64)
            table.reshape(-1)[distinct] = np.arange(len(distinct))
            self.next.append(torch.from_numpy(table))
            prefixes = len(distinct)
        # Items that share an ID are all of its items.
        order = np.argsort(at, kind="stable")
        self.items = np.split(order, np.cumsum(np.bincount(at))[:-1])
