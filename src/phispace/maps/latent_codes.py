"""Where to look in a code: grids over the prior, traversals, interpolations; codes in, codes out."""

from __future__ import annotations

import numpy as np

from phispace.errors import InputError

EDGE = 0.01
"""Share of the prior that a grid leaves out at either side; the quantile of 0 would be minus infinity."""


def prior_quantiles(count: int, edge: float = EDGE) -> np.ndarray:
    """Quantiles of N(0, 1), float32 (count,), ascending, evenly spaced in probability from `edge` to 1 - `edge`."""
    from scipy.stats import norm

    if count < 2 or not 0 < edge < 0.5:
        raise InputError(f"A grid needs at least 2 steps and an edge between 0 and 0.5; got {count} and {edge}.")
    return np.asarray(norm.ppf(np.linspace(edge, 1 - edge, count)), np.float32)


def prior_grid(count: int, width: int, dims: tuple[int, int] = (0, 1), edge: float = EDGE) -> np.ndarray:
    """Codes over the quantiles of the prior in two dimensions, the others 0: float32 (count, count, width).

    Rows go from the largest value of the second dimension down, columns from the smallest of the first up, as in a
    plot.
    """
    first, second = dims
    if not (0 <= first < width and 0 <= second < width and first != second):
        raise InputError(f"A grid needs two different dimensions of 0 to {width - 1}; got {first} and {second}.")
    steps = prior_quantiles(count, edge)
    codes = np.zeros((count, count, width), np.float32)
    codes[..., first] = steps[None, :]
    codes[..., second] = steps[::-1, None]
    return codes


def traversals(start: np.ndarray, dims: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Copies of a code (D,) in which one dimension takes each value: float32 (len(dims), len(values), D)."""
    codes = np.tile(np.asarray(start, np.float32), (len(dims), len(values), 1))
    for row, d in enumerate(dims):
        codes[row, :, d] = values
    return codes


def linear(one: np.ndarray, other: np.ndarray, steps: int) -> np.ndarray:
    """On the straight line from one code (D,) to another: float32 (steps, D), both ends included."""
    t = np.linspace(0, 1, steps)[:, None]
    return np.asarray((1 - t) * one + t * other, np.float32)


def spherical(one: np.ndarray, other: np.ndarray, steps: int) -> np.ndarray:
    """On the great arc from one code (D,) to another: float32 (steps, D).

        (sin((1 - t) θ) u + sin(t θ) v) / sin θ · ((1 - t) |one| + t |other|),   θ the angle between u and v

    with u and v the codes at length 1. A straight line between two draws of a normal in many dimensions passes places
    of a length that no draw has; the arc keeps the length. Codes on one line from the origin, or at it, have no arc:
    there it is the straight line.

    Source: White, "Sampling Generative Networks", 2016, arXiv 1609.04468, section 2.1 (after Shoemake 1985). Departure:
    the formula is of codes of one length; put to codes of two lengths, as is usual, it leaves the way for far longer
    ones where they point nearly apart (1 and -0.5 in a plane of two dimensions), so the length is drawn linearly here.
    """
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    lengths = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    if min(lengths) == 0:
        return linear(one, other, steps)
    u, v = one / lengths[0], other / lengths[1]
    angle = float(np.arccos(np.clip(u @ v, -1, 1)))
    if np.sin(angle) < 1e-6:
        return linear(one, other, steps)
    t = np.linspace(0, 1, steps)[:, None]
    direction = (np.sin((1 - t) * angle) * u + np.sin(t * angle) * v) / np.sin(angle)
    return np.asarray(direction * ((1 - t) * lengths[0] + t * lengths[1]), np.float32)
