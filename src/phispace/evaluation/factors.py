"""Stores with known factors: what the scores of disentanglement work on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from pydantic import Field

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import EvaluationConfig
from phispace.metrics.mutual_information import BINS, as_factors, binned
from phispace.metrics.separation import sample_items
from phispace.randomness import rng

PREFIX = "factor_"
"""A factor's column in a store's items is named so, and then as the factor."""
_MANY = 100  # distinct values from which on a factor is taken for a continuous one


class FactorsConfig(EvaluationConfig):
    """Options of all evaluations of disentanglement."""

    max_dims: int = Field(512, ge=1, description="representations of more dimensions are not scored: it takes too long")


@dataclass(frozen=True)
class Known:
    """Codes with their factors.

    Attributes:
        codes: float32 (n, D).
        factors: int64 (n, K), values numbered from 0.
        names: of the factors, K.
        caveats: what a reader must know.
        undefined: why no score can be given, or None.
    """

    codes: np.ndarray
    factors: np.ndarray
    names: tuple[str, ...]
    caveats: list[str] = field(default_factory=list)
    undefined: str | None = None

    def rows(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.codes[index], self.factors[index]


def factor_names(embeddings: Embeddings) -> tuple[str, ...]:
    """Factors that the store knows, in the order of its columns."""
    columns = embeddings.items.column_names
    return tuple(name.removeprefix(PREFIX) for name in columns if name.startswith(PREFIX))


def known_factors(embeddings: Embeddings, parts: dict[tuple[str, ...], int], seed: int, max_dims: int) -> list[Known]:
    """For each part of the store (the splits of its name, all for none) at most so many items, in the order of ids.

    Factors that do not vary in the first part are left out everywhere. Values are numbered alike in all parts.

    Args:
        parts: splits -> most items, drawn at random where there are more.
        seed: for the draws.
        max_dims: more dimensions are undefined.
    """
    names = factor_names(embeddings)
    table = np.stack([np.asarray(embeddings.column(PREFIX + name), np.float64) for name in names], axis=1)
    caveats, chosen = [], []
    for splits, most in parts.items():
        index = np.flatnonzero(np.isin(embeddings.splits, splits)) if splits else np.arange(len(embeddings))
        index = index[np.argsort(embeddings.ids[index], kind="stable")]
        known = index[np.isfinite(table[index]).all(axis=1)]
        if len(known) < len(index):
            caveats.append(f"{len(index) - len(known):,} items with unknown factors are left out.")
        drawn = known[sample_items(len(known), most, rng(seed, "factor items", *splits))]
        if len(drawn) < len(known):
            what = f"{' and '.join(splits)} items" if splits else "items"
            caveats.append(f"Of {len(drawn):,} {what} drawn from {len(known):,}.")
        chosen.append(drawn)
    whole = np.concatenate(chosen)
    values = np.empty((len(whole), len(names)), np.int64)
    if len(whole):
        values = as_factors(table[whole], len(whole))
        for k, name in enumerate(names):
            if values[:, k].max() >= _MANY:
                values[:, k] = binned(table[whole][:, k : k + 1])[:, 0]
                caveats.append(f"The factor {name} has many values; it was cut into {BINS} bins of equal width.")
    first = values[: len(chosen[0])]
    varying = np.ptp(first, axis=0) > 0 if len(first) else np.zeros(len(names), bool)
    still = [name for name, moves in zip(names, varying, strict=True) if not moves]
    if still and varying.any():
        caveats.append(f"Factors that do not vary are left out: {', '.join(still)}.")
    kept = tuple(name for name, moves in zip(names, varying, strict=True) if moves)
    codes = [np.asarray(embeddings.vectors[rows], np.float32) for rows in chosen] if embeddings.dim <= max_dims else []
    reason = _undefined(embeddings.dim, max_dims, codes, [len(rows) for rows in chosen], bool(kept))
    empty = np.zeros((0, embeddings.dim), np.float32)
    ends = np.cumsum([len(rows) for rows in chosen])
    return [
        Known(codes[i] if codes else empty, values[end - len(rows) : end][:, varying], kept, caveats, reason)
        for i, (rows, end) in enumerate(zip(chosen, ends, strict=True))
    ]


def _undefined(dim: int, max_dims: int, codes: list[np.ndarray], counts: list[int], varies: bool) -> str | None:
    if min(counts) < 2:
        return f"Undefined: {' and '.join(f'{n:,}' for n in counts)} items with known factors; at least 2 are needed."
    if not varies:
        return "Undefined: no factor varies."
    if dim > max_dims:
        return f"Undefined: {dim:,} dimensions; these scores are meant for codes of at most {max_dims:,} (max_dims)."
    if (codes[0] == codes[0][0]).all():
        return "Undefined: all vectors are equal, the representation has collapsed to a point."
    return None


def by_name(names: tuple[str, ...], values: np.ndarray) -> dict[str, float]:
    """Factor -> its value, for a score's details."""
    return {name: float(value) for name, value in zip(names, values, strict=True)}
