"""Disentanglement, completeness, informativeness: which dimensions does a strong predictor of the factors look at?

Gradient boosted trees (scikit-learn's defaults) predict each factor from all dimensions. Their importances say whether
a dimension serves one factor only (disentanglement) and a factor is served by one dimension only (completeness);
their accuracy on test is the informativeness. Source: Eastwood and Williams, ICLR 2018.

The published sizes are 10,000 train and 5,000 test items; trees of many classes take minutes there, so the default is
smaller, and what was used is said in `n`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.factors import FactorsConfig, by_name, known_factors

_METRICS = ("disentanglement", "completeness", "informativeness", "informativeness_train")


class DCIConfig(FactorsConfig):
    """Options of the DCI scores."""

    train_items: int = Field(2_000, ge=2, description="at most so many train items, drawn at random; published: 10,000")
    test_items: int = Field(5_000, ge=1, description="at most so many test items, drawn at random")
    trees: int = Field(100, ge=1, description="boosting rounds of each factor's model")


class DCIScores(Evaluation):
    """Disentanglement, completeness and informativeness by gradient boosted trees."""

    name: ClassVar[str] = "dci"
    title: ClassVar[str] = "disentanglement, completeness, informativeness"
    needs: ClassVar[frozenset[str]] = frozenset({"train", "test", "factors"})
    reference: ClassVar[str] = "Eastwood and Williams, ICLR 2018; details as disentanglement_lib"
    primary: ClassVar[str] = "disentanglement"
    Config: ClassVar[type[EvaluationConfig]] = DCIConfig
    config: DCIConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        from phispace.metrics.disentanglement import dci

        config = self.config
        sizes: dict[tuple[str, ...], int] = {("train",): config.train_items, ("test",): config.test_items}
        train, test = known_factors(embeddings, sizes, seed, config.max_dims)
        n = {"train": len(train.factors), "test": len(test.factors)}
        if train.undefined:
            return Scores(dict.fromkeys(_METRICS, float("nan")), n=n, caveats=[train.undefined, *train.caveats])
        found = dci(train.codes, train.factors, test.codes, test.factors, trees=config.trees)
        metrics = {name: float(getattr(found, name)) for name in _METRICS}
        caveats = list(train.caveats)
        if not found.importance.any():
            caveats.append("Undefined: no dimension matters to the trees, so there are no importances to compare.")
        details = {"accuracy_by_factor": by_name(train.names, found.accuracy), "importance": found.importance.tolist()}
        return Scores(metrics, {}, n, caveats, details)
