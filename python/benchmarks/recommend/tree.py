"""All IDs of a set as a prefix tree, in tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .histories import Rows


class Tree:
    """Per level: `children` maps a prefix and a code to the longer prefix, -1 if no item has it; `known` is whether an
    item has it; `nodes` is the prefix of each item before its code of the level. A leaf is a whole ID; `shared` is its
    number of items. `sizes` are the codes of each level, by default up to the largest that occurs."""

    def __init__(self, codes: Rows, device: torch.device, sizes: list[int] | None = None) -> None:
        items, self.levels = codes.shape
        self.sizes = sizes or [int(size) + 1 for size in codes.max(axis=0)]
        self.offsets = [0, *np.cumsum(self.sizes).tolist()]
        self.tokens = torch.from_numpy(codes + np.array(self.offsets[:-1])).to(device)
        self.codes = torch.from_numpy(codes).to(device)
        self.children: list[Tensor] = []
        self.known: list[Tensor] = []
        self.nodes: list[Tensor] = []
        self.parents: list[Tensor] = []
        at, prefixes = np.zeros(items, np.int64), 1
        for level, size in enumerate(self.sizes):
            self.nodes.append(torch.from_numpy(at).to(device))
            longer, inverse = np.unique(at * size + codes[:, level], return_inverse=True)
            table = np.full((prefixes, size), -1, np.int32)
            table.reshape(-1)[longer] = np.arange(len(longer))
            self.children.append(torch.from_numpy(table).to(device))
            self.known.append(self.children[-1] >= 0)
            self.parents.append(torch.from_numpy(longer // size).to(device))
            at, prefixes = inverse.reshape(-1), len(longer)
        self.leaf = torch.from_numpy(at).to(device)
        self.shared = torch.bincount(self.leaf, minlength=prefixes)

    def left(self, seen: Tensor) -> Tensor:
        """How many items of each ID are not among the `seen` items `(rows, n)`, padded with -1: `(rows, leaves)`."""
        ordered = seen.sort(1).values
        first = torch.ones_like(ordered, dtype=torch.bool)
        first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        counted = (first & (ordered >= 0)).to(self.shared.dtype)
        left = self.shared.repeat(len(seen), 1)
        return left.scatter_add_(1, self.leaf[ordered.clamp_min(0)], -counted)

    def open(self, left: Tensor) -> list[Tensor]:
        """Per level: whether each longer prefix leads to an ID with items left, `(rows, prefixes)`."""
        found = [left > 0]
        for parents, table in zip(self.parents[:0:-1], self.children[:0:-1], strict=True):
            shorter = torch.zeros(len(left), len(table), dtype=torch.int32, device=left.device)
            found.append(shorter.index_add_(1, parents, found[-1].int()) > 0)
        return found[::-1]
