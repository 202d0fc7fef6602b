"""Which items are labelled when few are: draws that all methods share, since they depend on ids alone."""

from __future__ import annotations

import numpy as np

from phispace.randomness import unit_hash


def places_in_class(ids: np.ndarray, labels: np.ndarray, seed: int, draw: int) -> np.ndarray:
    """The place of each item in its class in the order of a hash of its id, int64 (N,), from 0.

    Items with a place below n are the draw of n per class: larger draws hold the smaller ones, and an item that is
    added or left out elsewhere changes no place but those behind it.

    Args:
        ids: str (N,).
        labels: int64 (N,).
        seed, draw: name the draw.
    """
    salt = f"few labels {seed} {draw}"
    hashes = np.array([unit_hash(str(i), salt) for i in ids])
    places = np.empty(len(ids), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        places[members[np.argsort(hashes[members], kind="stable")]] = np.arange(len(members))
    return places


def drawn(places: np.ndarray, labels: np.ndarray, amount: int | float) -> np.ndarray:
    """Positions int64, ascending: `amount` items of each class, or of each class this share, at least one."""
    return np.flatnonzero(places < labels_a_class(np.bincount(labels), amount)[labels])


def labels_a_class(sizes: np.ndarray, amount: int | float) -> np.ndarray:
    """How many items of each class are drawn, int64 (C,), from classes of these sizes (C,)."""
    if isinstance(amount, int):
        return np.minimum(sizes, amount)
    return np.minimum(sizes, np.maximum(1, np.round(amount * sizes))).astype(np.int64)
