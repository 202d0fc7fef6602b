"""The linear probe: how much of the class can be read off by a linear classifier.

Multinomial logistic regression on standardised features (mean 0, deviation 1 on train), trained on the train part
only; the L2 strength is chosen by accuracy on val (a tie goes to the smaller val loss), and val is not trained on
afterwards. Strengths are tried from strong to weak, until two in a row were worse on val than the best before by
accuracy and by loss, or one was by more than two standard errors of the accuracy. They are solved to ten times the
tolerance, and the chosen one to the tolerance. Test is read once.

Source: the protocol of Kornblith, Shlens and Le, Do Better ImageNet Models Transfer Better?, CVPR 2019
(arXiv 1805.08974), appendix A.3; departures: standardised features, no refit on train and val.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from phispace.evaluation.base import EvaluationConfig
from phispace.evaluation.probe import Outcome, Probe
from phispace.evaluation.protocol import Parts
from phispace.evaluation.selection import at_the_edge, merit, on_val

_COARSER = 10  # scikit-learn's default stops farther from the optimum still


class LinearConfig(EvaluationConfig):
    """Options of the linear probe."""

    l2: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        tuple(10.0**-e for e in range(7)),
        min_length=1,
        description="strengths to choose from; scikit-learn's C is 1 / (n l2)",
    )
    default_l2: float = Field(1e-3, gt=0, description="strength when there is no val item to choose on")
    max_iterations: int = Field(500, ge=1, description="of L-BFGS, for each strength")
    tolerance: float = Field(1e-6, gt=0, description="stop when an iteration lowers the loss by less than this")


class LinearProbe(Probe):
    """Logistic regression on frozen features."""

    name: ClassVar[str] = "linear"
    title: ClassVar[str] = "linear probe"
    reference: ClassVar[str] = "Kornblith, Shlens and Le, CVPR 2019 (arXiv 1805.08974), appendix A.3"
    calibrated: ClassVar[bool] = True
    likelihood: ClassVar[bool] = True
    Config: ClassVar[type[EvaluationConfig]] = LinearConfig
    config: LinearConfig

    def classify(self, parts: Parts, seed: int) -> Outcome:
        from phispace.evaluation.logistic import Solution, Standardised, solve, solve_path

        config, train, val = self.config, parts.train, parts.val
        known, y = np.unique(train.y, return_inverse=True)
        features = Standardised(train.x)
        strengths = sorted(set(config.l2), reverse=True) if len(val) else [config.default_l2]
        solutions: list[Solution] = []
        curve: list[dict[str, Any]] = []
        z = features(val.x) if len(val) else None
        limits = config.max_iterations, _COARSER * config.tolerance
        for solution in solve_path(features, y, len(known), strengths, *limits):
            row = {key: getattr(solution, key) for key in ("l2", "iterations", "loss", "converged")}
            if z is not None:
                row |= on_val(solution.log_probability(z).numpy(), known, val.y)
            solutions.append(solution)
            curve.append(row)
            if z is not None and _past_the_best(curve, len(val)):
                break
        best = max(range(len(curve)), key=lambda i: merit(curve[i])) if z is not None else 0
        chosen = solve(
            features, y, len(known), solutions[best].l2, solutions[best], config.max_iterations, config.tolerance
        )
        caveats = self._caveats(curve, best, z is not None)
        if features.varying < train.x.shape[1]:
            caveats.append(f"{train.x.shape[1] - features.varying:,} of {train.x.shape[1]:,} dimensions do not vary.")
        return Outcome.of_likelihood(
            chosen.log_probability(features(parts.test.x)).numpy(),
            known,
            len(parts.classes),
            chosen={"l2": chosen.l2, "refit": "none: fitted on train, val is not trained on", "loss": chosen.loss},
            details={"curve": curve},
            caveats=caveats,
        )

    def _caveats(self, curve: list[dict[str, Any]], best: int, selected: bool) -> list[str]:
        caveats = [
            f"With l2 = {row['l2']:g} the probe had not converged after {row['iterations']} iterations."
            for row in curve
            if not row["converged"]
        ]
        if not selected:
            caveats.append(f"There is no val item to choose the L2 strength on; l2 = {curve[best]['l2']:g} was used.")
        elif at_the_edge(best, len(curve)):
            caveats.append(f"The chosen l2 = {curve[best]['l2']:g} lies at the edge of the strengths that were tried.")
        return caveats


def _past_the_best(curve: Sequence[Mapping[str, Any]], n_val: int) -> bool:
    """Whether weaker strengths need not be tried: the last one was clearly worse on val, or the last two were worse."""
    if len(curve) < 2:
        return False
    last = curve[-1]
    accuracy, loss = max(row["val_accuracy"] for row in curve), min(row["val_loss"] for row in curve)
    clearly = 2 * math.sqrt(accuracy * (1 - accuracy) / n_val)
    if accuracy - last["val_accuracy"] > clearly and last["val_loss"] > loss:
        return True
    before = curve[:-2]
    return bool(before) and all(
        row["val_accuracy"] < max(r["val_accuracy"] for r in before)
        and row["val_loss"] > min(r["val_loss"] for r in before)
        for row in curve[-2:]
    )
