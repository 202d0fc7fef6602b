"""The meta-prior of sparsity: few dimensions speak for an item, and a dimension speaks for few items.

Measured on magnitudes, so a negative value is as active as a positive one; `negative_share` says how much of the code
is negative. Dimensions that are zero for every item are left out first: they would make any code look sparse.
Definitions and what they depend on: `phispace.metrics.sparsity`. Source of the prior: Bengio, Courville and Vincent,
IEEE TPAMI 2013 (arXiv 1206.5538), section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.protocol import ShownSplit, at_most, by_id, shown_split
from phispace.metrics.intervals import bootstrap_mean
from phispace.metrics.sparsity import hoyer, lifetime_sparseness, population_sparseness
from phispace.randomness import rng

NAN = float("nan")


class SparsityConfig(EvaluationConfig):
    """Options of the sparsity evaluation."""

    split: ShownSplit = "auto"
    max_items: int = Field(10_000, ge=2, description="at most so many items, drawn at random")


class Sparsity(Evaluation):
    """Hoyer's sparsity, population and lifetime sparseness of the magnitudes."""

    name: ClassVar[str] = "sparsity"
    title: ClassVar[str] = "sparsity"
    reference: ClassVar[str] = "Hoyer, JMLR 2004; Vinje and Gallant, Science 2000"
    primary: ClassVar[str] = "hoyer"
    Config: ClassVar[type[EvaluationConfig]] = SparsityConfig
    config: SparsityConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        self.check_needs(embeddings)
        split = shown_split(embeddings, self.config.split)
        part, caveats = at_most(by_id(embeddings, split), self.config.max_items, rng(seed, "sparsity items"))
        x = part.x
        used = x.any(axis=0)
        silent = int((~used).sum())
        x = x[:, used] if used.any() else x
        rows = hoyer(x)
        known = np.isfinite(rows)
        metrics = {
            "hoyer": _mean(rows),
            "population": _mean(population_sparseness(x)),
            "lifetime": _mean(lifetime_sparseness(x)),
            "zero_share": float((x == 0).mean()),
            "negative_share": float((x < 0).mean()),
            "silent_share": silent / embeddings.dim,
        }
        if silent:
            caveats.append(f"{silent:,} of {embeddings.dim:,} dimensions are zero for every item and are left out.")
        if not known.all() and x.any() and x.shape[1] > 1:
            caveats.append(f"{(~known).sum():,} zero vectors are left out.")
        if np.isnan(list(metrics.values())).any():
            caveats.append(_reason(x))
        interval = {}
        if known.sum() > 1:
            interval["hoyer"] = bootstrap_mean(rows[known], rng(seed, "interval", self.name), 200)
        details = {"split": split, "dimensions": embeddings.dim, "used_dimensions": int(used.sum())}
        return Scores(metrics, interval, {split: len(part)}, caveats, details)


def _mean(values: np.ndarray) -> float:
    """Mean of the values that are defined; `nan` if none is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else NAN


def _reason(x: np.ndarray) -> str:
    if not x.any():
        return "Undefined: all vectors are zero."
    if x.shape[1] < 2:
        return "Hoyer's sparsity and population sparseness are undefined for a single dimension."
    return "Lifetime sparseness is undefined for a single item."
