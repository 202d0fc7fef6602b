"""How fast the variances of a representation fall: the exponent alpha of lambda_i ~ i^-alpha.

Source: alpha-ReQ, Agrawal et al., NeurIPS 2022, whose released code fits the ranks 4 to 100 by least squares in
log-log coordinates with weights 1 / rank, as Stringer et al., Nature 2019, do (there ranks 11 to 500). About 1 is
called the best decay for natural images; far above it few directions carry all, near 0 the vectors look like noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

FIRST, LAST = 4, 100
_LEAST_RANKS = 8


@dataclass(frozen=True)
class PowerLaw:
    """variance_i = scale * i^-alpha, fitted to the ranks `first` to `last`.

    Attributes:
        alpha, scale: `nan` if there are fewer than eight ranks to fit.
        first, last: the ranks that were fitted, counted from 1; `last` is smaller than asked for when the variances end
            before.
        r2: weighted share of the variance of log lambda that the line explains, 1 when it fits; `nan` where all of
            them are equal.
    """

    alpha: float
    scale: float
    first: int
    last: int
    r2: float


def fit_power_law(variances: Any, first: int = FIRST, last: int = LAST) -> PowerLaw:
    """Fit the decay of the eigenvalues of a covariance.

    Args:
        variances: (K,) eigenvalues, or shares of variance, descending; they end at the first that is not positive.
        first, last: ranks to fit, both included.
    """
    variances = np.asarray(variances, np.float64)
    positive = variances > 0
    count = len(variances) if positive.all() else int(positive.argmin())
    last = min(last, count)
    if last - first + 1 < _LEAST_RANKS or not np.isfinite(variances[:count]).all():
        return PowerLaw(float("nan"), float("nan"), first, last, float("nan"))
    rank = np.arange(first, last + 1, dtype=np.float64)
    weight = 1 / rank
    x, y = np.log(rank), np.log(variances[first - 1 : last])
    dx, dy = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
    slope = float((weight * dx * dy).sum() / (weight * dx**2).sum())
    scatter = float((weight * dy**2).sum())
    r2 = 1 - float((weight * (dy - slope * dx) ** 2).sum()) / scatter if scatter > 0 else float("nan")
    intercept = float(np.average(y, weights=weight) - slope * np.average(x, weights=weight))
    return PowerLaw(-slope, float(np.exp(intercept)), first, last, r2)
