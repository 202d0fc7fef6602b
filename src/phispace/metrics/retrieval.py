"""Retrieval: for each query the whole gallery in the order of similarity; are items of its class in front?

Average precision of a query with R relevant items among N: AP = (1/R) sum_r precision(position of the r-th relevant),
as scikit-learn's `average_precision_score`. Ties: the precision is that at the end of a tied group, so nothing depends
on the order of the gallery; at a cut k that falls into a tied group the expectation over its orders is taken (McSherry
and Najork, Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores, ECIR 2008).
Recall is the share of all relevant items within the first k; `hit`, which metric learning calls Recall@k (Jegou,
Douze and Schmid, PAMI 2011), is whether any of them is there.

Exact, up to similarities that float32 cannot tell apart, and in blocks of queries: memory grows with Q + N, never with
Q * N.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from phispace.errors import InputError
from phispace.metrics.arrays import as_labels, as_matrix
from phispace.metrics.directions import unit_vectors
from phispace.metrics.knn import Metric

_BLOCK_ELEMENTS = 1 << 23  # similarities held at a time: 32 MB in float32


@dataclass(frozen=True)
class Ranked:
    """What each query found; `nan` for a query without a relevant item.

    Attributes:
        average_precision: float64 (Q,).
        relevant: int64 (Q,), relevant items in the gallery.
        precision, recall, hit: k -> float64 (Q,); all `nan` for a k above the size of the gallery.
    """

    average_precision: np.ndarray
    relevant: np.ndarray
    precision: dict[int, np.ndarray]
    recall: dict[int, np.ndarray]
    hit: dict[int, np.ndarray]


def retrieve(
    queries: Any,
    query_labels: Any,
    gallery: Any,
    gallery_labels: Any,
    ks: Sequence[int] = (1, 5, 10, 100),
    metric: Metric = "cosine",
    *,
    exclude_self: bool = False,
) -> Ranked:
    """Rank the gallery for each query.

    Args:
        queries: (Q, D), finite.
        query_labels: int (Q,); relevant is what has the same label.
        gallery: (N, D), finite.
        gallery_labels: int (N,).
        ks: cuts.
        metric: `cosine`, where a zero vector has similarity 0 to all; or `euclidean`.
        exclude_self: query i and gallery item i are the same item, which is left out of its own ranking.

    Raises:
        InputError: shapes that do not fit, a k below 1, or an unknown metric.
    """
    queries, gallery = as_matrix(queries, "queries"), as_matrix(gallery, "gallery")
    query_labels = as_labels(query_labels, len(queries), "query_labels")
    gallery_labels = as_labels(gallery_labels, len(gallery), "gallery_labels")
    if queries.shape[1] != gallery.shape[1]:
        raise InputError(f"Queries have {queries.shape[1]} dimensions, the gallery has {gallery.shape[1]}.")
    if exclude_self and len(queries) != len(gallery):
        raise InputError(f"{len(queries)} queries are not the {len(gallery)} items of the gallery.")
    if min(ks, default=1) < 1:
        raise InputError(f"Every k must be at least 1; got {min(ks)}.")
    if metric not in ("cosine", "euclidean"):
        raise InputError(f"The metric must be cosine or euclidean; got {metric!r}.")
    n = len(gallery) - exclude_self
    order = np.argsort(gallery_labels, kind="stable")  # a class lies together: what is relevant is a slice
    first = np.searchsorted(gallery_labels[order], query_labels, "left")
    last = np.searchsorted(gallery_labels[order], query_labels, "right")
    relevant = last - first - exclude_self
    precision = np.full(len(queries), np.nan)
    hits, hit = np.full((2, len(ks), len(queries)), np.nan)
    for start, rough in _similarities(queries, gallery[order], metric):
        if exclude_self:
            # Where the item of each query stands now; the lowest value comes first when sorted, and is cut off.
            own = np.argsort(order, kind="stable")[start : start + len(rough)]
            rough[np.arange(len(rough)), own] = -np.inf
        for query, row in enumerate(rough, start):
            if relevant[query] == 0:
                continue
            a, b = first[query], last[query]
            wrong = np.concatenate([row[:a], row[b:]])
            right = row[a:b]
            right.sort()
            wrong.sort()
            right = right[int(exclude_self) :]
            precision[query] = _average_precision(right, wrong)
            for column, k in enumerate(ks):
                if k <= n:
                    hits[column, query], hit[column, query] = _within(right, wrong, k)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Ranked(
            precision,
            relevant.astype(np.int64),
            {k: row / k for k, row in zip(ks, hits, strict=True)},
            {k: row / relevant for k, row in zip(ks, hits, strict=True)},
            dict(zip(ks, hit, strict=True)),
        )


def chance_average_precision(relevant: Any, n: int) -> np.ndarray:
    """Expected average precision of a random order, float64: p + (1 - p) H_n / n, p = (R - 1) / (n - 1).

    H_n is the n-th harmonic number. `nan` where R is 0.

    Args:
        relevant: R, int (Q,).
        n: items in the gallery.
    """
    relevant = np.asarray(relevant)
    share = (relevant - 1) / (n - 1) if n > 1 else np.zeros(relevant.shape)
    harmonic = float((1 / np.arange(1, n + 1)).sum())
    return np.where(relevant > 0, share + (1 - share) * harmonic / max(n, 1), np.nan)


def _similarities(queries: np.ndarray, gallery: np.ndarray, metric: Metric) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of similarities float32 (B, N) that keep the order, with the position of their first query.

    Equal gallery vectors have one similarity, to the last bit: they are multiplied once.
    """
    import torch

    if not len(queries) or not len(gallery):
        return
    scale = 1.0
    if metric == "cosine":
        prepared = unit_vectors(gallery)
    else:
        # Distances do not change when both sides move, their order not when both are scaled.
        centre = gallery.mean(0, dtype=np.float64).astype(gallery.dtype)
        scale = float(max(np.abs(gallery - centre).max(), np.abs(queries - centre).max())) or 1.0
        prepared = ((gallery - centre) / scale).astype(np.float32)
    n = len(gallery)
    del gallery
    prepared += 0.0  # no negative zeros: equal vectors have equal bytes
    _, where, inverse = np.unique([hash(row.tobytes()) for row in prepared], return_index=True, return_inverse=True)
    repeated = len(where) < len(prepared)
    # In the order of the gallery: that of the hashes changes from process to process.
    order = np.argsort(where)
    where, inverse = where[order], np.argsort(order)[inverse]
    items = torch.from_numpy(prepared[where] if repeated else prepared)
    half = None if metric == "cosine" else torch.linalg.vector_norm(items, dim=1).square() / 2
    rows = max(1, _BLOCK_ELEMENTS // n)
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        for start in range(0, len(queries), rows):
            block = queries[start : start + rows]
            block = unit_vectors(block) if half is None else ((block - centre) / scale).astype(np.float32)
            rough = torch.from_numpy(block) @ items.T
            if half is not None:
                rough -= half
            yield start, rough.numpy()[:, inverse] if repeated else rough.numpy()


def _average_precision(right: np.ndarray, wrong: np.ndarray) -> float:
    """Of similarities of the relevant and of the other items, each ascending."""
    here = np.arange(len(right), 0, -1)  # relevant items at least as similar
    if (right[1:] == right[:-1]).any():
        here = len(right) - np.searchsorted(right, right, "left")
    others = len(wrong) - np.searchsorted(wrong, right, "left")
    return float((here / (here + others)).mean())


def _within(right: np.ndarray, wrong: np.ndarray, k: int) -> tuple[float, float]:
    """Expected number of relevant items among the first k, and probability that there is any."""
    kth = np.sort(np.concatenate([right[-k:], wrong[-k:]]))[-k]
    above = [len(side) - int(np.searchsorted(side, kth, "right")) for side in (right, wrong)]
    tied = [
        len(side) - int(np.searchsorted(side, kth, "left")) - a for side, a in zip((right, wrong), above, strict=True)
    ]
    room = k - sum(above)
    found = above[0] + room * tied[0] / sum(tied)
    if above[0] or tied[0] == 0 or room > tied[1]:
        return found, float(found > 0)
    # None of `room` draws from the tied group is relevant.
    misses = np.arange(room)
    return found, 1 - float(np.prod((tied[1] - misses) / (sum(tied) - misses)))
