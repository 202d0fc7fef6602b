"""Stores made of another one, and the ways a store can be odd or poor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from phispace.embeddings.store import Embeddings


def factor_columns(store: Embeddings) -> dict[str, np.ndarray]:
    """The columns of known factors."""
    return {c: store.items[c].to_numpy() for c in store.items.column_names if c.startswith("factor_")}


def changed(store: Embeddings, **arrays: np.ndarray) -> Embeddings:
    """The same items with other vectors, labels or splits."""
    return Embeddings.build(
        arrays.get("vectors", np.asarray(store.vectors)),
        store.ids,
        arrays.get("labels", store.labels),
        arrays.get("splits", store.splits),
        store.classes,
        columns=factor_columns(store),
        feature_shape=store.manifest.get("feature_shape"),
    )


def _one_per_class(store: Embeddings) -> Embeddings:
    train = np.flatnonzero(store.splits == "train")
    _, first = np.unique(store.labels[train], return_index=True)
    keep = np.concatenate([train[first], np.flatnonzero(store.splits == "test")])
    return store.take(keep)


def _few(store: Embeddings) -> Embeddings:
    return store.take(np.concatenate([np.flatnonzero(store.splits == s)[:2] for s in ("train", "test")]))


def _partly(store: Embeddings) -> Embeddings:
    hidden = np.arange(len(store)) % 3 == 0
    return changed(store, labels=np.where(hidden, -1, store.labels))


def _constant(store: Embeddings) -> Embeddings:
    return changed(store, vectors=np.full(store.vectors.shape, 0.1, np.float32))


def _zero(store: Embeddings) -> Embeddings:
    return changed(store, vectors=np.zeros_like(store.vectors))


def _some_zero(store: Embeddings) -> Embeddings:
    vectors = np.array(store.vectors)
    vectors[::4] = 0
    return changed(store, vectors=vectors)


def _duplicates(store: Embeddings) -> Embeddings:
    return changed(store, vectors=np.asarray(store.vectors)[np.arange(len(store)) // 50 * 50])


def _wide(store: Embeddings) -> Embeddings:
    mix = np.random.default_rng(0).normal(size=(64, 700)) / 8
    return changed(store, vectors=np.maximum(np.asarray(store.vectors) @ mix, 0))


def _uneven(store: Embeddings) -> Embeddings:
    return store.take((store.labels == 0) | (np.arange(len(store)) % 4 == 0))


def _unseen(store: Embeddings) -> Embeddings:
    return store.take((store.labels != 3) | (store.splits == "test"))


def _no_val(store: Embeddings) -> Embeddings:
    return changed(store, splits=np.where(store.splits == "val", "train", store.splits))


POOR: dict[str, Callable[[Embeddings], Embeddings]] = {
    "unlabelled": lambda s: changed(s, labels=np.full(len(s), -1)),
    "test unlabelled": lambda s: changed(s, labels=np.where(s.splits == "test", -1, s.labels)),
    "one class": lambda s: changed(s, labels=np.where(s.labels >= 0, 2, -1)),
    "no test": lambda s: s.part("train", "val"),
    "only test": lambda s: s.part("test"),
    "empty": lambda s: s.take(np.zeros(0, np.int64)),
    "one item": lambda s: s.take(np.array([0])),
    "constant": _constant,
    "zero": _zero,
}
"""Nothing, or not everything, can be said about these."""

ODD: dict[str, Callable[[Embeddings], Embeddings]] = {
    "one per class": _one_per_class,
    "two items a split": _few,
    "partly labelled": _partly,
    "some zero": _some_zero,
    "duplicates": _duplicates,
    "more dimensions than items": _wide,
    "one dimension": lambda s: changed(s, vectors=np.asarray(s.vectors)[:, 20:21]),
    "uneven": _uneven,
    "a class without training items": _unseen,
    "no val": _no_val,
    "half precision": lambda s: changed(s, vectors=np.asarray(s.vectors, np.float16)),
    "large values": lambda s: changed(s, vectors=np.asarray(s.vectors) * 1e18),
    "small values": lambda s: changed(s, vectors=np.asarray(s.vectors) * 1e-18),
}
"""Something can be said about these, with caveats."""
