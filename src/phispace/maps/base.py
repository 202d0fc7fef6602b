"""Maps: embeddings drawn in the plane, with their faithfulness measured. The contract of a projection."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from phispace.embeddings.store import Embeddings
from phispace.errors import DataError, InputError
from phispace.maps.files import number, open_positions, save_positions
from phispace.maps.quality import measure
from phispace.progress import SILENT, Progress

_SOURCE = ("name", "images", "run", "checkpoint", "layer", "epoch", "encoder", "fingerprint")


class ProjectionConfig(BaseModel):
    """A projection's options; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Map:
    """Positions in the plane.

    Attributes:
        xy: float32 (N, 2).
        ids: str (N,).
        labels: int64 (N,), -1 = unknown.
        classes: names of the labels.
        method: registered name of the projection.
        quality: trustworthiness, knn_recall, class_agreement ...; `nan` where undefined.
        info: options, source digest, checkpoint, epoch, seconds ...; JSON-able.
    """

    xy: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    method: str
    quality: dict[str, float] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path | str) -> Path:
        """Write `path` (.npz of xy, ids, labels) and beside it `path`.json with the rest and the sha256."""
        body = {"method": self.method, "classes": list(self.classes), "quality": self.quality, "info": self.info}
        return save_positions(path, self.xy, self.ids, self.labels, body)

    @classmethod
    def open(cls, path: Path | str) -> Map:
        """Read a map that `save` wrote.

        Raises:
            DataError: missing, damaged or changed.
        """

        def build(xy: np.ndarray, ids: np.ndarray, labels: np.ndarray, body: dict[str, Any]) -> Map:
            quality = {name: number(value) for name, value in body["quality"].items()}
            return cls(xy, ids, labels, tuple(body["classes"]), body["method"], quality, body["info"])

        return open_positions(path, "map", build)


class Projection:
    """Base of all projections; a projection defines `place`.

    Class attributes:
        name: registered name.
        title: name for people.
        reference: source of the algorithm.
        min_items: below this many items there is nothing to place.
        max_items: above this many items the fit is refused with advice, or None.
        takes_start: whether `start` is honoured; where it is not, it is refused.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    reference: ClassVar[str]
    min_items: ClassVar[int] = 4
    max_items: ClassVar[int | None] = None
    takes_start: ClassVar[bool] = False
    Config: ClassVar[type[ProjectionConfig]] = ProjectionConfig

    def __init__(self, config: ProjectionConfig | None = None) -> None:
        self.config = config if config is not None else self.Config()

    def place(
        self, vectors: np.ndarray, start: np.ndarray | None, seed: int, progress: Progress
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Positions of the vectors; the part that each projection defines.

        Args:
            vectors: float32 (N, D), centred and of unit overall scale, not all equal.
            start: float64 (N, 2) positions to start from, or None.
            seed: for draws.

        Returns:
            positions (N, 2), and what is worth recording (JSON-able).
        """
        raise NotImplementedError(f"{type(self).__name__} must define place (abstract)")

    def fit(
        self, embeddings: Embeddings, start: Map | None = None, seed: int = 0, progress: Progress | None = None
    ) -> Map:
        """Place the items in the plane and measure how faithful the picture is.

        Args:
            embeddings: a store (or a part of one).
            start: a map of the same ids to start from, which keeps an animation's frames comparable.
            seed: for draws; the same seed gives the same map on the same machine.

        Raises:
            InputError: fewer items than the method can place or more than it should, ids of `start` that differ, or
                a `start` given to a projection that has no use for it.
        """
        n = len(embeddings)
        if n < self.min_items:
            raise InputError(f"{self.title} needs at least {self.min_items} items; this store has {n}.")
        if self.max_items is not None and n > self.max_items:
            raise InputError(
                f"{self.title} is meant for at most {self.max_items:,} items; this store has {n:,}. Ask for a subset "
                f"(max_items={self.max_items}) or another map (tsne, umap and pacmap take more)."
            )
        begin = None if start is None else self._positions(embeddings, start)
        metric = str(getattr(self.config, "metric", "euclidean"))
        began = time.perf_counter()
        vectors = prepared(embeddings.vectors, metric)
        more: dict[str, Any]
        if (vectors == vectors[0]).all():
            xy, more = np.zeros((n, 2)), {"caveats": ["All vectors are equal, so all items lie on one point."]}
        else:
            xy, more = self.place(vectors, begin, seed, progress or SILENT)
        if not np.isfinite(xy).all():
            raise DataError(
                f"{self.title} gave positions that are not finite for {n} vectors of {embeddings.dim} values."
            )
        xy = (xy - xy.mean(axis=0)).astype(np.float32)
        seconds = time.perf_counter() - began
        quality = measure(vectors, xy, embeddings.labels)
        info = self.info(
            seed=seed,
            n=n,
            dim=embeddings.dim,
            seconds=round(seconds, 2),
            started=start is not None,
            title=self.title,
            **more,
        )
        info["source"] = {key: embeddings.manifest[key] for key in _SOURCE if key in embeddings.manifest}
        info["source"]["digest"] = embeddings.digest
        return Map(xy, embeddings.ids, embeddings.labels, embeddings.classes, self.name, quality, info)

    def _positions(self, embeddings: Embeddings, start: Map) -> np.ndarray | None:
        """The positions of `start` in the order of the store, or None where all its points lie on one place."""
        if not self.takes_start:
            raise InputError(f"{self.title} cannot start from another map; leave start out, or use tsne or umap.")
        order = {str(name): row for row, name in enumerate(start.ids)}
        rows = [order.get(str(name), -1) for name in embeddings.ids]
        missing = rows.count(-1)
        if missing or len(order) != len(embeddings):
            raise InputError(
                f"The map to start from has {len(order)} items and the store {len(embeddings)}; {missing} of the "
                "store's ids are not in it. Both must hold the same ids."
            )
        xy = start.xy[rows].astype(np.float64)
        return None if np.ptp(xy, axis=0).max() == 0 else xy

    def info(self, **more: Any) -> dict[str, Any]:
        return {"options": self.config.model_dump(), **more}


def prepared(vectors: np.ndarray, metric: str = "euclidean") -> np.ndarray:
    """Vectors as projections and quality see them: float32 (N, D), centred, divided by their overall deviation.

    Neither step changes which items are neighbours; both keep float32 from overflow and cancellation. For `cosine` the
    vectors get unit length first (zero vectors stay), which makes Euclidean neighbours cosine neighbours.
    """
    out = np.array(vectors, dtype=np.float32)
    peak = float(np.abs(out).max(initial=0.0))
    if peak > 0:
        out /= peak
    if metric == "cosine":
        length = np.linalg.norm(out, axis=1, keepdims=True)
        np.divide(out, length, out=out, where=length > 0)
    if (out == out[0]).all():
        return np.zeros_like(out)
    out -= out.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = float(np.sqrt(np.mean(np.square(out, dtype=np.float64))))
    if deviation > 0:
        out /= deviation
    return out
