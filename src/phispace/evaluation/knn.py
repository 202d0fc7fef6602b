"""k nearest neighbours: does the class of an item's surroundings tell its own?

Nothing is trained: the gallery is the train part. The default is the protocol's, cosine with k = 20 and one vote
each; the literature's settings (k = 200, weights exp(similarity / T), T = 0.07 and 0.1) stand beside it. Metric, k and
temperature can be chosen on val among lists. With the Euclidean metric the similarity is minus the distance.

The shares of the votes are held for probabilities in the calibration error (ece); there is no log loss, which a class
without a vote would make infinite.

AET's neighbours (`k=10`, `metric=euclidean`, `places=4`) are among maps of 8 x 8 places averaged two by two.

Source: Wu et al., CVPR 2018 (arXiv 1805.01978), section 3.4; weights 1 / distance: Dudani, IEEE SMC 1976.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from phispace.evaluation.base import EvaluationConfig
from phispace.evaluation.pooled import NO_MAP, is_map, pooled_parts
from phispace.evaluation.probe import Outcome, Probe
from phispace.evaluation.protocol import Parts
from phispace.metrics.directions import unit_vectors
from phispace.metrics.knn import Metric, inverse_distance, nearest, vote

_LITERATURE_K = 200
_LITERATURE_TEMPERATURES = (0.07, 0.1)
_ROWS = 4096
_FEW_DIMS = 3
_EQUAL = 2e-6  # largest difference of unit vectors in float32 that still means the same direction

Temperature = Annotated[float, Field(gt=0)]


class KNNConfig(EvaluationConfig):
    """Options of the kNN evaluation."""

    k: int = Field(20, ge=1, description="neighbours that vote")
    metric: Metric = Field("cosine", description="cosine or euclidean")
    temperature: Temperature | None = Field(None, description="weights exp(similarity / T); none = one vote each")
    by_distance: bool = Field(False, description="weights 1 / distance, the distance being 1 - cosine or the Euclidean")
    choose_k: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="choose k among these on val instead (a tie goes to the first)"
    )
    choose_temperature: tuple[Temperature | None, ...] = Field(
        (), description="choose T among these on val instead; none = one vote each"
    )
    choose_metric: tuple[Metric, ...] = Field((), description="choose the metric among these on val instead")
    places: int | None = Field(
        None, ge=1, description="first average a store's maps to at most this many places a side; none = as they are"
    )
    literature: bool = Field(True, description="also k = 200 with temperatures 0.07 and 0.1 (cosine only)")

    @model_validator(mode="after")
    def _one_weight(self) -> KNNConfig:
        if self.by_distance and (self.temperature is not None or self.choose_temperature):
            raise ValueError("by_distance and a temperature are two ways to weigh votes; give one of them")
        return self


class KNN(Probe):
    """k nearest neighbours in the train part."""

    name: ClassVar[str] = "knn"
    title: ClassVar[str] = "k nearest neighbours"
    reference: ClassVar[str] = "Wu et al., CVPR 2018 (arXiv 1805.01978), section 3.4"
    calibrated: ClassVar[bool] = True
    Config: ClassVar[type[EvaluationConfig]] = KNNConfig
    config: KNNConfig

    @property
    def suffixes(self) -> tuple[str, ...]:
        if not self.config.literature or "cosine" not in self.metrics:
            return ()
        return tuple(f"k{_LITERATURE_K}_t{t:g}" for t in _LITERATURE_TEMPERATURES)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics to choose from."""
        return tuple(dict.fromkeys(self.config.choose_metric)) or (self.config.metric,)

    def undefined(self, parts: Parts) -> str | None:
        if parts.undefined is None and self.config.places is not None and not is_map(parts.feature_shape):
            return NO_MAP
        if parts.undefined or "cosine" not in self.metrics:
            return parts.undefined
        if _one_direction(parts.train.x):
            return "Undefined: all training vectors point in one direction, so all cosines are equal."
        return None

    def classify(self, parts: Parts, seed: int) -> Outcome:
        config = self.config
        if config.places is not None:
            parts = pooled_parts(parts, config.places)
        train, test = parts.train, parts.test
        n = len(train)
        wanted = [config.k, *config.choose_k, *([_LITERATURE_K] if self.suffixes else [])]
        curve, caveats = [], []
        k, temperature, metric = min(config.k, n), config.temperature, config.metric
        if config.choose_k or config.choose_temperature or config.choose_metric:
            curve = self._curve(parts) if len(parts.val) else []
            if curve:
                best = max(curve, key=lambda row: row["val_accuracy"])
                k, temperature, metric = best["k"], best["temperature"], best["metric"]
            else:
                caveats.append(f"There is no val item to choose k on; k = {k} and the metric {metric} were used.")
        if max(wanted) > n:
            over = ", ".join(str(w) for w in dict.fromkeys(wanted) if w > n)
            caveats.append(f"k = {over} is more than the {n} training items; all of them vote instead.")
        together = bool(self.suffixes) and metric == "cosine"
        widest = min(max(k + 1, _LITERATURE_K if together else 0), n)
        similarity, position = nearest(test.x, train.x, widest, metric)
        labels = train.y[position]
        predicted, share = self._vote(parts, similarity[:, :k], labels[:, :k], metric, temperature)
        caveats += _about_ties(similarity, k)
        if metric == "cosine":
            zero = int((~test.x.any(axis=1)).sum()) + int((~train.x.any(axis=1)).sum())
            if zero:
                caveats.append(f"{zero:,} vectors are zero; their cosine with every other is taken as 0.")
            if test.x.shape[1] <= _FEW_DIMS:
                caveats.append(
                    f"Of {test.x.shape[1]} dimensions a cosine sees the direction alone, not how far out one is; "
                    "metric=euclidean sees both."
                )
        if self.suffixes and not together:
            similarity, position = nearest(test.x, train.x, min(_LITERATURE_K, n), "cosine")
            labels = train.y[position]
        beside = {
            suffix: vote(similarity[:, :_LITERATURE_K], labels[:, :_LITERATURE_K], len(parts.classes), t)[0]
            for suffix, t in zip(self.suffixes, _LITERATURE_TEMPERATURES, strict=False)
        }
        chosen: dict[str, Any] = {"k": k, "metric": metric, "temperature": temperature}
        return Outcome(predicted, share, beside, chosen, {"curve": curve} if curve else {}, caveats)

    def _vote(
        self, parts: Parts, similarity: np.ndarray, labels: np.ndarray, metric: Metric, temperature: float | None
    ) -> tuple[np.ndarray, np.ndarray]:
        weight = inverse_distance(similarity, metric) if self.config.by_distance else None
        return vote(similarity, labels, len(parts.classes), temperature, weight=weight)

    def _curve(self, parts: Parts) -> list[dict[str, Any]]:
        """Accuracy on val for each metric, k and temperature to choose from."""
        config = self.config
        several_k = list(dict.fromkeys(min(k, len(parts.train)) for k in config.choose_k or (config.k,)))
        temperatures: Sequence[float | None] = config.choose_temperature or (config.temperature,)
        rows = []
        for metric in self.metrics:
            similarity, position = nearest(parts.val.x, parts.train.x, max(several_k), metric)
            labels = parts.train.y[position]
            for k in several_k:
                for temperature in dict.fromkeys(temperatures):
                    predicted, _ = self._vote(parts, similarity[:, :k], labels[:, :k], metric, temperature)
                    accuracy = float((predicted == parts.val.y).mean())
                    rows.append({"metric": metric, "k": k, "temperature": temperature, "val_accuracy": accuracy})
        return rows


def _one_direction(x: np.ndarray) -> bool:
    first = unit_vectors(x[:1])
    # Block by block: in most stores the first one answers.
    blocks = (x[start : start + _ROWS] for start in range(0, len(x), _ROWS))
    return all(np.abs(unit_vectors(block) - first).max() <= _EQUAL for block in blocks)


def _about_ties(similarity: np.ndarray, k: int) -> list[str]:
    if similarity.shape[1] <= k:
        return []
    tied = float((similarity[:, k - 1] == similarity[:, k]).mean())
    if tied < 0.01:
        return []
    return [f"For {tied:.0%} of the test items the {k}-th neighbour is tied with the next; the smaller id votes."]
