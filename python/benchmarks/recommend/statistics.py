"""Intervals and rank correlations, in numpy alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    mean: float
    low: float
    high: float


def paired(ours: Floats, theirs: Floats, confidence: float = 0.95) -> Interval:
    """The mean difference of pairs, and its confidence interval by the t distribution. With one pair, the interval is
    infinite."""
    differences = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    mean = float(differences.mean())
    if len(differences) < 2:
        return Interval(mean, -math.inf, math.inf)
    half = t_quantile((1 + confidence) / 2, len(differences) - 1) * float(differences.std(ddof=1))
    half /= math.sqrt(len(differences))
    return Interval(mean, mean - half, mean + half)


def t_quantile(share: float, freedom: int) -> float:
    """The quantile of Student's t distribution, by bisection, for a share of at least one half."""
    low, high = 0.0, 1.0
    while _t_below(high, freedom) < share:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_below(middle, freedom) < share else (low, middle)
    return (low + high) / 2


def _t_below(t: float, freedom: int) -> float:
    """The distribution function for `t >= 0` and whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 4)."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(angle)
    if freedom % 2:
        term, total = cosine, cosine if freedom > 1 else 0.0
        for k in range(3, freedom - 1, 2):
            term *= cosine**2 * (k - 1) / k
            total += term
        return 0.5 + (angle + math.sin(angle) * total) / math.pi
    term = total = 1.0
    for k in range(2, freedom - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    return 0.5 + math.sin(angle) * total / 2


def ranks(values: Floats) -> Floats:
    """Ranks from 1. Equal values have the mean of their ranks."""
    inverse, counts = np.unique(values, return_inverse=True, return_counts=True)[1:]
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse.reshape(-1)], np.float64)


def spearman(groups: list[tuple[Floats, Floats]]) -> float:
    """Spearman's rank correlation of pairs of values. With several groups, ranks are those within a group, divided by
    its size, and centred in it. NaN if all values are equal."""
    both: list[list[Floats]] = [[], []]
    for group in groups:
        for values, kept in zip(group, both, strict=True):
            of = ranks(np.asarray(values, np.float64))
            kept.append((of - of.mean()) / len(of))
    x, y = np.concatenate(both[0]), np.concatenate(both[1])
    scale = math.sqrt(float((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / scale if scale > 0 else math.nan


def kendall(groups: list[tuple[Floats, Floats]]) -> float:
    """Kendall's tau-b of pairs of values. Only values of one group are compared. NaN if all values are equal."""
    agree = pairs_x = pairs_y = 0.0
    for x, y in groups:
        of_x, of_y = np.sign(x[:, None] - x[None]), np.sign(y[:, None] - y[None])
        agree += float((of_x * of_y).sum())
        pairs_x, pairs_y = pairs_x + float((of_x**2).sum()), pairs_y + float((of_y**2).sum())
    scale = math.sqrt(pairs_x * pairs_y)
    return agree / scale if scale > 0 else math.nan


def bootstrap(
    groups: list[tuple[Floats, Floats]], seed: int = 0, draws: int = 1000, confidence: float = 0.95
) -> dict[str, Interval]:
    """Both rank correlations with percentile intervals over resampled pairs of each group. Draws in which all values
    are equal are left out."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {"spearman": [], "kendall": []}
    for _ in range(draws):
        drawn = []
        for x, y in groups:
            rows = rng.integers(0, len(x), len(x))
            drawn.append((x[rows], y[rows]))
        found["spearman"].append(spearman(drawn))
        found["kendall"].append(kendall(drawn))
    means = {"spearman": spearman(groups), "kendall": kendall(groups)}
    ends = [(1 - confidence) / 2, (1 + confidence) / 2]
    intervals = {}
    for name, values in found.items():
        known = np.array(values)[~np.isnan(values)]
        low, high = np.quantile(known, ends) if len(known) else (math.nan, math.nan)
        intervals[name] = Interval(means[name], float(low), float(high))
    return intervals
