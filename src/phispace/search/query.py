"""What is searched for, and what was found: queries by item, vector, class mean or image; answers as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from phispace.data.imageset import ImageSet
from phispace.embeddings.store import UNKNOWN, Embeddings
from phispace.errors import InputError
from phispace.search.index import Index


@dataclass(frozen=True)
class Query:
    """One thing to search for.

    Attributes:
        kind: where it comes from.
        name: the item's id, the file, the class, or any text.
        vector: (D,).
        label: its class where known, -1 = unknown.
        position: its own place in the store, which is left out of the answers; -1 = it is not in the store.
        pixels: uint8 (H, W, C) to draw it, or None.
    """

    kind: Literal["id", "vector", "class", "image"]
    name: str
    vector: np.ndarray
    label: int = UNKNOWN
    position: int = -1
    pixels: np.ndarray | None = None


@dataclass(frozen=True)
class Answer:
    """The neighbours of one query.

    Attributes:
        query: what was searched for.
        position: int64 (k,) places in the store, nearest first.
        similarity: float32 (k,): the cosine, or minus the Euclidean distance.
        notices: sentences a reader must know.
    """

    query: Query
    position: np.ndarray
    similarity: np.ndarray
    notices: list[str] = field(default_factory=list)

    def agrees(self, embeddings: Embeddings) -> list[bool | None]:
        """Whether each neighbour has the query's class; None where one of the two is unknown."""
        own = self.query.label
        labels = embeddings.labels[self.position].tolist()
        return [None if UNKNOWN in (own, label) else own == label for label in labels]

    def as_json(self, embeddings: Embeddings, metric: str) -> dict[str, Any]:
        """Plain values: the query, and for each neighbour rank, id, position, class, split, similarity, agreement."""
        what = "similarity" if metric == "cosine" else "distance"
        sign = 1.0 if metric == "cosine" else -1.0
        rows = zip(self.position.tolist(), self.similarity.tolist(), self.agrees(embeddings), strict=True)
        return {
            "query": {
                "kind": self.query.kind,
                "name": self.query.name,
                "class": class_name(embeddings, self.query.label),
            },
            "neighbours": [
                {
                    "rank": rank,
                    "id": str(embeddings.ids[position]),
                    "position": position,
                    "class": class_name(embeddings, int(embeddings.labels[position])),
                    "split": str(embeddings.splits[position]),
                    what: sign * value,
                    "same_class": same,
                }
                for rank, (position, value, same) in enumerate(rows, start=1)
            ],
            "notices": list(self.notices),
        }


def class_name(embeddings: Embeddings, label: int) -> str | None:
    """Name of a label, None where it is unknown."""
    return embeddings.classes[label] if label != UNKNOWN else None


def by_id(embeddings: Embeddings, identity: str) -> Query:
    """A stored item.

    Raises:
        InputError: no such id; close ones are listed.
    """
    found = np.flatnonzero(embeddings.ids == identity)
    if not len(found):
        import difflib

        close = difflib.get_close_matches(identity, embeddings.ids.tolist(), n=3) or embeddings.ids[:3].tolist()
        raise InputError(f"The store has no item {identity!r}. It has for example {', '.join(map(repr, close))}.")
    position = int(found[0])
    vector, label = np.asarray(embeddings.vectors[position]), int(embeddings.labels[position])
    return Query("id", identity, vector, label, position)


def by_vector(vector: np.ndarray, name: str = "vector", label: int = UNKNOWN) -> Query:
    """Any vector (D,) of the store's space."""
    return Query("vector", name, np.asarray(vector, np.float32), label)


def by_class(embeddings: Embeddings, name: str, splits: Sequence[str] = ("train",)) -> Query:
    """The mean of a class over these splits (over all of its items, where those have none).

    Raises:
        InputError: no such class, or no item of it.
    """
    if name not in embeddings.classes:
        raise InputError(
            f"The store has no class {name!r}; its classes are {', '.join(embeddings.classes) or 'unknown'}."
        )
    label = embeddings.classes.index(name)
    members = embeddings.labels == label
    inside = members & np.isin(embeddings.splits, splits)
    chosen = np.flatnonzero(inside if inside.any() else members)
    if not len(chosen):
        raise InputError(f"No item of the store is known to be of class {name!r}.")
    mean = np.asarray(embeddings.vectors[chosen]).mean(0, dtype=np.float64).astype(np.float32)
    return Query("class", name, mean, label)


