"""Beam search over IDs, many histories at a time, with one copy of each history's keys and values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .model import Cache, Decoder
from .tree import Tree

ELEMENTS = 2**25
"""Most numbers in one tensor of the search: 128 MiB of float32."""


@dataclass(frozen=True)
class Beams:
    """Best first. `leaves (rows, beams)`: the ID of each beam, -1 if it is no item's; `scores`: its log-probability."""

    leaves: Tensor
    scores: Tensor


def rows_at_once(tree: Tree, beam: int, *, heads: int, length: int, device: torch.device) -> int:
    """How many histories can be searched together in bounded memory."""
    widest = max([tree.sizes[0], *(beam * size for size in tree.sizes[1:]), beam * heads * length])
    return max(1, min(1024 if device.type == "cuda" else 128, ELEMENTS // widest))


@torch.no_grad()  # type: ignore[untyped-decorator]
def search(
    model: Decoder, tree: Tree, items: Tensor, beam: int, *, constrained: bool = True, left: Tensor | None = None
) -> Beams:
    """The best beams after histories of items `(rows, items)`, padded with -1 at their end.

    With `constrained`, only codes that continue the ID of an item are generated, and probabilities are relative to
    them. If `left (rows, leaves)` is given, IDs without items left are not generated; probabilities do not change.
    """
    rows = len(items)
    there = items >= 0
    at = there.sum(1) * tree.levels
    state, past = model(model.text(tree.tokens[items.clamp_min(0)], there))
    state = state[torch.arange(rows, device=items.device), at].unsqueeze(1)
    masked = (torch.arange(1 + items.shape[1] * tree.levels, device=items.device) > at.unsqueeze(1))[:, None, None]
    open_ = None if left is None else tree.open(left)
    node, total = at.new_zeros(rows, 1), state.new_zeros(rows, 1, dtype=torch.float32)
    own: list[Cache] | None = None
    for level, table in enumerate(tree.children):
        known = tree.known[level][node.clamp_min(0)]
        logits = model.scores(state, level)
        if constrained:
            likely = logits.masked_fill(~known, -torch.inf).log_softmax(2)
            known = known & (node >= 0).unsqueeze(2)
            if open_ is not None:
                longer = table[node.clamp_min(0)].clamp_min(0).long()
                known = known & open_[level].gather(1, longer.flatten(1)).view_as(longer)
            likely = likely.masked_fill(~known, -torch.inf)
        else:
            likely = logits.log_softmax(2)
        total, best = (total.unsqueeze(2) + likely).flatten(1).topk(min(beam, likely[0].numel()), 1)
        source, code = best // tree.sizes[level], best % tree.sizes[level]
        before = node.gather(1, source)
        node = table[before.clamp_min(0), code].long().masked_fill(before < 0, -1)
        if constrained:
            node = node.masked_fill(total.isinf(), -1)
        if level + 1 < tree.levels:
            chosen = None if own is None else [(_beams(keys, source), _beams(values, source)) for keys, values in own]
            state, own = model.step(code + tree.offsets[level], at + level + 1, past, masked, chosen)
    return Beams(node, total)


def _beams(cache: Tensor, source: Tensor) -> Tensor:
    """The keys or values `(rows, heads, beams, tokens, dim)` of each beam's source."""
    rows, heads, _, tokens, dim = cache.shape
    return cache.gather(2, source[:, None, :, None, None].expand(rows, heads, -1, tokens, dim))
