"""Which precision the forward pass of an extraction runs in.

float32 unless bfloat16 is asked for, or is measured to be worth it. What bfloat16 costs in agreement is measured on
a batch and stated in the store's manifest.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from phispace.errors import InputError

Precision = Literal["auto", "float32", "bf16"]

_ALIASES = {"32": "float32", "32-true": "float32", "bf16-mixed": "bf16"}

WORTH_SECONDS = 20.0
"""Below this estimated time in float32, `auto` does not look further."""

_MANY = 8  # batches below which measuring costs more than it can save

WORTH_RATIO = 1.25
"""bfloat16 must be this much faster to be chosen."""


def check_precision(precision: str) -> str:
    """The precision's own name, also for the names that Lightning has.

    Raises:
        InputError: an unknown name.
    """
    precision = _ALIASES.get(precision, precision)
    if precision not in get_args(Precision):
        raise InputError(f"Precision {precision!r} is not known; expected {', '.join(get_args(Precision))}.")
    return precision


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """The context in which a forward pass of this precision runs."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def choose(
    forward: Callable[[], dict[str, Tensor]], batches: int, precision: str, device: torch.device
) -> tuple[str, dict[str, Any]]:
    """Settle the precision, and measure what it costs.

    Args:
        forward: runs the encoder on one batch and returns its layers (B, ...).
        batches: how many such batches there will be.
        precision: what was asked for.
        device: where the encoder is.

    Returns:
        the precision, and for bfloat16 the agreement with float32 per layer: mean and least cosine of the batch's
        vectors, and the largest relative difference of their lengths.
    """
    if precision == "float32" or (precision == "auto" and batches < _MANY):
        return "float32", {}
    forward()  # the first pass allocates and picks its kernels
    start = time.perf_counter()
    exact = forward()
    plain = time.perf_counter() - start
    if precision == "auto" and plain * batches < WORTH_SECONDS:
        return "float32", {}
    with autocast("bf16", device):
        forward()
        start = time.perf_counter()
        coarse = forward()
        fast = time.perf_counter() - start
    if precision == "auto" and plain < WORTH_RATIO * fast:
        return "float32", {}
    return "bf16", {layer: _agreement(exact[layer], coarse[layer]) for layer in exact}


def _agreement(exact: Tensor, coarse: Tensor) -> dict[str, float]:
    a = exact.float().flatten(1).cpu().numpy().astype(np.float64)
    b = coarse.float().flatten(1).cpu().numpy().astype(np.float64)
    lengths_a, lengths_b = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    product = lengths_a * lengths_b
    cosine = np.where(product > 0, (a * b).sum(1) / np.where(product > 0, product, 1), lengths_a == lengths_b)
    relative = np.abs(lengths_b - lengths_a) / np.where(lengths_a > 0, lengths_a, 1)
    return {
        "mean_cosine": float(cosine.mean()),
        "min_cosine": float(cosine.min()),
        "max_length_error": float(relative.max()),
    }