def find(
    index: Index, embeddings: Embeddings, queries: Sequence[Query], k: int = 10, *, images: ImageSet | None = None
) -> list[Answer]:
    """The k nearest items of each query, the query itself left out where it is in the store.

    Args:
        index: over the vectors of `embeddings`.
        images: the store's images; with them a query that is an image is recognised by its pixels if it is an item.

    Raises:
        InputError: nothing to search for, k < 1, or an index over other items.
    """
    if not queries:
        raise InputError("A search needs at least one query.")
    if k < 1:
        raise InputError(f"k must be at least 1; got {k}.")
    if len(index) != len(embeddings) or not np.array_equal(index.ids, embeddings.ids):
        raise InputError("The index was built over other items than those of this store.")
    away = np.array([query.position for query in queries])
    similarity, position = index.search(np.stack([query.vector for query in queries]), k + 1, exclude=away)
    return [
        _answer(query, position[i], similarity[i], k, embeddings, images, index.notes)
        for i, query in enumerate(queries)
    ]


def _answer(
    query: Query,
    position: np.ndarray,
    similarity: np.ndarray,
    k: int,
    embeddings: Embeddings,
    images: ImageSet | None,
    notes: Sequence[str],
) -> Answer:
    keep, notices = position >= 0, list(notes)
    if query.position < 0 and query.pixels is not None and images is not None:
        for rank in np.flatnonzero(keep):
            found = picture(images, embeddings, int(position[rank]))
            if found is not None and np.array_equal(found, query.pixels):
                own = int(position[rank])
                query, keep[rank] = replace(query, label=int(embeddings.labels[own]), position=own), False
                notices.append(f"The query is the item {str(embeddings.ids[own])!r}; it is left out of its neighbours.")
                break
    chosen = np.flatnonzero(keep)[:k]
    if len(chosen) < k:
        notices.append(f"{k} neighbours were asked for; the store gives {len(chosen)} beside the query.")
    return Answer(query, position[chosen], similarity[chosen], notices)


def picture(images: ImageSet, embeddings: Embeddings, position: int) -> np.ndarray | None:
    """The pixels (H, W, C) of a stored item, or None where the store does not say which image it is.

    Raises:
        InputError: the images are not those of the store.
    """
    column = embeddings.column("image")
    if column is None:
        return None
    place = int(column[position])
    if not 0 <= place < len(images) or images.ids[place] != embeddings.ids[position]:
        raise InputError(
            f"The images {images.name!r} are not those of the store: its item {str(embeddings.ids[position])!r} is "
            "not at the place that it names."
        )
    return np.asarray(images.images[place])


def precision_at_k(
    embeddings: Embeddings,
    k: int = 10,
    *,
    queries: str = "test",
    gallery: str = "train",
    metric: str = "cosine",
    kind: str = "exact",
) -> dict[str, float]:
    """Share of the k nearest gallery items that have the query's class: by class name, and `mean` over the classes.

    Args:
        queries, gallery: splits; only items of known label take part. The same split for both: an item is not its own
            neighbour.

    Returns:
        class name -> precision in [0, 1]; `nan` for classes without a query.

    Raises:
        InputError: a split without labelled items, or fewer than k to choose from.
    """
    asked, held = embeddings.part(queries, labelled=True), embeddings.part(gallery, labelled=True)
    same = queries == gallery
    for split, part in ((queries, asked), (gallery, held)):
        if not len(part):
            raise InputError(f"The store has no labelled items of split {split!r}.")
    if not 1 <= k <= len(held) - same:
        raise InputError(f"k must be from 1 to the {len(held) - same} items to choose from; got {k}.")
    index = Index.build(held, kind, metric)
    _, position = index.search(asked.vectors, k, exclude=np.arange(len(asked)) if same else None)
    hits = (held.labels[position] == asked.labels[:, None]) & (position >= 0)
    share = hits.mean(1)
    table = {
        name: float(share[asked.labels == label].mean()) if (asked.labels == label).any() else float("nan")
        for label, name in enumerate(embeddings.classes)
    }
    return {**table, "mean": float(np.nanmean(list(table.values())))}
