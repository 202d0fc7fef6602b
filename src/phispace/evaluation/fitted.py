"""A classifier fitted once on clean training items and asked many times: of the same images, changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from phispace.evaluation.protocol import Part, Parts
from phispace.metrics.knn import nearest, vote

Kind = Literal["linear", "knn"]
Predict = Callable[[np.ndarray], np.ndarray]
"""float32 (m, D) -> labels int64 (m,)."""

L2 = (1e-1, 1e-2, 1e-3, 1e-4)
DEFAULT_L2 = 1e-3


def fit(
    kind: Kind, parts: Parts, train: Part, *, k: int = 20, l2: Sequence[float] = L2
) -> tuple[Predict, dict[str, Any]]:
    """Fit on `train`, choose on `parts.val`; test is not looked at.

    Args:
        kind: `linear`, a logistic regression on standardised features whose L2 strength is chosen by accuracy on val;
            or `knn`, the uniform vote of the k nearest by cosine.
        train: what is fitted on, of two classes at least.

    Returns:
        the classifier, and what was chosen (JSON-able).
    """
    return _linear(parts, train, l2) if kind == "linear" else _knn(parts, train, k)


def _linear(parts: Parts, train: Part, l2: Sequence[float]) -> tuple[Predict, dict[str, Any]]:
    from phispace.evaluation.logistic import Standardised, solve_path
    from phispace.evaluation.selection import merit, on_val

    known, y = np.unique(train.y, return_inverse=True)
    features = Standardised(train.x)
    solutions = list(solve_path(features, y, len(known), sorted(l2, reverse=True) if len(parts.val) else [DEFAULT_L2]))
    best = solutions[0]
    if len(parts.val):
        z = features(parts.val.x)
        best = max(solutions, key=lambda s: merit(on_val(s.log_probability(z).numpy(), known, parts.val.y)))
    return lambda x: known[best.log_probability(features(x)).numpy().argmax(1)], {"l2": best.l2}


def _knn(parts: Parts, train: Part, k: int) -> tuple[Predict, dict[str, Any]]:
    k = min(k, len(train))

    def predict(x: np.ndarray) -> np.ndarray:
        similarity, position = nearest(x, train.x, k)
        return vote(similarity, train.y[position], len(parts.classes))[0]

    return predict, {"k": k}
