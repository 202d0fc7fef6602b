"""Images as the rest of the house sees them.

Images are uint8 `(N, H, W, C)`, memory-mapped when large, and stay uint8 until a batch is made. Subsets are index
arrays into one set; nothing is copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from phispace.errors import DataError, InputError

SPLITS = ("train", "val", "test", "unlabelled")
UNKNOWN = -1


@dataclass(frozen=True)
class Quarantined:
    """An image that could not be fully decoded; the rest keeps its order and ids."""

    id: str
    reason: str


@dataclass(frozen=True)
class ImageSet:
    """A set of images.

    Attributes:
        images: uint8 (N, H, W, C), C is 1 or 3.
        labels: int64 (N,), -1 = unknown.
        ids: str (N,), unique and stable: the path inside the source, or source and counter.
        classes: names of labels 0 .. K-1.
        split: str (N,), each one of `SPLITS`.
        name: short name for paths and reports.
        factors: float64 (N, F) known factors of variation, or None.
        factor_names: names of the columns of `factors`.
        quarantine: what was left out, and why.
        source: how it came about (path, size, conversion range, caveats for a reader of scores); JSON-able.
    """

    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    classes: tuple[str, ...]
    split: np.ndarray
    name: str = "images"
    factors: np.ndarray | None = None
    factor_names: tuple[str, ...] = ()
    quarantine: tuple[Quarantined, ...] = ()
    source: Mapping[str, Any] = field(default_factory=dict)
    known_fingerprint: str | None = None

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[3] not in (1, 3):
            raise DataError(
                f"Images must be uint8 (N, H, W, C) with C = 1 or 3; got {self.images.dtype} {self.images.shape}."
            )
        for what, array, dtype in (
            ("labels", self.labels, np.int64),
            ("ids", self.ids, None),
            ("split", self.split, None),
        ):
            if array.shape != (n,):
                raise DataError(f"There are {n} images and {array.shape} {what}; one each is expected.")
            if dtype is not None and array.dtype != dtype:
                raise DataError(f"{what} must be {np.dtype(dtype)}; got {array.dtype}.")
        if n and (self.labels.min() < UNKNOWN or self.labels.max() >= len(self.classes)):
            raise DataError(
                f"Labels run from {self.labels.min()} to {self.labels.max()}; with {len(self.classes)} classes "
                f"-1 (unknown) to {len(self.classes) - 1} are expected."
            )
        if len(set(self.ids.tolist())) != n:
            raise DataError("Ids must be unique.")
        wrong = sorted(set(np.unique(self.split)) - set(SPLITS))
        if wrong:
            raise DataError(f"Unknown splits {wrong}; expected {', '.join(SPLITS)}.")
        if self.factors is not None and self.factors.shape != (n, len(self.factor_names)):
            raise DataError(
                f"factors has shape {self.factors.shape}; ({n}, {len(self.factor_names)}) is expected, a column a name."
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W), as an encoder wants it."""
        _, height, width, channels = self.images.shape
        return channels, height, width

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over ids, decoded pixels and labels; splits and names do not enter."""
        if self.known_fingerprint is not None:
            return self.known_fingerprint
        digest = hashlib.sha256(f"{self.images.shape}".encode())
        digest.update("\x1f".join(self.ids.tolist()).encode())
        for start in range(0, len(self), 8192):
            digest.update(np.ascontiguousarray(self.images[start : start + 8192]).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()

    def where(self, *splits: str, labelled: bool | None = None) -> np.ndarray:
        """Positions (int64, ascending) of the items in these splits (all if none is named).

        Args:
            labelled: True keeps the items whose label is known, False the others, None both.
        """
        wrong = sorted(set(splits) - set(SPLITS))
        if wrong:
            raise InputError(f"Unknown splits {wrong}; expected {', '.join(SPLITS)}.")
        keep = np.isin(self.split, splits) if splits else np.ones(len(self), bool)
        if labelled is not None:
            keep &= (self.labels != UNKNOWN) == labelled
        return np.flatnonzero(keep)

    def columns(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        """What a store of these images' vectors keeps beside id, label and split, (n,) each: `image`, the position in
        the set, and `factor_NAME` of each known factor of variation."""
        found: dict[str, np.ndarray] = {"image": np.asarray(positions)}
        if self.factors is not None:
            found |= {f"factor_{name}": self.factors[positions, k] for k, name in enumerate(self.factor_names)}
        return found

    def take(self, index: np.ndarray | Sequence[int]) -> ImageSet:
        """A set of only these positions (pixels are copied; meant for small subsets)."""
        index = np.asarray(index, np.int64)
        return replace(
            self,
            images=self.images[index],
            labels=self.labels[index],
            ids=self.ids[index],
            split=self.split[index],
            factors=None if self.factors is None else self.factors[index],
            known_fingerprint=None,
        )

    def counts(self) -> dict[str, dict[str, int]]:
        """Items by split and class name; unknown labels are counted under `(unknown)`."""
        table: dict[str, dict[str, int]] = {}
        for split in SPLITS:
            labels = self.labels[self.split == split]
            if len(labels):
                row = {name: int((labels == k).sum()) for k, name in enumerate(self.classes)}
                unknown = int((labels == UNKNOWN).sum())
                table[split] = row | ({"(unknown)": unknown} if unknown else {})
        return table
