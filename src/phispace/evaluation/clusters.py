"""Clusters against classes: scores, and what each cluster holds, for any way of making clusters."""

from __future__ import annotations

from typing import Any

import numpy as np

from phispace.evaluation.base import Scores
from phispace.evaluation.items import Items
from phispace.evaluation.protocol import Part
from phispace.metrics.clustering import (
    adjusted_rand_index,
    ari_interval,
    contingency,
    match,
    nmi_interval,
    normalised_mutual_information,
    purity,
)
from phispace.metrics.intervals import wilson

NOISE = -1
_SHOWN_CELLS = 200 * 200


def score_clusters(part: Part, assigned: np.ndarray, n_clusters: int, classes: tuple[str, ...]) -> Scores:
    """How clusters of labelled items agree with their classes.

    `accuracy` is that of the best one-to-one matching of clusters and classes, noise being wrong; its Wilson interval
    takes the matching for given. `nmi` and `ari` count all noise as one further cluster. `majority` is the share of the
    largest class, which a single cluster would reach.

    Args:
        assigned: int64 (n,), 0 .. n_clusters - 1, or `NOISE`.
    """
    n, noisy = len(part), assigned == NOISE
    counts = contingency(assigned[~noisy], part.y[~noisy], n_clusters, len(classes))
    matched = match(counts) if n_clusters else np.zeros(0, np.int64)
    right = np.zeros(n)
    right[~noisy] = matched[assigned[~noisy]] == part.y[~noisy]
    table = counts
    if noisy.any():
        table = np.vstack([counts, np.bincount(part.y[noisy], minlength=len(classes))[None]])
    metrics = {
        "accuracy": float(right.mean()),
        "nmi": normalised_mutual_information(table),
        "ari": adjusted_rand_index(table),
        "majority": float(np.bincount(part.y).max() / n),
    }
    interval = {"accuracy": wilson(int(right.sum()), n), "nmi": nmi_interval(table), "ari": ari_interval(table)}
    interval = {name: ends for name, ends in interval.items() if np.isfinite(ends).all()}
    if not noisy.any():
        metrics["purity"] = purity(counts)
    details: dict[str, Any] = {"classes": list(classes), "matched": [classes[c] if c >= 0 else None for c in matched]}
    if counts.size <= _SHOWN_CELLS:
        details["contingency"] = counts.tolist()
    items = Items(part.ids, {"accuracy": right}, {"label": np.array(classes)[part.y], "cluster": assigned})
    return Scores(metrics, interval, details=details, items=items)


def describe_clusters(
    part: Part, assigned: np.ndarray, distance: np.ndarray, n_clusters: int, classes: tuple[str, ...], shown: int
) -> list[dict[str, Any]]:
    """Each cluster in words, largest first: what a sheet of pictures is drawn from.

    Args:
        assigned: int64 (n,), cluster or `NOISE`.
        distance: (n,), to the centre of the own cluster.
        shown: items to name.

    Returns:
        for each cluster its number, `size`, `majority` (name of its commonest class), `purity` (that class's share),
        and `nearest`, the ids of the items nearest to its centre. An empty cluster has neither class nor purity.
    """
    rows = []
    for number in range(n_clusters):
        inside = np.flatnonzero(assigned == number)
        counts = np.bincount(part.y[inside], minlength=len(classes))
        nearest = inside[np.argsort(distance[inside], kind="stable")[:shown]]
        rows.append(
            {
                "cluster": number,
                "size": len(inside),
                "majority": classes[int(counts.argmax())] if len(inside) else None,
                "purity": float(counts.max() / len(inside)) if len(inside) else None,
                "nearest": part.ids[nearest].tolist(),
            }
        )
    return sorted(rows, key=lambda row: -row["size"])
