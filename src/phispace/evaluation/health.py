"""Is the representation alive? What can be said without any label.

Collapse has two forms: all images get the same vector (complete), or the vectors vary in few directions only
(dimensional; Jing et al., ICLR 2022, arXiv 2110.09348). Both are named in words. Sources: RankMe, Garrido et al., ICML
2023; uniformity and alignment, Wang and Isola, ICML 2020; the deviation of unit vectors, Chen and He, CVPR 2021; decay
of the spectrum, Agrawal et al., NeurIPS 2022. The words are those of `phispace.metrics.collapse`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.protocol import Part, at_most, by_id, paired, shown_split
from phispace.metrics.collapse import judge
from phispace.metrics.powerlaw import FIRST, LAST, PowerLaw, fit_power_law
from phispace.metrics.spectrum import (
    participation_ratio_of_spectrum,
    per_dimension_std,
    rank_of_spectrum,
    singular_values,
    stable_rank_of_spectrum,
)
from phispace.metrics.uniformity import alignment, class_alignment, uniformity
from phispace.randomness import rng

_DEAD = 1e-4  # deviation of a dimension, relative to the median dimension's, or to its own values
_NO_POWER_LAW = 0.9  # share of the variance of log lambda explained, below which the exponent is not one
_SHOWN_SPECTRUM = 256


class HealthConfig(EvaluationConfig):
    """Options of the health check."""

    split: Literal["auto", "all", "train", "val", "test", "unlabelled"] = Field(
        "auto", description="part to look at; auto = test, else val, else train, else unlabelled"
    )
    max_items: int = Field(25_600, ge=2, description="at most so many items, drawn at random (RankMe's number)")
    fit_first: int = Field(FIRST, ge=1, description="first rank of the power law that is fitted to the spectrum")
    fit_last: int = Field(LAST, ge=2, description="last rank of it; fewer where the spectrum ends before")
    view: str = Field("", description="also the alignment of two draws of this view, for example crop-flip")


class Health(Evaluation):
    """Effective ranks, decay of the spectrum, uniformity, alignment, dead dimensions, and a verdict in words."""

    name: ClassVar[str] = "health"
    title: ClassVar[str] = "health without labels"
    reference: ClassVar[str] = "Garrido et al., ICML 2023 (arXiv 2210.02885), equation 1"
    primary: ClassVar[str] = "rankme"
    Config: ClassVar[type[EvaluationConfig]] = HealthConfig
    config: HealthConfig

    def variants(self) -> Mapping[str, str]:
        return {f"view/{self.config.view}/{k}": "test" for k in (0, 1)} if self.config.view else {}

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        """See the base. With the option `view`, `alignment` is that of the two stores of `variants`; a store
        `others["view"]` of the same ids under another view serves as well, paired with the items as they are."""
        split = "all" if self.config.split == "all" else shown_split(embeddings, self.config.split)
        part = by_id(embeddings, *(() if split == "all" else (split,)))
        if len(part) < 2:
            raise InputError(
                f"The health check needs at least 2 items; the part {split!r} of this store has {len(part)}."
            )
        part, caveats = at_most(part, self.config.max_items, rng(seed, "health items"))
        x = part.x
        deviation, values = per_dimension_std(x), singular_values(x)
        centred = singular_values(x, centre=True)
        share = centred**2 / np.sum(centred**2) if centred.any() else centred
        law = fit_power_law(share, self.config.fit_first, self.config.fit_last)
        metrics = {
            "rankme": rank_of_spectrum(values),
            "effective_rank": rank_of_spectrum(centred),
            "stable_rank": stable_rank_of_spectrum(centred),
            "participation_ratio": participation_ratio_of_spectrum(centred),
            "alpha_req": law.alpha,
            "uniformity": uniformity(x, rng(seed, "uniformity")),
            "class_alignment": class_alignment(x, part.y),
            "std_mean": float(deviation.mean()),
            "std_min": float(deviation.min()),
            # 1 for directions that are spread evenly over the sphere, 0 for a single one.
            "spread": float(per_dimension_std(x, normalise=True).mean() * np.sqrt(x.shape[1])),
            "dead_share": float(_dead(x, deviation).mean()),
            "zero_share": float((~x.any(axis=1)).mean()),
        }
        metrics |= self._alignment(part, others or {})
        possible = min(len(x) - 1, x.shape[1])
        verdict = judge(metrics["spread"], metrics["effective_rank"], possible)
        caveats += _caveats(metrics, x, bool(values.any()), law)
        details = {
            "verdict": verdict.state,
            "words": verdict.words,
            "split": split,
            "dimensions": x.shape[1],
            "possible_rank": possible,
            "spectrum": share[:_SHOWN_SPECTRUM].tolist(),
            "power_law": {"first": law.first, "last": law.last, "alpha": law.alpha, "scale": law.scale, "r2": law.r2},
        }
        return Scores(metrics, {}, {split: len(part)}, caveats, details)

    def _alignment(self, part: Part, others: Mapping[str, Embeddings]) -> dict[str, float]:
        """`alignment` over views, if it was asked for or a view is there."""
        drawn = [others[name] for name in self.variants() if name in others]
        if len(drawn) == 2:
            first, second = (paired(part, view) for view in drawn)
            _, mine, theirs = np.intersect1d(first[0], second[0], assume_unique=True, return_indices=True)
            return {"alignment": alignment(first[1][mine], second[1][theirs])}
        if "view" in others:
            mine, x = paired(part, others["view"])
            return {"alignment": alignment(part.x[mine], x)}
        return {"alignment": float("nan")} if self.config.view else {}


def _caveats(metrics: Mapping[str, float], x: np.ndarray, any_value: bool, law: PowerLaw) -> list[str]:
    """Why numbers are undefined, and what else a reader must know."""
    caveats = []
    if not any_value:
        caveats.append("Ranks and uniformity are undefined: all vectors are zero.")
    elif not np.isfinite(metrics["effective_rank"]):
        caveats.append("The ranks of the centred vectors are undefined: all vectors are equal.")
    elif not np.isfinite(metrics["uniformity"]):
        caveats.append("Uniformity is undefined: fewer than two vectors have a direction.")
    if np.isfinite(metrics["effective_rank"]) and not np.isfinite(law.alpha):
        caveats.append(
            f"alpha_req is undefined: the spectrum has {law.last} ranks, too few from rank {law.first} for a power law."
        )
    if law.r2 < _NO_POWER_LAW:
        caveats.append(
            f"From rank {law.first} to {law.last} the spectrum is no power law (R2 {law.r2:.2f}); alpha_req misleads."
        )
    if not np.isfinite(metrics["class_alignment"]):
        caveats.append("class_alignment is undefined: no class has two items of known label and direction.")
    if not np.isfinite(metrics.get("alignment", 0.0)):
        caveats.append("alignment is undefined: there are no stores of the same images under two draws of the view.")
    if metrics["zero_share"]:
        caveats.append(f"{metrics['zero_share']:.1%} of the vectors are zero; uniformity leaves them out.")
    if len(x) < x.shape[1]:
        caveats.append(f"{len(x):,} items cannot have a rank above {len(x):,}, in {x.shape[1]:,} dimensions.")
    return caveats


def _dead(x: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Dimensions bool (D,) that do not vary, or hardly when held against the others."""
    floor = _DEAD * float(np.median(deviation))
    rounding = 1e-6 * np.abs(x[0].astype(np.float64))
    return (deviation <= floor) | (deviation <= rounding)
