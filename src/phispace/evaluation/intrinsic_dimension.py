"""How many dimensions the representation's items have, from the distances to their nearest neighbours.

No label is used. Definitions: `phispace.metrics.intrinsic_dimension`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.protocol import ShownSplit, at_most, by_id, shown_split
from phispace.metrics.intervals import bootstrap
from phispace.metrics.intrinsic_dimension import (
    LEAST_ITEMS,
    distinct,
    levina_bickel_of_distances,
    neighbour_distances,
    two_nn_of_ratios,
)
from phispace.randomness import rng

NAN = float("nan")
EQUALLY_FAR = "Undefined: the nearest neighbours of every item are equally far, which no dimension explains."
_REPEATS = 200


class IntrinsicDimensionConfig(EvaluationConfig):
    """Options of the intrinsic dimension."""

    split: ShownSplit = "auto"
    max_items: int = Field(
        5000, ge=20, description="at most so many items, drawn at random; estimates rise with their number"
    )
    discard: float = Field(0.1, ge=0, lt=1, description="share of the largest ratios that TwoNN leaves out")
    first: int = Field(10, ge=3, description="fewest neighbours of the likelihood")
    last: int = Field(20, ge=3, description="most neighbours of it; the mean over this range is reported")

    @model_validator(mode="after")
    def _ordered(self) -> IntrinsicDimensionConfig:
        if self.first > self.last:
            raise ValueError(f"first ({self.first}) must not be above last ({self.last})")
        return self


class IntrinsicDimension(Evaluation):
    """Intrinsic dimension by two neighbours (TwoNN) and by the likelihood of k neighbours (Levina and Bickel)."""

    name: ClassVar[str] = "intrinsic-dimension"
    title: ClassVar[str] = "intrinsic dimension"
    reference: ClassVar[str] = (
        "Facco et al., Scientific Reports 2017; Levina and Bickel, NIPS 2004, averaged after MacKay and Ghahramani"
    )
    primary: ClassVar[str] = "two_nn"
    Config: ClassVar[type[EvaluationConfig]] = IntrinsicDimensionConfig
    config: IntrinsicDimensionConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        config = self.config
        split = shown_split(embeddings, config.split)
        x, caveats = distinct_vectors(embeddings, split, config.max_items, rng(seed, "intrinsic dimension items"))
        metrics = {"two_nn": NAN, "mle": NAN, "ambient": float(x.shape[1])}
        interval: dict[str, tuple[float, float]] = {}
        details: dict[str, Any] = {"split": split, "neighbours": None}
        last = min(config.last, len(x) - 1)
        if len(x) < LEAST_ITEMS or last < config.first:
            least = max(LEAST_ITEMS, config.first + 1)
            caveats.append(f"Undefined: {len(x):,} distinct vectors; at least {least} are needed.")
            return Scores(metrics, {}, {split: len(x)}, caveats, details)
        if last < config.last:
            caveats.append(f"Only {last} neighbours are asked of {len(x)} distinct vectors, not {config.last}.")
        distance = neighbour_distances(x, last)
        ratios = distance[:, 1] / distance[:, 0]
        metrics["two_nn"] = two_nn_of_ratios(ratios, config.discard)
        metrics["mle"] = levina_bickel_of_distances(distance, config.first, last)
        details["neighbours"] = [config.first, last]
        if not np.isfinite(list(metrics.values())).all():
            caveats.append(EQUALLY_FAR)
        if np.isfinite(metrics["two_nn"]):
            low, high = bootstrap(
                lambda drawn: two_nn_of_ratios(ratios[drawn], config.discard),
                len(ratios),
                rng(seed, "interval", self.name),
                _REPEATS,
            )
            interval["two_nn"] = (min(low, metrics["two_nn"]), max(high, metrics["two_nn"]))
        return Scores(metrics, interval, {split: len(x)}, caveats, details)


def distinct_vectors(
    embeddings: Embeddings, split: str, most: int, draws: np.random.Generator
) -> tuple[np.ndarray, list[str]]:
    """The vectors of at most so many items of a split without repetitions, as `distinct` gives them, and caveats."""
    part, caveats = at_most(by_id(embeddings, split), most, draws)
    x = distinct(part.x)
    if len(x) < len(part):
        caveats.append(f"{len(part) - len(x):,} vectors are equal to an earlier one and are left out.")
    return x, caveats
