"""What a metric accepts: numpy arrays and torch tensors, of any float type."""

from __future__ import annotations

from typing import Any

import numpy as np

from phispace.errors import InputError


def as_matrix(x: Any, what: str = "x") -> np.ndarray:
    """A float matrix (N, D) on the CPU; float16 and bfloat16 become float32, integers float64.

    Args:
        x: numpy array or torch tensor (on any device, with or without gradient).
        what: the argument's name, for the message.

    Raises:
        InputError: not two-dimensional, or no dimension at all.
    """
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = (x if str(x.dtype) in ("torch.float32", "torch.float64") else x.float()).numpy()
    x = np.asarray(x)
    if x.ndim != 2 or x.shape[1] == 0:
        raise InputError(f"{what} must be (N, D) with D > 0; got shape {x.shape}.")
    if x.dtype == np.float16:
        return x.astype(np.float32)
    return x if x.dtype in (np.float32, np.float64) else x.astype(np.float64)


def as_labels(y: Any, n: int, what: str = "labels") -> np.ndarray:
    """Integer labels (N,) as int64.

    Raises:
        InputError: another shape or length, or no integers.
    """
    y = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    if y.shape != (n,):
        raise InputError(f"{what} must be ({n},), one for each row; got shape {y.shape}.")
    if y.size and not np.issubdtype(y.dtype, np.integer):
        raise InputError(f"{what} must be integers; got {y.dtype}.")
    return y.astype(np.int64)
