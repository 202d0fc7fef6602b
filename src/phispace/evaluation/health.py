"""Is the representation alive? What can be said without any label.

Collapse has two forms: all images get the same vector (complete), or the vectors vary in few directions only
(dimensional; Jing et al., ICLR 2022, arXiv 2110.09348). Both are named in words. Sources: RankMe, Garrido et al., ICML
2023; uniformity and alignment, Wang and Isola, ICML 2020; the deviation of unit vectors, Chen and He, CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.protocol import Part, by_id, shown_split
from phispace.metrics.spectrum import (
    per_dimension_std,
    rank_of_spectrum,
    singular_values,
    stable_rank_of_spectrum,
)
from phispace.metrics.uniformity import alignment, uniformity
from phispace.randomness import rng

_POINT = 0.05  # deviation of unit vectors, relative to evenly spread ones, below which they are one point
_FEW_DIRECTIONS = 0.05  # effective rank of the centred vectors, relative to what is possible
_DEAD = 1e-4  # deviation of a dimension, relative to the median dimension's, or to its own values
_SHOWN_SPECTRUM = 256


class HealthConfig(EvaluationConfig):
    """Options of the health check."""

    split: Literal["auto", "all", "train", "val", "test", "unlabelled"] = Field(
        "auto", description="part to look at; auto = test, else val, else train, else unlabelled"
    )
    max_items: int = Field(25_600, ge=2, description="at most so many items, drawn at random (RankMe's number)")


class Health(Evaluation):
    """Effective rank, deviations, uniformity, dead dimensions, and a verdict in words."""

    name: ClassVar[str] = "health"
    title: ClassVar[str] = "health without labels"
    reference: ClassVar[str] = "Garrido et al., ICML 2023 (arXiv 2210.02885), equation 1"
    primary: ClassVar[str] = "rankme"
    Config: ClassVar[type[EvaluationConfig]] = HealthConfig
    config: HealthConfig

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        """See the base; a store `others["view"]` of the same ids under another view adds `alignment`."""
        split = "all" if self.config.split == "all" else shown_split(embeddings, self.config.split)
        part = by_id(embeddings, *(() if split == "all" else (split,)))
        if len(part) < 2:
            raise InputError(
                f"The health check needs at least 2 items; the part {split!r} of this store has {len(part)}."
            )
        caveats = []
        if len(part) > self.config.max_items:
            drawn = np.sort(rng(seed, "health items").choice(len(part), self.config.max_items, replace=False))
            caveats.append(f"Of {len(drawn):,} items drawn from {len(part):,}.")
            part = Part(part.x[drawn], part.y[drawn], part.ids[drawn])
        x = part.x
        deviation, values = per_dimension_std(x), singular_values(x)
        centred = singular_values(x, centre=True)
        zero = float((~x.any(axis=1)).mean())
        metrics = {
            "rankme": rank_of_spectrum(values),
            "effective_rank": rank_of_spectrum(centred),
            "stable_rank": stable_rank_of_spectrum(centred),
            "uniformity": uniformity(x, rng(seed, "uniformity")),
            "std_mean": float(deviation.mean()),
            "std_min": float(deviation.min()),
            # 1 for directions that are spread evenly over the sphere, 0 for a single one.
            "spread": float(per_dimension_std(x, normalise=True).mean() * np.sqrt(x.shape[1])),
            "dead_share": float(_dead(x, deviation).mean()),
            "zero_share": zero,
        }
        if others and "view" in others:
            metrics["alignment"] = alignment(*_pairs(part, others["view"]))
        if not values.any():
            caveats.append("Ranks and uniformity are undefined: all vectors are zero.")
        elif not centred.any():
            caveats.append("The ranks of the centred vectors are undefined: all vectors are equal.")
        elif not np.isfinite(metrics["uniformity"]):
            caveats.append("Uniformity is undefined: fewer than two vectors have a direction.")
        if zero:
            caveats.append(f"{zero:.1%} of the vectors are zero; uniformity leaves them out.")
        if len(x) < x.shape[1]:
            caveats.append(f"{len(x):,} items cannot have a rank above {len(x):,}, in {x.shape[1]:,} dimensions.")
        state, words = verdict(metrics, min(x.shape))
        share = centred**2 / np.sum(centred**2) if centred.any() else centred
        details = {
            "verdict": state,
            "words": words,
            "split": split,
            "dimensions": x.shape[1],
            "spectrum": share[:_SHOWN_SPECTRUM].tolist(),
        }
        return Scores(metrics, {}, {split: len(part)}, caveats, details)


def verdict(metrics: Mapping[str, float], possible_rank: int) -> tuple[str, str]:
    """`collapsed`, `few directions` or `healthy`, and a sentence that says why.

    Args:
        metrics: with `spread` and `effective_rank`, as `Health` computes them.
        possible_rank: min(N, D).
    """
    spread, rank = metrics["spread"], metrics["effective_rank"]
    if not np.isfinite(rank):
        return "collapsed", "Collapsed: all images have the same vector."
    if spread < _POINT:
        return "collapsed", f"Collapsed: nearly all images have the same direction (spread {spread:.3f} of 1)."
    if possible_rank >= 8 and rank < max(2.0, _FEW_DIRECTIONS * possible_rank):
        return "few directions", (
            f"The vectors vary in about {rank:.1f} of {possible_rank} directions. After training with labels that is "
            "usual (one direction a class); otherwise it is a sign of dimensional collapse."
        )
    return "healthy", f"No sign of collapse: about {rank:.1f} of {possible_rank} directions are in use."


def _dead(x: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Dimensions bool (D,) that do not vary, or hardly when held against the others."""
    floor = _DEAD * float(np.median(deviation))
    rounding = 1e-6 * np.abs(x[0].astype(np.float64))
    return (deviation <= floor) | (deviation <= rounding)


def _pairs(part: Part, view: Embeddings) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the ids that both have."""
    other = by_id(view)
    _, mine, theirs = np.intersect1d(part.ids, other.ids, assume_unique=True, return_indices=True)
    return part.x[mine], other.x[theirs]
