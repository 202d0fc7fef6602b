"""The meta-prior of hierarchy: does the dendrogram of the class centroids follow a tree of the classes?

Average linkage on the distances of the centroids; dendrogram purity against the given tree, held against random
placings of the classes on the same dendrogram; correlation of the heights at which two classes meet in the dendrogram
and in the tree. No label chooses anything: the tree is given, not fitted. Source of the prior: Bengio, Courville and
Vincent, IEEE TPAMI 2013 (arXiv 1206.5538), section 3.1; of the measures: `phispace.metrics.dendrogram`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.class_trees import known_tree, paths_of
from phispace.evaluation.protocol import Part, by_id, shown_split
from phispace.metrics.dendrogram import correlation, dendrogram_purity, tree_distances
from phispace.metrics.intervals import percentile
from phispace.metrics.knn import Metric
from phispace.randomness import rng

NAN = float("nan")
_REPEATS = 200
_PLACINGS = 1000
_SHOWN_CLASSES = 200


class HierarchyConfig(EvaluationConfig):
    """Options of the hierarchy evaluation."""

    tree: dict[str, Any] | None = Field(
        None, description="group -> classes or further groups; by default that of CIFAR-10: vehicles and animals"
    )
    split: Literal["auto", "train", "val", "test"] = Field(
        "auto", description="part whose centroids are taken; auto = test, else val, else train"
    )
    metric: Metric = Field("euclidean", description="distance of the centroids: euclidean or cosine")
    linkage: Literal["average", "complete", "single"] = Field(
        "average", description="how clusters of classes are joined"
    )

    @field_validator("tree")
    @classmethod
    def _is_a_tree(cls, tree: dict[str, Any] | None) -> dict[str, Any] | None:
        if tree is not None:
            paths_of(tree)
        return tree


class Hierarchy(Evaluation):
    """Dendrogram of the class centroids against a tree of the classes: purity and cophenetic correlation."""

    name: ClassVar[str] = "hierarchy"
    title: ClassVar[str] = "hierarchy of the classes"
    needs: ClassVar[frozenset[str]] = frozenset({"labels"})
    reference: ClassVar[str] = "dendrogram purity: Heller and Ghahramani, ICML 2005; scipy.cluster.hierarchy"
    primary: ClassVar[str] = "dendrogram_purity"
    Config: ClassVar[type[EvaluationConfig]] = HierarchyConfig
    config: HierarchyConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        split = shown_split(embeddings, self.config.split, labelled=True)
        part = by_id(embeddings, split, labelled=True)
        names = ("dendrogram_purity", "purity_chance", "purity_p", "cophenetic_correlation", "dendrogram_fit")
        metrics = dict.fromkeys(names, NAN)
        tree = self.config.tree or known_tree(embeddings.classes)
        if tree is None:
            reason = "Undefined: no tree of these classes is known; give one with the option tree."
            return Scores(metrics, {}, {split: len(part)}, [reason], {"split": split})
        paths = {name.lower(): path for name, path in paths_of(tree).items()}
        present = np.unique(part.y)
        labels = np.array([c for c in present if embeddings.classes[c].lower() in paths], np.int64)
        classes = [embeddings.classes[c] for c in labels]
        caveats = _about(len(present) - len(labels), [p for p in paths if p not in {c.lower() for c in classes}])
        groups = [paths[c.lower()] for c in classes]
        reason_or_none = self._undefined(part, labels, groups)
        details: dict[str, Any] = {
            "split": split,
            "classes": classes[:_SHOWN_CLASSES],
            "groups": groups[:_SHOWN_CLASSES],
        }
        if reason_or_none is not None:
            return Scores(metrics, {}, {split: len(part)}, [reason_or_none, *caveats], details)
        joined, distances = self._dendrogram(_centroids(part, labels))
        metrics |= self._scores(joined, distances, groups, rng(seed, "placings"))
        details["linkage"] = joined.tolist()
        again = [
            _purity(self._dendrogram(means)[0], groups)
            for means in _resampled(part, labels, rng(seed, "interval", self.name))
        ]
        low, high = percentile(np.array(again))
        purity = metrics["dendrogram_purity"]
        interval = {"dendrogram_purity": (min(low, purity), max(high, purity))}
        if np.isnan(list(metrics.values())).any():
            caveats.append("A correlation is undefined: all classes are equally far from each other.")
        return Scores(metrics, interval, {split: len(part), "classes": len(labels)}, caveats, details)

    def _undefined(self, part: Part, labels: np.ndarray, groups: list[tuple[str, ...]]) -> str | None:
        """Why nothing can be said, or None."""
        top = [g[0] for g in groups]
        if len(set(top)) < 2 or len(set(top)) == len(top):
            return (
                f"Undefined: {len(labels)} classes of the tree are here, in {len(set(top))} groups; at least two "
                "groups are needed, one of them with two classes."
            )
        means = _centroids(part, labels)
        if (means == means[0]).all():
            return "Undefined: all class centroids are equal."
        if self.config.metric == "cosine" and not means.any(axis=1).all():
            return "Undefined: a class centroid is zero and has no direction."
        return None

    def _dendrogram(self, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Linkage of centroids (C, D) and their distances in scipy's order."""
        from scipy.cluster.hierarchy import linkage
        from scipy.spatial.distance import pdist

        distances = pdist(means, self.config.metric)
        return linkage(distances, self.config.linkage), distances

    def _scores(
        self, joined: np.ndarray, distances: np.ndarray, groups: list[tuple[str, ...]], draws: np.random.Generator
    ) -> dict[str, float]:
        from scipy.cluster.hierarchy import cophenet

        purity, heights = _purity(joined, groups), cophenet(joined)
        placed = np.array(
            [_purity(joined, [groups[i] for i in draws.permutation(len(groups))]) for _ in range(_PLACINGS)]
        )
        return {
            "dendrogram_purity": purity,
            "purity_chance": float(placed.mean()),
            "purity_p": float((1 + (placed >= purity - 1e-12).sum()) / (1 + _PLACINGS)),
            "cophenetic_correlation": correlation(heights, tree_distances(groups)),
            "dendrogram_fit": correlation(heights, distances),
        }


def _purity(joined: np.ndarray, groups: list[tuple[str, ...]]) -> float:
    """Dendrogram purity, the mean over the levels of the tree that have a pair of classes."""
    found = []
    for level in range(1, max(len(g) for g in groups) + 1):
        _, codes = np.unique(["\x1f".join(g[:level]) for g in groups], return_inverse=True)
        found.append(dendrogram_purity(joined, codes))
    return float(np.nanmean(found))


def _centroids(part: Part, labels: np.ndarray) -> np.ndarray:
    """Mean vectors float64 (C, D) of the classes."""
    return np.stack([part.x[part.y == c].mean(0, dtype=np.float64) for c in labels])


def _resampled(part: Part, labels: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """Centroids of items drawn with replacement within each class, float64 (R, C, D)."""
    found = np.empty((_REPEATS, len(labels), part.x.shape[1]))
    for i, c in enumerate(labels):
        x = part.x[part.y == c].astype(np.float64)
        found[:, i] = draws.multinomial(len(x), np.full(len(x), 1 / len(x)), size=_REPEATS) @ x / len(x)
    return found


def _about(strange: int, absent: list[str]) -> list[str]:
    caveats = []
    if strange:
        caveats.append(f"{strange} classes do not stand in the tree and are left out.")
    if absent:
        caveats.append(f"Classes of the tree without items here: {', '.join(absent[:10])}.")
    return caveats
