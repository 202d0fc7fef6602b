"""k nearest neighbours: does the class of an item's surroundings tell its own?

Nothing is trained: the gallery is the train part. The default is the protocol's, cosine with k = 20 and one vote
each; the literature's settings (k = 200, weights exp(similarity / T), T = 0.07 and 0.1) stand beside it.
Source: Wu et al., CVPR 2018 (arXiv 1805.01978), section 3.4.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from phispace.evaluation.base import EvaluationConfig
from phispace.evaluation.probe import Outcome, Probe
from phispace.evaluation.protocol import Parts
from phispace.metrics.knn import Metric, nearest, vote

_LITERATURE_K = 200
_LITERATURE_TEMPERATURES = (0.07, 0.1)
_ROWS = 4096
_EQUAL = 2e-6  # largest difference of unit vectors in float32 that still means the same direction


class KNNConfig(EvaluationConfig):
    """Options of the kNN evaluation."""

    k: int = Field(20, ge=1, description="neighbours that vote")
    metric: Metric = Field("cosine", description="cosine or euclidean")
    temperature: float | None = Field(None, gt=0, description="weights exp(similarity / T); none = one vote each")
    choose_k: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="choose k among these on val instead (a tie goes to the first)"
    )
    literature: bool = Field(True, description="also k = 200 with temperatures 0.07 and 0.1 (cosine only)")


class KNN(Probe):
    """k nearest neighbours in the train part."""

    name: ClassVar[str] = "knn"
    title: ClassVar[str] = "k nearest neighbours"
    reference: ClassVar[str] = "Wu et al., CVPR 2018 (arXiv 1805.01978), section 3.4"
    Config: ClassVar[type[EvaluationConfig]] = KNNConfig
    config: KNNConfig

    @property
    def suffixes(self) -> tuple[str, ...]:
        if not self.config.literature or self.config.metric != "cosine":
            return ()
        return tuple(f"k{_LITERATURE_K}_t{t:g}" for t in _LITERATURE_TEMPERATURES)

    def undefined(self, parts: Parts) -> str | None:
        if parts.undefined or self.config.metric != "cosine":
            return parts.undefined
        if _one_direction(parts.train.x):
            return "Undefined: all training vectors point in one direction, so all cosines are equal."
        return None

    def classify(self, parts: Parts, seed: int) -> Outcome:
        config, train, test = self.config, parts.train, parts.test
        n, n_classes = len(train), len(parts.classes)
        wanted = [config.k, *config.choose_k, *([_LITERATURE_K] if self.suffixes else [])]
        k, curve, caveats = min(config.k, n), [], []
        if config.choose_k and len(parts.val):
            curve = self._curve(parts)
            k = max(curve, key=lambda row: row["val_accuracy"])["k"]
        elif config.choose_k:
            caveats.append(f"There is no val item to choose k on; k = {k} was used.")
        if max(wanted) > n:
            over = ", ".join(str(w) for w in dict.fromkeys(wanted) if w > n)
            caveats.append(f"k = {over} is more than the {n} training items; all of them vote instead.")
        widest = min(max(k + 1, _LITERATURE_K if self.suffixes else 0), n)
        similarity, position = nearest(test.x, train.x, widest, config.metric)
        labels = train.y[position]
        predicted, _ = vote(similarity[:, :k], labels[:, :k], n_classes, config.temperature)
        variants = {
            suffix: vote(similarity[:, :_LITERATURE_K], labels[:, :_LITERATURE_K], n_classes, t)[0]
            for suffix, t in zip(self.suffixes, _LITERATURE_TEMPERATURES, strict=False)
        }
        caveats += _about_ties(similarity, k)
        if config.metric == "cosine":
            zero = int((~test.x.any(axis=1)).sum()) + int((~train.x.any(axis=1)).sum())
            if zero:
                caveats.append(f"{zero:,} vectors are zero; their cosine with every other is taken as 0.")
        chosen: dict[str, Any] = {"k": k, "metric": config.metric, "temperature": config.temperature}
        return Outcome(predicted, None, variants, chosen, {"curve": curve} if curve else {}, caveats)

    def _curve(self, parts: Parts) -> list[dict[str, Any]]:
        """Accuracy on val for each k to choose from."""
        candidates = list(dict.fromkeys(min(k, len(parts.train)) for k in self.config.choose_k))
        similarity, position = nearest(parts.val.x, parts.train.x, max(candidates), self.config.metric)
        labels = parts.train.y[position]
        rows = []
        for k in candidates:
            predicted, _ = vote(similarity[:, :k], labels[:, :k], len(parts.classes), self.config.temperature)
            rows.append({"k": k, "val_accuracy": float((predicted == parts.val.y).mean())})
        return rows


def _one_direction(x: np.ndarray) -> bool:
    first = _unit(x[:1])
    # Block by block: in most stores the first one answers.
    blocks = (x[start : start + _ROWS] for start in range(0, len(x), _ROWS))
    return all(np.abs(_unit(block) - first).max() <= _EQUAL for block in blocks)


def _unit(x: np.ndarray) -> np.ndarray:
    largest = np.abs(x).max(axis=1, keepdims=True)
    x = x / np.where(largest > 0, largest, 1)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)


def _about_ties(similarity: np.ndarray, k: int) -> list[str]:
    if similarity.shape[1] <= k:
        return []
    tied = float((similarity[:, k - 1] == similarity[:, k]).mean())
    if tied < 0.01:
        return []
    return [f"For {tied:.0%} of the test items the {k}-th neighbour is tied with the next; the smaller id votes."]
