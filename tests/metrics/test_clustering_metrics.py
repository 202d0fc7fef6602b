"""Agreement of clusters and classes: against scikit-learn, all matchings, explicit jackknife; and coverage."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from phispace.errors import InputError
from phispace.metrics.clustering import (
    UNMATCHED,
    adjusted_rand_index,
    ari_interval,
    contingency,
    match,
    matched_accuracy,
    nmi_interval,
    normalised_mutual_information,
    purity,
)


def drawn(n: int, clusters: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    return np.where(rng.random(n) < 0.6, y % clusters, rng.integers(0, clusters, n)), y


@pytest.mark.parametrize(("n", "clusters", "classes"), [(200, 5, 5), (60, 3, 7), (60, 9, 4), (7, 7, 7), (2000, 30, 10)])
def test_scikit_learn(n: int, clusters: int, classes: int) -> None:
    for seed in range(5):
        found, y = drawn(n, clusters, classes, seed)
        counts = contingency(found, y, clusters, classes)
        assert counts.sum() == n
        assert normalised_mutual_information(counts) == pytest.approx(normalized_mutual_info_score(y, found), abs=1e-12)
        assert adjusted_rand_index(counts) == pytest.approx(adjusted_rand_score(y, found), abs=1e-12)
        assert purity(counts) == pytest.approx(sum(np.bincount(y[found == k]).max() for k in set(found)) / n)


@pytest.mark.parametrize(("clusters", "classes"), [(4, 4), (5, 3), (3, 5)])
def test_the_best_of_all_matchings(clusters: int, classes: int) -> None:
    found, y = drawn(80, clusters, classes, 3)
    counts = contingency(found, y, clusters, classes)
    width = max(clusters, classes)
    square = np.zeros((width, width))
    square[:clusters, :classes] = counts
    best = max(sum(square[i, p[i]] for i in range(width)) for p in itertools.permutations(range(width)))
    assert matched_accuracy(counts) == pytest.approx(best / 80)
    classes_of = match(counts)
    used = classes_of[classes_of != UNMATCHED]
    assert len(set(used.tolist())) == len(used)
    assert (classes_of[found] == y).mean() == pytest.approx(best / 80)


def test_a_cluster_without_its_class_is_unmatched() -> None:
    assert match(np.array([[5, 0, 0], [0, 0, 0], [3, 0, 0]])).tolist() == [0, UNMATCHED, UNMATCHED]


def test_the_same_partition_and_none() -> None:
    y = np.repeat(np.arange(4), 10)
    same = contingency((y + 1) % 4, y, 4, 4)
    one = contingency(np.zeros(40, int), y, 1, 4)
    assert (matched_accuracy(same), normalised_mutual_information(same), adjusted_rand_index(same)) == (1, 1, 1)
    assert (matched_accuracy(one), normalised_mutual_information(one), adjusted_rand_index(one)) == (0.25, 0, 0)
    assert nmi_interval(same) == (1, 1)
    assert ari_interval(same) == (1, 1)


def test_what_is_undefined() -> None:
    for counts in (np.zeros((2, 3), int), np.array([[9]]), np.array([[1]])):
        assert math.isnan(adjusted_rand_index(counts))
        assert math.isnan(normalised_mutual_information(counts))
        assert all(math.isnan(v) for v in (*nmi_interval(counts), *ari_interval(counts)))
    assert math.isnan(matched_accuracy(np.zeros((2, 3), int)))
    assert math.isnan(purity(np.zeros((2, 3), int)))
    with pytest.raises(InputError, match="clusters run from 0 to 4"):
        contingency([0, 4], [0, 1], 4, 4)
    with pytest.raises(InputError, match="labels must be"):
        contingency([0, 1], [0], 2, 2)


def test_names_of_clusters_and_order_do_not_matter() -> None:
    found, y = drawn(300, 6, 4)
    order = np.random.default_rng(0).permutation(300)
    renamed = np.random.default_rng(1).permutation(6)[found][order]
    a, b = contingency(found, y, 6, 4), contingency(renamed, y[order], 6, 4)
    for of in (matched_accuracy, purity, normalised_mutual_information, adjusted_rand_index):
        assert of(a) == pytest.approx(of(b), abs=1e-12)
    assert nmi_interval(a) == pytest.approx(nmi_interval(b))


@pytest.mark.parametrize(
    ("interval", "of"), [(nmi_interval, normalized_mutual_info_score), (ari_interval, adjusted_rand_score)]
)
def test_the_jackknife_leaves_each_item_out(interval, of) -> None:
    found, y = drawn(60, 4, 3)
    values = np.array([of(np.delete(y, i), np.delete(found, i)) for i in range(60)])
    error = math.sqrt(59 / 60 * ((values - values.mean()) ** 2).sum())
    low, high = interval(contingency(found, y, 4, 3))
    assert (low + high) / 2 == pytest.approx(of(y, found))
    assert (high - low) / 2 == pytest.approx(1.959964 * error)


@pytest.mark.parametrize(
    ("interval", "of"), [(nmi_interval, normalised_mutual_information), (ari_interval, adjusted_rand_index)]
)
def test_intervals_cover(interval, of) -> None:
    share = np.array([[0.2, 0.05, 0.02], [0.03, 0.25, 0.05], [0.05, 0.05, 0.3]])
    rng = np.random.default_rng(0)
    truth = of(share * 1e9)
    covered = 0
    for _ in range(400):
        low, high = interval(rng.multinomial(800, share.ravel()).reshape(3, 3))
        covered += low <= truth <= high
    assert 0.90 <= covered / 400 <= 0.98
