"""Clustering: does k-means find the classes without being told of them?

As in the field (SCAN, Van Gansbeke et al., ECCV 2020, arXiv 2005.12320, section 3): as many clusters as classes, fitted
on train without labels, test items go to the nearest centre, and clusters are matched to classes one to one on the
items that are scored. That matching reads test labels; it is part of the metric and chooses nothing else. Of several
starts (k-means++) the one of least inertia on train is kept. Where there is no train part, fitted on what is scored.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.embeddings.store import UNKNOWN, Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.clusters import describe_clusters, score_clusters
from phispace.evaluation.protocol import Part, by_id
from phispace.evaluation.scored import scored_part, undefined
from phispace.metrics.directions import unit_vectors
from phispace.metrics.knn import Metric
from phispace.randomness import key

NAN = float("nan")
_METRICS = ("accuracy", "nmi", "ari", "purity", "majority")


class ClusteringConfig(EvaluationConfig):
    """Options of the clustering evaluation."""

    clusters: int | None = Field(None, ge=1, description="number of clusters; none = the number of classes")
    metric: Metric = Field("euclidean", description="euclidean, or cosine: vectors are scaled to length 1 first")
    restarts: int = Field(3, ge=1, description="starts by k-means++; the one of least inertia is kept")
    max_iterations: int = Field(300, ge=1, description="of Lloyd's algorithm, for each start")
    split: Literal["auto", "train", "val", "test"] = Field(
        "auto", description="part that is scored; auto = test, else val, else train"
    )
    fit: Literal["train", "scored"] = Field("train", description="part that k-means is fitted on: train, or the same")
    shown: int = Field(12, ge=1, le=100, description="items nearest to each centre that the details name")


class Clustering(Evaluation):
    """k-means against the classes: accuracy by Hungarian matching, NMI, ARI, and what each cluster holds."""

    name: ClassVar[str] = "clustering"
    title: ClassVar[str] = "k-means clustering"
    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    reference: ClassVar[str] = "Van Gansbeke et al., ECCV 2020 (arXiv 2005.12320), section 3"
    primary: ClassVar[str] = "accuracy"
    Config: ClassVar[type[EvaluationConfig]] = ClusteringConfig
    config: ClusteringConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        split, part, caveats = scored_part(embeddings, self.config.split)
        x, fitted_on = part.x, split
        if self.config.fit == "train" and split != "train":
            x = by_id(embeddings, "train").x
            fitted_on = "train"
            if not len(x):
                caveats.append(f"There is no train part: k-means was fitted on the {split} items that are scored.")
                x, fitted_on = part.x, split
        n = {split: len(part), "fit": len(x)}
        reason = undefined(part)
        if reason is None and (x == x[0]).all():
            reason = "Undefined: all vectors to cluster are equal, the representation has collapsed to a point."
        if reason:
            return Scores(dict.fromkeys(_METRICS, NAN), {}, n, [reason, *caveats])
        wanted = self.config.clusters or _n_classes(embeddings, split)
        if wanted > len(x):
            caveats.append(f"{wanted} clusters are more than the {len(x):,} items to fit; there are as many as items.")
            wanted = len(x)
        assigned, distance, inertia = self._fit(x, part, wanted, key(seed, "k-means") % 2**32)
        scores = score_clusters(part, assigned, wanted, embeddings.classes)
        empty = wanted - len(np.unique(assigned))
        if empty:
            caveats.append(f"{empty} of {wanted} clusters hold no {split} item.")
        details = scores.details | {
            "split": split,
            "chosen": {"clusters": wanted, "metric": self.config.metric, "fitted_on": fitted_on, "inertia": inertia},
            "clusters": describe_clusters(part, assigned, distance, wanted, embeddings.classes, self.config.shown),
        }
        metrics = {name: scores.metrics[name] for name in _METRICS}
        return Scores(metrics, scores.interval, n, caveats, details, scores.items)

    def _fit(self, x: np.ndarray, part: Part, clusters: int, random_state: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Cluster of each scored item, its distance to the centre, and the inertia per item of the fit."""
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning

        model = KMeans(
            clusters, n_init=self.config.restarts, max_iter=self.config.max_iterations, random_state=random_state
        )
        place = _Frame(x, self.config.metric)
        with warnings.catch_warnings():
            # Fewer distinct vectors than clusters: some stay empty, which is said in the caveats.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(place(x))
        z = place(part.x)
        assigned = model.predict(z).astype(np.int64)
        distance = np.linalg.norm(z - model.cluster_centers_[assigned], axis=1)
        return assigned, distance, float(model.inertia_ / len(x))


class _Frame:
    """Vectors as k-means sees them: moved and scaled as one, so that squares stay in float32's range."""

    def __init__(self, x: np.ndarray, metric: Metric) -> None:
        self._cosine = metric == "cosine"
        self._centre = np.zeros(x.shape[1], np.float32) if self._cosine else x.mean(0, dtype=np.float64)
        self._scale = 1.0 if self._cosine else float(np.abs(x - self._centre.astype(np.float32)).max())

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if self._cosine:
            return unit_vectors(x)
        moved = x - self._centre.astype(np.float32)
        moved /= np.float32(self._scale)
        return moved


def _n_classes(embeddings: Embeddings, split: str) -> int:
    """Classes that occur among the labelled items of train and of the scored part."""
    known = np.isin(embeddings.splits, ["train", split]) & (embeddings.labels != UNKNOWN)
    return len(np.unique(embeddings.labels[known]))
