"""Plain k-means, and the agreement of two labellings, in NumPy, for scripts/evaluate_emoji.py."""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Agreement:
    """How much one labelling tells of another; all of it symmetric."""

    mutual_information: float
    """In nats. Grows with the number of labels, even for random labels."""
    normalised: float
    """Divided by the mean of the two entropies: from 0 to 1."""
    adjusted: float
    """Adjusted for chance, as in Vinh, Epps and Bailey (JMLR 2010): 0 for random labels, 1 for equal ones."""


def agreement(a: Labels, b: Labels) -> Agreement:
    """The agreement of two labellings of the same items."""
    table = contingency(a, b)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    n = int(table.sum())
    there = table > 0
    joint = table[there] / n
    mutual = float((joint * np.log(joint / (np.outer(rows, columns)[there] / n**2))).sum())
    mean = (entropy(rows / n) + entropy(columns / n)) / 2
    by_chance = expected_mutual_information(rows, columns)
    return Agreement(mutual, mutual / mean, (mutual - by_chance) / (mean - by_chance))


def contingency(a: Labels, b: Labels) -> Labels:
    """How often each pair of labels occurs."""
    a, b = np.unique(a, return_inverse=True)[1], np.unique(b, return_inverse=True)[1]
    table = np.zeros((a.max() + 1, b.max() + 1), np.int64)
    np.add.at(table, (a, b), 1)
    return table


def entropy(shares: Floats) -> float:
    """In nats; every share above 0."""
    return float(-(shares * np.log(shares)).sum())


def expected_mutual_information(rows: Labels, columns: Labels) -> float:
    """The mean over all ways of dealing the items out that keep both labellings' group sizes."""
    n = int(rows.sum())
    factorials = np.array([lgamma(k + 1.0) for k in range(n + 1)])
    total = 0.0
    # Groups of one size share their terms.
    for row, row_times in zip(*np.unique(rows, return_counts=True), strict=True):
        for column, column_times in zip(*np.unique(columns, return_counts=True), strict=True):
            both = np.arange(max(1, row + column - n), min(row, column) + 1)
            chance = np.exp(
                factorials[row] + factorials[n - row] + factorials[column] + factorials[n - column] - factorials[n]
                - factorials[both] - factorials[row - both] - factorials[column - both]
                - factorials[n - row - column + both]
            )  # fmt: skip
            terms = both / n * np.log(n * both / (row * column)) * chance
            total += float(terms.sum()) * int(row_times) * int(column_times)
    return total


def k_means(x: Floats, k: int, *, restarts: int, seed: int, iterations: int = 300) -> tuple[Labels, float]:
    """Labels and mean squared distance of the best of several runs: k-means++ seeding, then Lloyd to the end."""
    rng = np.random.default_rng(seed)
    runs = [lloyd(x, plus_plus(x, k, rng), iterations) for _ in range(restarts)]
    return min(runs, key=lambda run: run[1])


def squared_distances(x: Floats, centres: Floats) -> Floats:
    squares: Floats = (x**2).sum(axis=1)[:, None] - 2 * x @ centres.T + (centres**2).sum(axis=1)
    return squares.clip(min=0.0)


def plus_plus(x: Floats, k: int, rng: np.random.Generator) -> Floats:
    """Arthur and Vassilvitskii (SODA 2007): each centre is drawn by its squared distance from those before it."""
    chosen = [int(rng.integers(len(x)))]
    nearest = squared_distances(x, x[chosen])[:, 0]
    while len(chosen) < k:
        chosen.append(int(rng.choice(len(x), p=nearest / nearest.sum())))
        nearest = np.minimum(nearest, squared_distances(x, x[chosen[-1:]])[:, 0])
    return x[chosen].copy()


def lloyd(x: Floats, centres: Floats, iterations: int) -> tuple[Labels, float]:
    labels = np.full(len(x), -1)
    for _ in range(iterations):
        distances = squared_distances(x, centres)
        nearest = distances.argmin(axis=1)
        if (nearest == labels).all():
            break
        labels = nearest
        counts = np.bincount(labels, minlength=len(centres))
        sums = np.zeros_like(centres)
        np.add.at(sums, labels, x)
        # A centre without items does not move.
        centres = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
    return labels, float(squared_distances(x, centres)[np.arange(len(x)), labels].mean())
