"""How faithful is a map? Exact neighbourhood measures, on all items or on a fixed sample of them.

The sample is one of queries only: each query's neighbours and ranks are taken among all items, so that the estimate
does not depend on how dense the sample is. Sources: trustworthiness and continuity, Venna and Kaski, "Neighborhood
preservation in nonlinear projection methods", 2001; neighbourhood hit, Paulovich et al., 2008.
"""

from __future__ import annotations

import numpy as np

from phispace.randomness import rng

NEIGHBOURS = 10
QUERIES = 2000
MEASURES = ("trustworthiness", "continuity", "knn_recall", "class_agreement", "class_agreement_representation", "leak")
_BLOCK = 16_000_000  # distances held at once: 64 MB in float32 of the vectors, 128 MB in float64 of the map


def measure(
    vectors: np.ndarray, xy: np.ndarray, labels: np.ndarray, k: int = NEIGHBOURS, queries: int = QUERIES
) -> dict[str, float]:
    """All measures of one map.

    With N_k(i) the k nearest of i among vectors, M_k(i) the k nearest in the map, and r(i, j) the rank of j among the
    vectors' neighbours of i:

        trustworthiness  1 - 2 / (k (2N - 3k - 1)) mean_i sum_{j in M_k(i) \\ N_k(i)} (r(i, j) - k)
        continuity       the same with map and vectors exchanged
        knn_recall       mean_i |N_k(i) & M_k(i)| / k
        class_agreement  share of M_k(i) that has the class of i (labelled items only)
        class_agreement_representation   the same of N_k(i)
        leak             class_agreement - class_agreement_representation: above 0 the map shows more class structure
                         than the vectors have

    Args:
        vectors: float32 (N, D), centred.
        xy: (N, 2).
        labels: int64 (N,), -1 = unknown.
        k: neighbours; made smaller where N is small (k < N / 2, as the formula needs).
        queries: at most this many items are asked, drawn the same for each map of N items.

    Returns:
        the measures, and `k` and `queries`; `nan` where undefined (fewer than 4 items, all items on one point, fewer
        than two classes).
    """
    n = len(vectors)
    k = min(k, (n - 1) // 2)
    undefined = dict.fromkeys(MEASURES, float("nan")) | {"k": float(k), "queries": 0.0}
    if k < 1 or (xy == xy[0]).all() or (vectors == vectors[0]).all():
        return undefined
    asked = np.arange(n) if n <= queries else np.sort(rng(0, "map-quality", n).choice(n, queries, replace=False))
    near, shown, false_ranks, missing_ranks = _compare(vectors, xy, asked, k)
    scale = 2.0 / (k * (2 * n - 3 * k - 1))
    shared = (near[:, :, None] == shown[:, None, :]).any(axis=2).mean()
    in_map, in_vectors = (class_agreement(labels, asked, found) for found in (shown, near))
    return {
        "trustworthiness": float(1 - scale * np.maximum(false_ranks - k, 0).sum(axis=1).mean()),
        "continuity": float(1 - scale * np.maximum(missing_ranks - k, 0).sum(axis=1).mean()),
        "knn_recall": float(shared),
        "class_agreement": in_map,
        "class_agreement_representation": in_vectors,
        "leak": in_map - in_vectors,
        "k": float(k),
        "queries": float(len(asked)),
    }


def class_agreement(labels: np.ndarray, asked: np.ndarray, found: np.ndarray) -> float:
    """Share of neighbours that have the class of the one who asks; unknown labels are left out on both sides.

    Args:
        labels: int64 (N,), -1 = unknown.
        asked: int64 (Q,), positions.
        found: int64 (Q, k), positions of their neighbours.

    Returns:
        mean over the labelled of `asked`, or nan where fewer than two classes are known.
    """
    if len(np.unique(labels[labels >= 0])) < 2:
        return float("nan")
    own, theirs = labels[asked][:, None], labels[found]
    known = (own >= 0) & (theirs >= 0)
    some = known.any(axis=1)
    if not some.any():
        return float("nan")
    return float((((own == theirs) & known).sum(axis=1)[some] / known.sum(axis=1)[some]).mean())


def _compare(
    vectors: np.ndarray, xy: np.ndarray, asked: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Neighbours in both spaces, and the ranks of each one's neighbours in the other space; four arrays (Q, k)."""
    n = len(vectors)
    norms = np.einsum("nd,nd->n", vectors, vectors)
    plane = np.asarray(xy, np.float64)  # float32 would make ties of points that differ
    near, shown, false_ranks, missing_ranks = (np.empty((len(asked), k), np.int64) for _ in range(4))
    step = max(1, _BLOCK // n)
    for begin in range(0, len(asked), step):
        part = asked[begin : begin + step]
        rows = np.arange(len(part))
        among_vectors = norms - 2 * (vectors[part] @ vectors.T)  # |x_i|^2 is left out: it changes no rank
        among_map = (plane[part, :1] - plane[:, 0]) ** 2 + (plane[part, 1:] - plane[:, 1]) ** 2
        here = slice(begin, begin + len(part))
        for distances, nearest in ((among_vectors, near), (among_map, shown)):
            distances[rows, part] = np.inf
            nearest[here] = np.argpartition(distances, k - 1, axis=1)[:, :k]
        for distances, others, ranks in (
            (among_vectors, shown[here], false_ranks),
            (among_map, near[here], missing_ranks),
        ):
            for column in range(k):
                limit = distances[rows, others[:, column]][:, None]
                ranks[here, column] = 1 + (distances < limit).sum(axis=1)
    return near, shown, false_ranks, missing_ranks
