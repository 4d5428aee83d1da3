"""Baselines without a model: the most watched items, and the most frequent successors."""

from __future__ import annotations

import numpy as np

from .histories import Rows

TOP = 10


def popularity(training: list[Rows], queries: list[Rows], n_items: int) -> Rows:
    """The most watched items that each user has not seen, `(users, TOP)`."""
    counts = np.bincount(np.concatenate(training), minlength=n_items)
    order = np.argsort(-counts, kind="stable")
    return np.array([_first_unseen(order, seen) for seen in queries])


def transitions(training: list[Rows], queries: list[Rows], n_items: int) -> Rows:
    """The most frequent successors of each user's last item that the user has not seen, `(users, TOP)`. Ties are
    ordered by popularity."""
    follows = np.zeros((n_items, n_items), np.float32)
    for items in training:
        np.add.at(follows, (items[:-1], items[1:]), 1)
    popular = np.bincount(np.concatenate(training), minlength=n_items).astype(np.float32)
    popular /= popular.max() + 1
    order = [np.argsort(-(follows[seen[-1]] + popular), kind="stable") for seen in queries]
    return np.array([_first_unseen(ranked, seen) for ranked, seen in zip(order, queries, strict=True)])


def _first_unseen(order: Rows, seen: Rows) -> Rows:
    head = order[: TOP + len(seen)]
    return head[~np.isin(head, seen)][:TOP]


def recall_and_ndcg(ranked: Rows, targets: Rows) -> dict[str, float]:
    """Recall and NDCG at 5 and 10 of ranked items `(users, at least 10)` with one correct item each; -1 is no item."""
    hits = ranked == targets[:, None]
    gains = hits / np.log2(np.arange(2, ranked.shape[1] + 2))
    figures = {}
    for k in (5, 10):
        figures[f"Recall@{k}"] = float(hits[:, :k].any(axis=1).mean())
        figures[f"NDCG@{k}"] = float(gains[:, :k].sum(axis=1).mean())
    return figures
