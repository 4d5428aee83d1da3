"""The measures of scripts/clustering.py, on labellings whose figures are known."""

import itertools
from math import log

import numpy as np
import pytest

from clustering import agreement, contingency, expected_mutual_information, k_means


def test_equal_labellings_agree_in_full_whatever_their_names() -> None:
    a = np.array([0, 0, 1, 1, 2, 2])
    found = agreement(a, np.array([5, 5, 9, 9, 7, 7]))
    assert found.mutual_information == pytest.approx(log(3))
    assert found.normalised == pytest.approx(1)
    assert found.adjusted == pytest.approx(1)


def test_random_labels_have_no_adjusted_mutual_information() -> None:
    rng = np.random.default_rng(3)
    found = [agreement(rng.integers(0, 60, 300), rng.integers(0, 20, 300)) for _ in range(20)]
    assert np.mean([f.mutual_information for f in found]) > 1, "many labels look telling"
    assert abs(np.mean([f.adjusted for f in found])) < 0.02


def test_expected_information_is_the_mean_over_all_deals() -> None:
    a, b = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 1]
    deals = [agreement(np.array(a), np.array(deal)).mutual_information for deal in itertools.permutations(b)]
    table = contingency(np.array(a), np.array(b))
    expected = expected_mutual_information(table.sum(axis=1), table.sum(axis=0))
    assert expected == pytest.approx(np.mean(deals))


def test_k_means_finds_known_clusters_and_is_deterministic() -> None:
    rng = np.random.default_rng(1)
    truth = np.repeat(np.arange(12), 20)
    x = rng.normal(size=(12, 5))[truth] * 10 + 0.1 * rng.normal(size=(240, 5))
    labels, error = k_means(x, 12, restarts=8, seed=4)
    assert agreement(labels, truth).adjusted == pytest.approx(1)
    assert error == pytest.approx(5 * 0.01, rel=0.2)
    again, _ = k_means(x, 12, restarts=8, seed=4)
    assert (labels == again).all()
