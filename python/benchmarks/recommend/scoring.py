"""Recall and NDCG with credit per item: items that share an ID share its hit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .histories import Histories, Rows

CUTS = (5, 10, 50)
SEGMENTS = ("head", "middle", "tail", "cold")


@dataclass(frozen=True)
class Hits:
    """For each test event, the number of items ranked before the ID of the correct item, and the number of items that
    share this ID; 0 if it is not among the beams."""

    before: Rows
    shared: Rows


def hits_of_beams(leaves: Rows, correct: Rows, shared: Rows) -> Hits:
    """Hits of beams `leaves (events, beams)`, best first, -1 for none, if `correct (events,)` is the ID of the next
    item and `shared (events, beams)` is the number of items that each beam recommends."""
    counted = np.where(leaves >= 0, shared, 0)
    before = counted.cumsum(axis=1) - counted
    hit = (leaves == correct[:, None]) & (leaves >= 0)
    found, at = hit.any(axis=1), hit.argmax(axis=1)
    rows = np.arange(len(leaves))
    return Hits(np.where(found, before[rows, at], 0), np.where(found, counted[rows, at], 0))


def hits_of_items(ranked: Rows, targets: Rows) -> Hits:
    """Hits of items `ranked (events, n)`, best first, -1 for none."""
    return hits_of_beams(ranked, targets, np.ones_like(ranked))


def credit(hits: Hits, cut: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Recall and NDCG at a cut for each event: their expected values if items that share an ID are recommended one
    after another in random order."""
    gains = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, cut + 2)))])
    first, last = np.minimum(hits.before, cut), np.minimum(hits.before + hits.shared, cut)
    share = 1 / np.maximum(hits.shared, 1)
    return (last - first) * share, (gains[last] - gains[first]) * share


def means(hits: Hits, most: int) -> dict[str, float]:
    """Mean Recall and NDCG at each cut up to `most` recommendations."""
    found: dict[str, float] = {}
    for cut in CUTS:
        if cut <= most and len(hits.before):
            recall, ndcg = credit(hits, cut)
            found |= {f"recall@{cut}": float(recall.mean()), f"ndcg@{cut}": float(ndcg.mean())}
    return found


def segments(histories: Histories) -> Rows:
    """The segment of each item, as an index of `SEGMENTS`. `cold`: no training event. Of the other items, ordered by
    number of training events, `head` are those with the first third of all training events, `middle` and `tail` those
    with the second and the last third."""
    counts = histories.popularity()
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    found = np.empty(len(counts), np.int64)
    found[order] = np.minimum(3 * before // max(1, counts.sum()), 2)
    found[counts == 0] = SEGMENTS.index("cold")
    return found


def figures(hits: Hits, targets: Rows, histories: Histories, most: int) -> dict[str, object]:
    """Means over all test events, and per segment of the correct item."""
    of_target = segments(histories)[targets]
    apart = {}
    for index, name in enumerate(SEGMENTS):
        rows = of_target == index
        apart[name] = {"events": int(rows.sum()), **means(Hits(hits.before[rows], hits.shared[rows]), most)}
    return {"figures": means(hits, most), "segments": apart}
