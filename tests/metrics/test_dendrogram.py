"""Dendrograms against trees: all pairs written out, and trees with a known answer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.cluster.hierarchy import cophenet, linkage, to_tree

from phispace.metrics.dendrogram import correlation, dendrogram_purity, tree_distances


def by_pairs(joined: np.ndarray, groups: np.ndarray) -> float:
    """The definition: for each pair of one group the smallest subtree that holds both."""
    nodes = [set(node.pre_order()) for node in to_tree(joined, rd=True)[1]]
    found = []
    for i, j in itertools.combinations(range(len(groups)), 2):
        if groups[i] == groups[j]:
            smallest = min((leaves for leaves in nodes if {i, j} <= leaves), key=len)
            found.append(np.mean([groups[k] == groups[i] for k in smallest]))
    return float(np.mean(found))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("method", ["average", "single", "complete"])
def test_purity_by_all_pairs(seed: int, method: str) -> None:
    rng = np.random.default_rng(seed)
    joined, groups = linkage(rng.normal(size=(15, 3)), method), rng.integers(0, 4, 15)
    assert dendrogram_purity(joined, groups) == pytest.approx(by_pairs(joined, groups), abs=1e-12)


def test_ends_of_the_scale() -> None:
    joined = linkage(np.array([[0.0], [1], [10], [11]]))
    assert dendrogram_purity(joined, np.array([0, 0, 1, 1])) == 1
    assert dendrogram_purity(joined, np.array([0, 1, 0, 1])) == pytest.approx(0.5)
    assert np.isnan(dendrogram_purity(joined, np.arange(4)))
    assert dendrogram_purity(joined, np.zeros(4, int)) == 1


def test_heights_of_a_tree() -> None:
    paths = [("a", "x"), ("a", "x"), ("a", "y"), ("b", "z")]
    np.testing.assert_array_equal(tree_distances(paths), [1, 2, 3, 2, 3, 3])
    np.testing.assert_array_equal(tree_distances([("a",), ("a",), ("b",)]), [1, 2, 2])
    np.testing.assert_array_equal(tree_distances([("a",), ("a", "x")]), [2])
    assert len(tree_distances([])) == 0


def test_a_dendrogram_of_the_tree_itself_correlates_fully() -> None:
    distances = tree_distances([("a", "x"), ("a", "x"), ("a", "y"), ("b", "z"), ("b", "z")])
    assert correlation(cophenet(linkage(distances, "average")), distances) == pytest.approx(1)
    assert np.isnan(correlation(np.ones(3), np.arange(3.0)))
    assert np.isnan(correlation(np.zeros(1), np.zeros(1)))
