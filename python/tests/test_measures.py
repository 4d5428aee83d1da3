"""The metrics of the benchmarks, on cases that can be computed by hand."""

import numpy as np
import pytest

from measures import (
    Neighbours,
    decoded_recall,
    duplicates,
    label_agreement,
    met_by_new,
    nearest,
    neighbours,
    perplexity,
    prefix_recall,
    relative_error,
)


def test_error_is_relative_to_the_mean() -> None:
    vectors = np.array([[0.0, 0.0], [2.0, 0.0]], np.float32)
    assert relative_error(vectors, vectors) == 0.0
    assert relative_error(vectors, np.full_like(vectors, [1.0, 0.0])) == pytest.approx(1.0)


def test_duplicates_and_perplexity_count_codes() -> None:
    codes = np.array([[0, 1], [0, 1], [0, 2], [3, 1]])
    assert duplicates(codes) == 0.25
    assert met_by_new(codes, np.array([1, 2, 3])) == pytest.approx(1 / 3)
    assert perplexity(codes[:, 0]) == pytest.approx(np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25))))
    assert perplexity(np.arange(7)) == pytest.approx(7.0)


def test_nearest_leaves_the_query_out() -> None:
    angles = np.linspace(0.0, 1.5, 30)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert sorted(nearest(vectors, np.array([0]))[0]) == list(range(1, 11))
    assert sorted(nearest(vectors, np.array([29]))[0]) == list(range(19, 29))


def test_prefix_recall_is_1_if_prefixes_are_neighbourhoods() -> None:
    # Two groups of 11: the 10 others of an item's group are its neighbours, and share its first code.
    codes = np.array([[row // 11, row % 11] for row in range(22)])
    truth = Neighbours(np.array([0, 15]), np.array([range(1, 11), [r for r in range(11, 22) if r != 15]]))
    assert prefix_recall(codes, truth, 0) == 1.0
    assert prefix_recall(codes, Neighbours(truth.queries, truth.nearest[::-1]), 0) == 0.0


def test_ties_are_broken_at_random() -> None:
    # Without any structure in the codes, recall is that of chance: 10 of 999.
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((1000, 8)).astype(np.float32)
    truth = neighbours(vectors, np.arange(1000))
    same = prefix_recall(np.zeros((1000, 2), np.int64), truth, 0)
    assert 0.005 < same < 0.02
    assert 0.005 < decoded_recall(np.ones_like(vectors), truth, 0) < 0.02
    assert decoded_recall(vectors, truth, 0) > 0.99


def test_label_agreement_follows_the_depth() -> None:
    codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert label_agreement(codes, ["a", "a", "b", "b"], 1) == pytest.approx(1.0)
    assert label_agreement(codes, ["a", "b", "c", "d"], 2) == pytest.approx(1.0)
    assert label_agreement(codes, ["a", "b", "a", "b"], 1) == pytest.approx(0.0)
