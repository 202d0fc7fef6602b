"""Density clustering: are there dense groups with emptier space between them, and are they the classes?

HDBSCAN on the first 50 principal components of a sample of the scored part; it needs no number of clusters, and leaves
items in thin regions out as noise. Noise is reported and never hidden: for the accuracy a noisy item is wrong, for NMI
and ARI all noise is one further cluster, and `ari_clustered` is the adjusted Rand index of the other items alone.
Source: Campello, Moulavi and Sander, PAKDD 2013, as scikit-learn has it. Labels enter the scores only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.clusters import NOISE, describe_clusters, score_clusters
from phispace.evaluation.protocol import at_most
from phispace.evaluation.scored import scored_part, undefined
from phispace.metrics.clustering import adjusted_rand_index
from phispace.randomness import key, rng

NAN = float("nan")
_METRICS = ("ari", "nmi", "accuracy", "ari_clustered", "noise", "clusters", "majority")
_SMALLEST = 5


class DensityConfig(EvaluationConfig):
    """Options of the density clustering."""

    components: int = Field(50, ge=1, description="principal components that are clustered")
    max_items: int = Field(10_000, ge=10, description="items, drawn at random; time grows with their square")
    min_cluster_size: int | None = Field(
        None, ge=2, description="smallest group that is a cluster; none = 0.5 % of the items, at least 5"
    )
    min_samples: int = Field(5, ge=1, description="neighbours whose distance stands for the density at an item")
    split: Literal["auto", "train", "val", "test"] = Field(
        "auto", description="part to look at; auto = test, else val, else train"
    )
    shown: int = Field(12, ge=1, le=100, description="items nearest to each cluster's mean that the details name")


class DensityClustering(Evaluation):
    """HDBSCAN against the classes: ARI, NMI, accuracy, and the share of noise."""

    name: ClassVar[str] = "density-clustering"
    title: ClassVar[str] = "density clustering"
    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    reference: ClassVar[str] = "Campello, Moulavi and Sander, PAKDD 2013, as in scikit-learn"
    primary: ClassVar[str] = "ari"
    Config: ClassVar[type[EvaluationConfig]] = DensityConfig
    config: DensityConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        split, part, caveats = scored_part(embeddings, self.config.split)
        part, fewer = at_most(part, self.config.max_items, rng(seed, "density items"))
        caveats += fewer
        smallest = self.config.min_cluster_size or max(_SMALLEST, round(0.005 * len(part)))
        reason = undefined(part)
        if reason is None and len(part) < max(2 * smallest, self.config.min_samples + 1):
            reason = f"Undefined: {len(part)} items cannot hold two clusters of {smallest}."
        if reason:
            return Scores(dict.fromkeys(_METRICS, NAN), {}, {split: len(part)}, [reason, *caveats])
        z = self._components(part.x, key(seed, "density components") % 2**32)
        assigned = self._cluster(z, smallest)
        number, noisy = int(assigned.max()) + 1, assigned == NOISE
        scores = score_clusters(part, assigned, number, embeddings.classes)
        counts = np.array(scores.details.get("contingency", []), np.int64)
        metrics = scores.metrics | {
            "ari_clustered": adjusted_rand_index(counts) if counts.size else NAN,
            "noise": float(noisy.mean()),
            "clusters": float(number),
        }
        if number == 0:
            caveats.append(
                "No cluster was found: all items are noise; the index of clustered items alone is undefined."
            )
        elif noisy.any():
            caveats.append(
                f"{noisy.mean():.1%} of the items are noise: wrong in the accuracy, one further cluster in NMI and ARI."
            )
        if number and not np.isfinite(metrics["ari_clustered"]):
            caveats.append(
                "The index of the clustered items alone is undefined: they are of one class and one cluster."
            )
        details: dict[str, Any] = scores.details | {
            "split": split,
            "chosen": {"components": z.shape[1], "min_cluster_size": smallest, "min_samples": self.config.min_samples},
            "clusters": describe_clusters(
                part, assigned, _to_mean(z, assigned, number), number, embeddings.classes, self.config.shown
            ),
        }
        metrics = {name: metrics[name] for name in _METRICS}
        return Scores(metrics, scores.interval, {split: len(part)}, caveats, details, scores.items)

    def _components(self, x: np.ndarray, random_state: int) -> np.ndarray:
        """Scores (n, k) on the leading principal components; scaled as one, so that squares stay in range."""
        from sklearn.decomposition import PCA

        centred = x - x.mean(0, dtype=np.float64)
        centred /= np.abs(centred).max()
        k = min(self.config.components, *x.shape)
        return np.asarray(PCA(k, random_state=random_state).fit_transform(centred))

    def _cluster(self, z: np.ndarray, smallest: int) -> np.ndarray:
        from sklearn.cluster import HDBSCAN

        model = HDBSCAN(min_cluster_size=smallest, min_samples=self.config.min_samples, copy=True)
        return np.asarray(model.fit_predict(z), np.int64)


def _to_mean(z: np.ndarray, assigned: np.ndarray, n_clusters: int) -> np.ndarray:
    """Distance (n,) of each item to the mean of its cluster; infinite for noise."""
    distance = np.full(len(z), np.inf)
    for cluster in range(n_clusters):
        inside = assigned == cluster
        distance[inside] = np.linalg.norm(z[inside] - z[inside].mean(0), axis=1)
    return distance
