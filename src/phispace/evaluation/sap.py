"""Separated attribute predictability: can one dimension alone tell a factor, and no second one?

For each factor and dimension the test accuracy of a linear support vector machine (C = 0.01, balanced classes) on that
dimension alone; the gap between the best two, averaged over the factors. A linear machine cannot tell the middle values
of a factor from a single dimension, so a perfect code of factors of many values does not reach 1; with `continuous` the
squared correlation takes its place and does. Source: Kumar, Sattigeri and Balakrishnan, ICLR 2018 (arXiv 1711.00848).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.factors import FactorsConfig, by_name, known_factors


class SAPConfig(FactorsConfig):
    """Options of the SAP score; the defaults are the published ones."""

    train_items: int = Field(10_000, ge=2, description="at most so many train items, drawn at random")
    test_items: int = Field(5_000, ge=1, description="at most so many test items, drawn at random")
    continuous: bool = Field(False, description="squared correlations instead of accuracies")


class SAP(Evaluation):
    """Gap between the two dimensions that alone predict a factor best."""

    name: ClassVar[str] = "sap"
    title: ClassVar[str] = "separated attribute predictability"
    needs: ClassVar[frozenset[str]] = frozenset({"train", "test", "factors"})
    reference: ClassVar[str] = "Kumar et al., ICLR 2018 (arXiv 1711.00848); details as disentanglement_lib"
    primary: ClassVar[str] = "sap"
    Config: ClassVar[type[EvaluationConfig]] = SAPConfig
    config: SAPConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        from phispace.metrics.disentanglement import sap

        config = self.config
        sizes: dict[tuple[str, ...], int] = {("train",): config.train_items, ("test",): config.test_items}
        train, test = known_factors(embeddings, sizes, seed, config.max_dims)
        n = {"train": len(train.factors), "test": len(test.factors)}
        if train.undefined:
            return Scores({"sap": float("nan")}, n=n, caveats=[train.undefined, *train.caveats])
        gaps = sap(train.codes, train.factors, test.codes, test.factors, continuous=config.continuous)
        details = {"by_factor": by_name(train.names, gaps.by_factor), "scores": gaps.table.tolist()}
        return Scores({"sap": gaps.score}, {}, n, list(train.caveats), details)
