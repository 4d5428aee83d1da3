"""Beam search that is constrained to the IDs of items that a user has not seen."""

from __future__ import annotations

import numpy as np
import torch

from .histories import Rows
from .model import Decoder
from .tree import Tree

BEAMS = 20


def recommend(model: Decoder, tree: Tree, histories: torch.Tensor, seen: list[Rows], batch: int = 128) -> Rows:
    """The leaves of the best beams, `(users, BEAMS)`, best first, for the tokens of histories `(users, length)`. Only
    leaves with items that the user has not `seen`; -1 if there are fewer."""
    model.eval()
    found = []
    with torch.no_grad():
        for start in range(0, len(histories), batch):
            users = slice(start, start + batch)
            found.append(_search(model, tree, histories[users], tree.unseen(seen[users])))
    return np.array(torch.cat(found).numpy(), np.int64)


def _search(model: Decoder, tree: Tree, histories: torch.Tensor, unseen: list[torch.Tensor]) -> torch.Tensor:
    users, length = histories.shape
    said, past = model(histories)
    said = said[:, -1:]
    at = torch.zeros(users, 1, dtype=torch.long)
    total = torch.zeros(users, 1)
    beams = torch.empty(users, 1, 0, dtype=torch.long)
    for level, (table, there) in enumerate(zip(tree.next, unseen, strict=True)):
        size = table.shape[1]
        children = table[at.clamp_min(0)]
        open_ = there.gather(1, children.clamp_min(0).flatten(1)).view_as(children) & (children >= 0)
        # As in training, only codes that continue the ID of an item are allowed, seen or not.
        likely = model.scores(said, level).masked_fill(children < 0, -torch.inf).log_softmax(-1)
        # A beam without a valid continuation keeps the score of minus infinity.
        likely = likely.masked_fill(~open_ | (at < 0).unsqueeze(-1), -torch.inf)
        both = (total.unsqueeze(-1) + likely).flatten(1)
        total, best = both.topk(min(BEAMS, both.shape[1]), dim=1)
        at = torch.where(total.isfinite(), children.flatten(1).gather(1, best), -1)
        if level + 1 < len(tree.next):
            said_before = beams.gather(1, (best // size).unsqueeze(-1).expand(-1, -1, level))
            beams = torch.cat([said_before, (best % size + model.ends[level]).unsqueeze(-1)], 2)
            said = model.go_on(beams, length, past)
    return torch.nn.functional.pad(at, (0, BEAMS - at.shape[1]), value=-1)


def credited(leaves: Rows, tree: Tree, seen: list[Rows], seed: int) -> Rows:
    """The items of leaves, `(users, 10)`, without those that the user has seen. If items share an ID, one of them is
    drawn at random: an ID of n items is correct with probability 1/n, so collisions have no advantage."""
    rng = np.random.default_rng(seed)
    ranked = np.full((len(leaves), 10), -1)
    for user, (row, old) in enumerate(zip(leaves, seen, strict=True)):
        groups = [tree.items[leaf][~np.isin(tree.items[leaf], old)] for leaf in row[row >= 0][:10]]
        ranked[user, : len(groups)] = [rng.choice(group) for group in groups]
    return ranked
