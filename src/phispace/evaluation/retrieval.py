"""Retrieval: an item as a query, the gallery in the order of similarity; are items of its class in front?

The queries are the test part and the gallery is train, as in the literature of image hashing on CIFAR-10 and of
landmarks (a database that the queries are not in); `gallery = "test"` is the protocol of metric learning, test against
test, each item left out of its own ranking. Nothing is trained and nothing chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.items import Items
from phispace.evaluation.protocol import Parts, labelled_parts
from phispace.evaluation.scored import undefined
from phispace.metrics.intervals import bootstrap_mean
from phispace.metrics.knn import Metric
from phispace.metrics.retrieval import Ranked, chance_average_precision, retrieve
from phispace.randomness import rng

NAN = float("nan")


class RetrievalConfig(EvaluationConfig):
    """Options of the retrieval evaluation."""

    ks: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 5, 10, 100), min_length=1, description="cuts of precision and recall"
    )
    metric: Metric = Field("cosine", description="cosine or euclidean")
    gallery: Literal["train", "test"] = Field(
        "train", description="where to look: train; or test, each item left out of its own ranking"
    )


class Retrieval(Evaluation):
    """Mean average precision, precision and recall at k, of test items that look for their class in train."""

    name: ClassVar[str] = "retrieval"
    title: ClassVar[str] = "retrieval"
    needs: ClassVar[frozenset[str]] = frozenset({"train", "test", "labels"})
    reference: ClassVar[str] = (
        "Manning, Raghavan and Schuetze, Introduction to Information Retrieval, 2008, section 8.4"
    )
    primary: ClassVar[str] = "map"
    Config: ClassVar[type[EvaluationConfig]] = RetrievalConfig
    config: RetrievalConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        parts = labelled_parts(embeddings)
        reason = parts.undefined
        if self.config.gallery == "test":
            reason = undefined(parts.test)
            parts = replace(parts, train=parts.test)
        n = {"gallery": len(parts.train), "test": len(parts.test)}
        if reason:
            return Scores(dict.fromkeys(self._names(), NAN), {}, n, [reason, *_kept(parts)])
        found = retrieve(
            parts.test.x, parts.test.y, parts.train.x, parts.train.y, self.config.ks, self.config.metric,
            exclude_self=self.config.gallery == "test",
        )  # fmt: skip
        return self._scores(parts, found, n, rng(seed, "interval", self.name))

    def _names(self) -> list[str]:
        ks = dict.fromkeys(self.config.ks)
        kinds = [("precision", k) for k in ks] + [("recall", k) for k in ks] + [("hit", k) for k in ks if k > 1]
        return ["map", "balanced_map", *(f"{kind}_{k}" for kind, k in kinds), "chance_map"]

    def _scores(self, parts: Parts, found: Ranked, n: dict[str, int], draws: np.random.Generator) -> Scores:
        y, size = parts.test.y, len(parts.train) - (self.config.gallery == "test")
        answered = found.relevant > 0
        caveats = []
        if not answered.all():
            caveats.append(
                f"{(~answered).sum():,} of {len(answered):,} queries have no item of their class in the gallery; they "
                "are left out."
            )
        if not answered.any():
            caveats.append("Undefined: no query has an item of its class in the gallery.")
        over = [k for k in self.config.ks if k > size]
        if over:
            caveats.append(f"Undefined at {', '.join(map(str, over))}: there are {size:,} items to retrieve.")
        values = {"map": found.average_precision} | {
            f"{kind}_{k}": row
            for kind, rows in (("precision", found.precision), ("recall", found.recall), ("hit", found.hit))
            for k, row in rows.items()
        }
        values = {name: values[name][answered] for name in self._names() if name in values}
        of_class = {name: values["map"][y[answered] == c] for c, name in enumerate(parts.classes)}
        per_class = {name: float(ap.mean()) if len(ap) else NAN for name, ap in of_class.items()}
        metrics = {name: float(v.mean()) if len(v) else NAN for name, v in values.items()}
        there = [v for v in per_class.values() if np.isfinite(v)]
        metrics["balanced_map"] = float(np.mean(there)) if there else NAN
        chance = chance_average_precision(found.relevant[answered], size)
        metrics["chance_map"] = float(chance.mean()) if len(chance) else NAN
        interval = {name: bootstrap_mean(v, draws) for name, v in values.items() if np.isfinite(metrics[name])}
        details: dict[str, Any] = {
            "classes": list(parts.classes),
            "chosen": {"metric": self.config.metric, "gallery": self.config.gallery},
            "per_class": per_class,
            "per_class_precision": self._by_class(found.precision, parts, answered),
            "per_class_recall": self._by_class(found.recall, parts, answered),
            "per_class_queries": {c: int((answered & (y == i)).sum()) for i, c in enumerate(parts.classes)},
        }
        columns = {"label": np.array(parts.classes)[y[answered]]}
        kept = {name: v for name, v in values.items() if np.isfinite(v).all()}
        items = Items(parts.test.ids[answered], kept, columns) if answered.any() else None
        n["queries"] = int(answered.sum())
        ordered = {name: metrics[name] for name in self._names()}
        return Scores(ordered, interval, n, [*caveats, *_kept(parts)], details, items)

    def _by_class(
        self, found: Mapping[int, np.ndarray], parts: Parts, answered: np.ndarray
    ) -> dict[str, dict[str, float]]:
        """Cut -> class -> mean over its queries; `nan` for a class without any."""
        members = {c: answered & (parts.test.y == i) for i, c in enumerate(parts.classes)}
        return {f"{k}": {c: _mean(found[k][mine]) for c, mine in members.items()} for k in self.config.ks}


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else NAN


def _kept(parts: Parts) -> list[str]:
    """What holds here too: a class that is missing counts otherwise, and the mean over classes has another name."""
    return [c for c in parts.caveats if "classes without training items" not in c and "balanced accuracy" not in c]
