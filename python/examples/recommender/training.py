"""Training of the decoder on one kind of IDs, and its figures."""

from __future__ import annotations

import copy
import sys

import numpy as np
import torch

from .baselines import recall_and_ndcg
from .decoding import credited, recommend
from .histories import Histories, Rows
from .model import Decoder, Size
from .tree import Tree

BATCH = 128
LEARNING_RATE = 5e-3


def tokens_of(items: list[Rows], codes: torch.Tensor, history: int, padding: int) -> torch.Tensor:
    """The tokens of the last `history` items of each user, padded on the left, `(users, history * levels)`."""
    rows = torch.full((len(items), history, codes.shape[1]), padding)
    for row, user in zip(rows, items, strict=True):
        last = user[-history:]
        row[history - len(last) :] = codes[torch.from_numpy(last)]
    return rows.flatten(1)


def windows(training: list[Rows], history: int, rng: np.random.Generator) -> list[Rows]:
    """A random range of at most `history + 1` items of each user, drawn again in each epoch."""
    found = []
    for items in training:
        end = rng.integers(min(len(items), history + 1), len(items) + 1)
        found.append(items[max(0, end - history - 1) : end])
    return found


def nats(model: Decoder, tree: Tree, data: Histories, words: torch.Tensor, *, held_out: int) -> float:
    """The mean `-log p` of the last (1) or second-to-last (2) item of every user. Items that share an ID have equal
    probabilities."""
    queries, targets = data.queries(held_out)
    rows = tokens_of(
        [np.append(*both) for both in zip(queries, targets, strict=True)], words, model.size.history + 1, model.padding
    )
    model.eval()
    with torch.no_grad():
        lost = torch.cat([model.nats(batch, tree)[0][:, -1].sum(1) for batch in rows.split(BATCH)])
    shared = np.array([len(tree.items[leaf]) for leaf in tree.leaves[targets]])
    return float(lost.mean()) + float(np.log(shared).mean())


def evaluate(
    model: Decoder, tree: Tree, data: Histories, words: torch.Tensor, *, held_out: int, seed: int
) -> dict[str, float]:
    """Recall and NDCG of the last (1) or second-to-last (2) item of every user, and its nats."""
    queries, targets = data.queries(held_out)
    leaves = recommend(model, tree, tokens_of(queries, words, model.size.history, model.padding), queries)
    figures = recall_and_ndcg(credited(leaves, tree, queries, seed), targets)
    return figures | {"nats": nats(model, tree, data, words, held_out=held_out)}


def train(
    data: Histories, codes: Rows, codebook_sizes: list[int], *, size: Size, epochs: int, seed: int, patience: int = 4
) -> dict[str, float]:
    """Trains on all items but the last two, keeps the state with the lowest nats on the second-to-last item, and
    returns the figures of the last item. Nats distinguish states with less noise than ranks."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(codebook_sizes)[:-1]])
    words = torch.from_numpy(codes.astype(np.int64) + offsets)
    tree = Tree(codes.astype(np.int64), codebook_sizes)
    model = Decoder(size, codebook_sizes)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, weight_decay=0.02, betas=(0.9, 0.98), fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=epochs * (len(data.users) // BATCH + 1), pct_start=0.1
    )
    best, kept, since = np.inf, copy.deepcopy(model.state_dict()), 0
    for epoch in range(1, epochs + 1):
        model.train()
        rows = tokens_of(windows(data.training(), size.history, rng), words, size.history + 1, model.padding)
        for batch in rows[torch.from_numpy(rng.permutation(len(rows)))].split(BATCH):
            loss = model.loss(batch, tree)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        if epoch % 5 == 0 or epoch == epochs:
            found = nats(model, tree, data, words, held_out=2)
            print(f"  epoch {epoch}: loss {loss.item():.3f}, validation {found:.4f} nats", file=sys.stderr)
            if found < best:
                best, kept, since = found, copy.deepcopy(model.state_dict()), 0
            else:
                since += 1
            if since >= patience:
                break
    model.load_state_dict(kept)
    return evaluate(model, tree, data, words, held_out=1, seed=seed)
