"""How well the classes separate without any classifier: silhouette and its relatives, on one part of the store.

Nothing is fitted and nothing chosen. Sources: Rousseeuw 1987; Davies and Bouldin 1979; Calinski and Harabasz 1974.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.protocol import by_id, shown_split
from phispace.metrics.intervals import bootstrap_mean
from phispace.metrics.knn import Metric
from phispace.metrics.separation import between_class_share, cluster_indices, sample_items, silhouettes
from phispace.randomness import rng


class SeparationConfig(EvaluationConfig):
    """Options of the separation evaluation."""

    split: Literal["auto", "train", "val", "test"] = Field(
        "auto", description="part to look at; auto = test, else val, else train"
    )
    metric: Metric = Field("euclidean", description="distance of the silhouette: euclidean or cosine")
    max_items: int = Field(5000, ge=10, description="items of the silhouette, whose time grows with their square")


class Separation(Evaluation):
    """Silhouette, Davies-Bouldin, Calinski-Harabasz and the share of variance between the classes."""

    name: ClassVar[str] = "separation"
    title: ClassVar[str] = "class separation"
    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    reference: ClassVar[str] = "Rousseeuw, J. Comput. Appl. Math. 1987, as in scikit-learn"
    primary: ClassVar[str] = "silhouette"
    Config: ClassVar[type[EvaluationConfig]] = SeparationConfig
    config: SeparationConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        split = shown_split(embeddings, self.config.split, labelled=True)
        part = by_id(embeddings, split, labelled=True)
        x, y = part.x, part.y
        n_classes, varies = len(np.unique(y)), bool(len(x) and (x != x[0]).any())
        chosen = sample_items(len(part), self.config.max_items, rng(seed, "silhouette items"))
        caveats = []
        if not len(part):
            caveats.append(f"Undefined: no item of split {split} is labelled.")
        elif not varies:
            caveats.append("Undefined: all vectors are equal, the representation has collapsed to a point.")
        elif not 2 <= n_classes < len(part):
            caveats.append(f"Undefined: {n_classes} classes in {len(part)} items; at least 2, and fewer than items.")
        metrics = dict.fromkeys(("silhouette", "davies_bouldin", "calinski_harabasz", "between_share"), float("nan"))
        interval = {}
        if not caveats:
            values = silhouettes(x[chosen], y[chosen], self.config.metric)
            metrics["silhouette"] = float(values.mean())
            metrics |= cluster_indices(x, y)
            metrics["between_share"] = between_class_share(x, y)
            if np.isfinite(values).all():
                interval["silhouette"] = bootstrap_mean(values, rng(seed, "interval", self.name))
            else:
                caveats.append("The silhouette is undefined: the sample has too few classes.")
            if len(chosen) < len(part):
                caveats.append(f"The silhouette is of {len(chosen):,} items drawn from {len(part):,}.")
        details = {"split": split, "metric": self.config.metric, "classes": n_classes}
        return Scores(metrics, interval, {split: len(part)}, caveats, details)
