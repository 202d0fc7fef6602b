"""The FactorVAE score: under a fixed factor, does always the same dimension vary least?

A vote fixes one value of one factor, takes 64 items that have it, and names the dimension whose variance among them,
relative to that over all items, is least; a majority vote of 10,000 such votes must tell the factor of 5,000 others.
Source: Kim and Mnih, ICML 2018 (arXiv 1802.05983), section 4.

Departure: the published score draws images of a fixed factor from a generator; here the stored items that have
the value are drawn from. A value with fewer than 64 items is not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.factors import FactorsConfig, known_factors
from phispace.metrics.factor_votes import LEAST_DEVIATION, factor_votes
from phispace.randomness import rng

_ALL = 1_000_000


class FactorVAEConfig(FactorsConfig):
    """Options of the FactorVAE score; the defaults are the published ones."""

    batch: int = Field(64, ge=2, description="items of a vote, all with one value of one factor")
    votes: int = Field(10_000, ge=1, description="votes that the majority is taken of")
    test_votes: int = Field(5_000, ge=1, description="votes that are scored")
    least_deviation: float = Field(LEAST_DEVIATION, ge=0, description="dimensions that deviate less are left out")


class FactorVAEScore(Evaluation):
    """Accuracy of telling the fixed factor by the dimension that varies least."""

    name: ClassVar[str] = "factorvae"
    title: ClassVar[str] = "FactorVAE score"
    needs: ClassVar[frozenset[str]] = frozenset({"factors"})
    reference: ClassVar[str] = "Kim and Mnih, ICML 2018 (arXiv 1802.05983); details as disentanglement_lib"
    primary: ClassVar[str] = "accuracy"
    Config: ClassVar[type[EvaluationConfig]] = FactorVAEConfig
    config: FactorVAEConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        config = self.config
        (known,) = known_factors(embeddings, {(): _ALL}, seed, config.max_dims)
        n = {"items": len(known.factors), "votes": config.votes, "test_votes": config.test_votes}
        undefined = {"accuracy": float("nan"), "accuracy_train": float("nan")}
        if known.undefined:
            return Scores(undefined, n=n, caveats=[known.undefined, *known.caveats])
        found = factor_votes(
            known.codes, known.factors, rng(seed, "factor votes"),
            batch=config.batch, n_train=config.votes, n_test=config.test_votes, least_deviation=config.least_deviation,
        )  # fmt: skip
        caveats = [*known.caveats, "Images of a fixed factor are drawn from the stored items, not from a generator."]
        active = int(found.active.sum())
        if not active:
            caveats.append(f"Undefined: no dimension deviates by {config.least_deviation:g} or more.")
        elif not found.drawn.any():
            caveats.append(f"Undefined: no value of a factor has {config.batch} items.")
        rare = [name for name, there in zip(known.names, found.drawn, strict=True) if not there]
        if rare and found.drawn.any():
            caveats.append(f"Factors whose values have fewer than {config.batch} items each: {', '.join(rare)}.")
        metrics = {"accuracy": found.test, "accuracy_train": found.train, "active_dimensions": float(active)}
        details = {"factors": list(known.names), "votes": found.votes.tolist()}
        return Scores(metrics, {}, n, caveats, details)
