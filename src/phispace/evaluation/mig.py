"""The mutual information gap: is each factor in one dimension, and in no second one?

For each factor the mutual information (20 equal-width bins) of the best dimension minus that of the second, over the
factor's entropy; the mean over the factors. Nothing is fitted: all items of the store count, as all images of the
generator do in the published score. Source: Chen et al., NeurIPS 2018 (arXiv 1802.04942), section 4.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.factors import FactorsConfig, by_name, known_factors
from phispace.metrics.mutual_information import BINS


class MIGConfig(FactorsConfig):
    """Options of the mutual information gap; the defaults are the published ones."""

    items: int = Field(10_000, ge=2, description="at most so many items, drawn at random")
    bins: int = Field(BINS, ge=2, description="equal-width bins of each dimension")


class MIG(Evaluation):
    """Mutual information gap between the two best dimensions of each factor."""

    name: ClassVar[str] = "mig"
    title: ClassVar[str] = "mutual information gap"
    needs: ClassVar[frozenset[str]] = frozenset({"factors"})
    reference: ClassVar[str] = "Chen et al., NeurIPS 2018 (arXiv 1802.04942); details as disentanglement_lib"
    primary: ClassVar[str] = "mig"
    Config: ClassVar[type[EvaluationConfig]] = MIGConfig
    config: MIGConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        from phispace.metrics.disentanglement import mig

        (known,) = known_factors(embeddings, {(): self.config.items}, seed, self.config.max_dims)
        n = {"items": len(known.factors)}
        if known.undefined:
            return Scores({"mig": float("nan")}, n=n, caveats=[known.undefined, *known.caveats])
        gaps = mig(known.codes, known.factors, self.config.bins)
        details = {"by_factor": by_name(known.names, gaps.by_factor), "mutual_information": gaps.table.tolist()}
        caveats = list(known.caveats)
        if known.codes.shape[1] == 1:
            caveats.append("The code has one dimension: the second best is taken as 0.")
        return Scores({"mig": gaps.score}, {}, n, caveats, details)
