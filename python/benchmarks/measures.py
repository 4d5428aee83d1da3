"""Metrics of a quantizer: error, usage of codes, and whether similar items share a prefix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustering import agreement

Matrix = NDArray[np.float32]
Codes = NDArray[np.int64]
Rows = NDArray[np.int64]

NEIGHBOURS = 10


@dataclass(frozen=True)
class Neighbours:
    """Queries and their nearest items by cosine, without the queries themselves."""

    queries: Rows
    nearest: Rows
    """(queries, 10)"""


def nearest(vectors: Matrix, queries: Rows) -> Rows:
    """The 10 items nearest to each query by cosine, without the query itself."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    found = []
    for start in range(0, len(queries), 512):
        block = queries[start : start + 512]
        similar = unit[block] @ unit.T
        similar[np.arange(len(block)), block] = -2.0
        found.append(np.argpartition(-similar, NEIGHBOURS, axis=1)[:, :NEIGHBOURS])
    return np.concatenate(found)


def neighbours(vectors: Matrix, queries: Rows) -> Neighbours:
    return Neighbours(queries, nearest(vectors, queries))


def relative_error(vectors: Matrix, decoded: Matrix) -> float:
    """|x - x'|^2 / |x - mean|^2, summed over the items."""
    return float(((vectors - decoded) ** 2).sum() / ((vectors - vectors.mean(axis=0)) ** 2).sum())


def duplicates(codes: Codes) -> float:
    """Share of items whose code an earlier item has as well."""
    return 1.0 - len(np.unique(codes, axis=0)) / len(codes)


def met_by_new(codes: Codes, new: Rows) -> float:
    """Share of new items whose code another item has as well."""
    inverse, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)[1:]
    return float((counts[inverse.ravel()[new]] > 1).mean())


def perplexity(codes: Codes) -> float:
    """The perplexity of one level's codes: the number of equally frequent codes with the same entropy."""
    shares = np.unique(codes, return_counts=True)[1] / len(codes)
    return float(np.exp(-(shares * np.log(shares)).sum()))


def prefix_recall(codes: Codes, truth: Neighbours, seed: int) -> float:
    """Share of the nearest items among the 10 with the longest common prefix. Ties are broken at random."""
    rng = np.random.default_rng(seed)
    hits = 0
    for query, true in zip(truth.queries, truth.nearest, strict=True):
        shared = np.logical_and.accumulate(codes == codes[query], axis=1).sum(axis=1)
        order = shared + rng.random(len(codes))
        order[query] = -1.0
        hits += len(np.intersect1d(np.argpartition(-order, NEIGHBOURS)[:NEIGHBOURS], true))
    return hits / (NEIGHBOURS * len(truth.queries))


def decoded_recall(decoded: Matrix, truth: Neighbours, seed: int) -> float:
    """Share of the nearest items among the 10 whose decoded vectors are nearest to the query's. Items with the same
    code decode to the same vector; a little noise breaks these ties at random."""
    noise = np.random.default_rng(seed).standard_normal(decoded.shape).astype(np.float32)
    found = nearest(decoded + noise * 1e-5 * float(np.abs(decoded).mean()), truth.queries)
    pairs = zip(found, truth.nearest, strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) for a, b in pairs]) / NEIGHBOURS)


def label_agreement(codes: Codes, labels: list[str], depth: int) -> float:
    """Normalised mutual information of the prefixes of a depth with the labels."""
    prefixes = np.unique(codes[:, :depth], axis=0, return_inverse=True)[1].ravel()
    return agreement(prefixes, np.unique(labels, return_inverse=True)[1]).normalised
