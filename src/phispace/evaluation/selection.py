"""What a choice on val looks at: accuracy, and of equally accurate ones the smaller loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def on_val(log_probability: np.ndarray, known: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Accuracy, and mean of -log p over the items whose class train has.

    Args:
        log_probability: (n, K) over the classes that train has.
        known: int64 (K,), their labels, ascending.
        y: int64 (n,), the labels of val.
    """
    accuracy = float((known[log_probability.argmax(1)] == y).mean())
    inside = np.isin(y, known)
    if not inside.any():
        return {"val_accuracy": accuracy, "val_loss": float("inf")}
    column = np.searchsorted(known, y[inside])
    return {"val_accuracy": accuracy, "val_loss": float(-log_probability[inside, column].mean(dtype=np.float64))}


def merit(row: Mapping[str, Any]) -> tuple[float, float]:
    """The larger, the better; of equal ones the first is taken."""
    return row["val_accuracy"], -row["val_loss"]


def at_the_edge(chosen: int, tried: int) -> bool:
    """Whether the chosen one is the first or last of several that were tried: a better one may lie beyond."""
    return tried > 1 and chosen in (0, tried - 1)
