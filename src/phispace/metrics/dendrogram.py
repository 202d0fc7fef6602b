"""Does a dendrogram of classes follow a tree that is given?

Sources: dendrogram purity, Heller and Ghahramani, Bayesian Hierarchical Clustering, ICML 2005, section 4; cophenetic
distances, Sokal and Rohlf, Taxon 11, 1962.
"""

from __future__ import annotations

import numpy as np


def dendrogram_purity(linkage: np.ndarray, groups: np.ndarray) -> float:
    """Mean, over all pairs of leaves of one group, of that group's share among the leaves below their lowest common
    ancestor: 1 when every group is a subtree. `nan` without such a pair.

    Args:
        linkage: (n - 1, 4) as scipy.cluster.hierarchy.linkage gives it.
        groups: integers (n,), the group of each leaf.
    """
    n = len(groups)
    _, codes = np.unique(groups, return_inverse=True)
    counts = np.zeros((2 * n - 1, int(codes.max(initial=0)) + 1))
    counts[np.arange(n), codes] = 1
    purity = pairs = 0.0
    for step, (left, right) in enumerate(linkage[:, :2].astype(int)):
        # Pairs that meet here: one leaf from either side.
        meeting = counts[left] * counts[right]
        here = counts[left] + counts[right]
        counts[n + step] = here
        purity += float((meeting * here).sum() / here.sum())
        pairs += float(meeting.sum())
    return purity / pairs if pairs else float("nan")


def tree_distances(paths: list[tuple[str, ...]]) -> np.ndarray:
    """Height of the lowest common ancestor of each pair i < j of leaves, float64 (n (n - 1) / 2,), in scipy's order.

    Args:
        paths: the groups that each leaf lies in, outermost first; two leaves of the same groups are 1 apart, two that
            share all but the innermost group 2, and so on.
    """
    depth = max((len(p) for p in paths), default=0)
    heights = []
    for i, a in enumerate(paths):
        for b in paths[i + 1 :]:
            shared = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
            heights.append(depth - shared + 1)
    return np.array(heights, np.float64)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation; `nan` if either does not vary."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
