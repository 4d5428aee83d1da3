"""Recommendations without a model: the most frequent items, and the most frequent successors."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .histories import TRAIN, Histories, Rows


def popularity(histories: Histories, events: Rows, top: int, *, exclude_seen: bool) -> Rows:
    """The items with the most training events, `(events, top)`; -1 if there are fewer."""
    order = np.argsort(-histories.popularity(), kind="stable")
    starts = histories.starts()
    return np.array([_first(order, _seen(histories, starts, at, exclude_seen), top) for at in events])


def transitions(histories: Histories, events: Rows, top: int, *, exclude_seen: bool) -> Rows:
    """The items that most often directly follow the last item of a history in the training events, then the most
    popular ones, `(events, top)`. Ties are ordered by popularity."""
    popular = histories.popularity()
    order = np.argsort(-popular, kind="stable")
    both = np.flatnonzero((histories.parts[:-1] == TRAIN) & (histories.parts[1:] == TRAIN))
    both = both[histories.starts()[both + 1] <= both]
    pairs, counts = np.unique(histories.items[both] * histories.n_items + histories.items[both + 1], return_counts=True)
    former, latter = pairs // histories.n_items, pairs % histories.n_items
    best = np.lexsort((-popular[latter], -counts, former))
    former, latter = former[best], latter[best]
    ends = np.searchsorted(former, np.arange(histories.n_items + 1))
    follow = {item: latter[start:end] for item, (start, end) in enumerate(pairwise(ends))}
    starts, ranked = histories.starts(), []
    for at in events:
        seen = _seen(histories, starts, at, exclude_seen)
        first = follow[histories.items[at - 1]]
        rest = order[: top + len(first) + len(seen)]
        ranked.append(_first(np.concatenate([first, rest[~np.isin(rest, first)]]), seen, top))
    return np.array(ranked)


def _seen(histories: Histories, starts: Rows, at: int, exclude: bool) -> Rows:
    return histories.items[starts[at] : at] if exclude else histories.items[:0]


def _first(order: Rows, seen: Rows, top: int) -> Rows:
    head = order[: top + len(seen)]
    kept = head[~np.isin(head, seen)][:top]
    return np.pad(kept, (0, top - len(kept)), constant_values=-1)


BASELINES = {"popularity": popularity, "transitions": transitions}
