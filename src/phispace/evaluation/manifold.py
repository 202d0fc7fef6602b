"""The meta-prior of manifolds: the items fill far fewer dimensions than their vectors have.

The intrinsic dimension (TwoNN) is held against that of noise, because on a few thousand items every estimator falls far
short of the true dimension of noise, so that a plain ratio to the number of dimensions would be near 0 for anything:

    concentration = 1 - d(items) / d(noise)

    noise             as many Gaussian vectors, all D dimensions alike: what fills the space
    Gaussian          as many Gaussian vectors with the covariance of the items: what second moments alone explain

0 for vectors that fill the space, 1 - d/D or so for a d-dimensional sheet, flat or rolled up; `curvature`, 1 - d(items)
/ d(Gaussian), is the part that no linear subspace explains: 0 for a flat sheet, positive for one that is rolled up and
for clusters. Source of the prior: Bengio, Courville and Vincent, IEEE TPAMI 2013 (arXiv 1206.5538), section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.intrinsic_dimension import EQUALLY_FAR, distinct_vectors
from phispace.evaluation.protocol import ShownSplit, shown_split
from phispace.metrics.intrinsic_dimension import LEAST_ITEMS, two_nn
from phispace.metrics.spectrum import participation_ratio
from phispace.randomness import rng

NAN = float("nan")


class ManifoldConfig(EvaluationConfig):
    """Options of the manifold evaluation."""

    split: ShownSplit = "auto"
    max_items: int = Field(2000, ge=20, description="at most so many items, drawn at random, and as many of noise")


class Manifold(Evaluation):
    """Intrinsic dimension against that of noise in as many dimensions, and of a Gaussian of the same covariance."""

    name: ClassVar[str] = "manifold"
    title: ClassVar[str] = "concentration near a manifold"
    reference: ClassVar[str] = (
        "the prior: Bengio, Courville and Vincent, TPAMI 2013, section 3.1; TwoNN: Facco et al. 2017"
    )
    primary: ClassVar[str] = "concentration"
    Config: ClassVar[type[EvaluationConfig]] = ManifoldConfig
    config: ManifoldConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        split = shown_split(embeddings, self.config.split)
        x, caveats = distinct_vectors(embeddings, split, self.config.max_items, rng(seed, "manifold items"))
        n, dim = x.shape
        names = (
            "concentration",
            "curvature",
            "intrinsic",
            "gaussian_intrinsic",
            "noise_intrinsic",
            "participation_ratio",
        )
        metrics = {**dict.fromkeys(names, NAN), "ambient": float(dim)}
        if n < LEAST_ITEMS:
            caveats.append(f"Undefined: {n:,} distinct vectors; at least {LEAST_ITEMS} are needed.")
            return Scores(metrics, {}, {split: n}, caveats, {"split": split})
        noise = rng(seed, "manifold noise").normal(size=(n, dim)).astype(np.float32)
        metrics |= {
            "intrinsic": two_nn(x),
            "gaussian_intrinsic": two_nn(_gaussian_like(x, rng(seed, "manifold gaussian"))),
            "noise_intrinsic": two_nn(noise),
            "participation_ratio": participation_ratio(x),
        }
        metrics["concentration"] = 1 - metrics["intrinsic"] / metrics["noise_intrinsic"]
        metrics["curvature"] = 1 - metrics["intrinsic"] / metrics["gaussian_intrinsic"]
        if np.isnan(list(metrics.values())).any():
            caveats.append(EQUALLY_FAR)
        return Scores(metrics, {}, {split: n}, caveats, {"split": split})


def _gaussian_like(x: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """As many Gaussian vectors with the mean-free covariance of x (N, D), float32: random mixtures of its rows."""
    z = x - x.mean(0, dtype=np.float64).astype(np.float32)
    return (draws.normal(size=(len(z), len(z))).astype(np.float32) / np.float32(np.sqrt(len(z)))) @ z
