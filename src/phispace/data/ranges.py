"""Values deeper than 8 bits, brought to 0 .. 255 on one range for the whole set.

16-bit pixels: from the 0.1 to the 99.9 percentile of all pixels of all deep images, so that a few hot pixels do not
make everything else black. Floats: [0, 1], [0, 255] or [-1, 1] where the values say so, else minimum to maximum. The
range and the rule are recorded in the set's source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

LOW_PERCENTILE, HIGH_PERCENTILE = 0.1, 99.9
_FLOAT32_SAFE = 1e30


@dataclass(frozen=True)
class ValueRange:
    """What becomes 0 and what becomes 255."""

    low: float
    high: float
    rule: str

    def to_uint8(self, values: np.ndarray) -> np.ndarray:
        """Values of any shape, linearly to uint8, rounded; what lies outside is clipped."""
        low, high = self.low, self.high
        largest = max(abs(low), abs(high))
        if largest > _FLOAT32_SAFE:  # such values would overflow; their ratio does not
            values, low, high = values / largest, low / largest, high / largest
        scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(255.0 / (high - low))
        return (np.clip(scaled, 0.0, 255.0) + 0.5).astype(np.uint8)

    def record(self) -> dict[str, Any]:
        """As it stands in `ImageSet.source`."""
        return {"low": self.low, "high": self.high, "rule": self.rule}


class Tally:
    """What is known of the deep values of a set so far; tallies of parts add up to the tally of the whole."""

    def __init__(self) -> None:
        self._histogram: np.ndarray | None = None
        self._low, self._high = np.inf, -np.inf
        self._wide = False

    def add(self, values: np.ndarray) -> None:
        """Count finite values: uint16 into a histogram, others by minimum and maximum."""
        if not values.size:
            return
        self._low = min(self._low, float(values.min()))
        self._high = max(self._high, float(values.max()))
        if values.dtype == np.uint16:
            counts = np.bincount(values.ravel(), minlength=65536)
            self._histogram = counts if self._histogram is None else self._histogram + counts
        else:
            self._wide = True

    def merge(self, other: Tally) -> None:
        """Add another part's tally."""
        self._low, self._high = min(self._low, other._low), max(self._high, other._high)
        self._wide |= other._wide
        if other._histogram is not None:
            self._histogram = other._histogram if self._histogram is None else self._histogram + other._histogram

    def range(self) -> ValueRange | None:
        """The one range of the set, or None if nothing deep was counted."""
        if self._high < self._low:
            return None
        if self._wide or self._histogram is None:
            return float_range(self._low, self._high)
        total = np.cumsum(self._histogram)
        low, high = (int(np.searchsorted(total, total[-1] * p / 100)) for p in (LOW_PERCENTILE, HIGH_PERCENTILE))
        if high <= low:
            return _spread(self._low, self._high, "minimum to maximum of all 16-bit pixels")
        rule = f"{LOW_PERCENTILE} to {HIGH_PERCENTILE} percentile of all 16-bit pixels"
        return ValueRange(float(low), float(high), rule)


def float_range(low: float, high: float) -> ValueRange:
    """The range of floats (or of wide integers) whose smallest and largest values are these."""
    if low >= 0 and high <= 1:
        return ValueRange(0.0, 1.0, "values lie in [0, 1]")
    if low >= 0 and high <= 255:
        return ValueRange(0.0, 255.0, "values lie in [0, 255]")
    if low >= -1 and high <= 1:
        return ValueRange(-1.0, 1.0, "values lie in [-1, 1]")
    return _spread(low, high, "minimum to maximum of all values")


def _spread(low: float, high: float, rule: str) -> ValueRange:
    return ValueRange(low, high if high > low else low + max(1.0, abs(low) * 1e-6), rule)
