"""Maps: embeddings drawn in the plane, with their faithfulness measured. The contract of a projection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from phispace import storage
from phispace.embeddings.store import Embeddings
from phispace.errors import DataError


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
        path = Path(path).with_suffix(".npz")
        with storage.atomic_open(path) as stream:
            np.savez(stream, xy=self.xy, ids=self.ids.astype(str), labels=self.labels, allow_pickle=False)
        body = {
            "method": self.method,
            "classes": list(self.classes),
            "quality": self.quality,
            "info": self.info,
            "sha256": storage.sha256_file(path),
        }
        storage.write_json(path.with_suffix(".json"), body)
        return path

    @classmethod
    def open(cls, path: Path | str) -> Map:
        """Read a map that `save` wrote.

        Raises:
            DataError: missing, damaged or changed.
        """
        path = Path(path).with_suffix(".npz")
        body = storage.read_json(path.with_suffix(".json"))
        storage.check_sha256(path, str(body.get("sha256")))
        try:
            with np.load(path, allow_pickle=False) as arrays:
                xy, ids, labels = arrays["xy"], arrays["ids"], arrays["labels"]
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{path} cannot be read as a map: {error}") from error
        quality = {k: float("nan") if v is None else float(v) for k, v in body["quality"].items()}
        return cls(xy, ids, labels, tuple(body["classes"]), body["method"], quality, body["info"])


class Projection:
    """Base of all projections.

    Class attributes:
        name: registered name.
        title: name for people.
        reference: source of the algorithm.
        max_items: above this many items the fit is refused with advice, or None.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    reference: ClassVar[str]
    max_items: ClassVar[int | None] = None
    Config: ClassVar[type[ProjectionConfig]] = ProjectionConfig

    def __init__(self, config: ProjectionConfig | None = None) -> None:
        self.config = config if config is not None else self.Config()

    def fit(self, embeddings: Embeddings, start: Map | None = None, seed: int = 0) -> Map:
        """Place the items in the plane and measure how faithful the picture is.

        Args:
            embeddings: a store (or a part of one).
            start: a map of the same ids to start from, which keeps an animation's frames comparable.
            seed: for draws.

        Raises:
            InputError: fewer items than the method can place, or ids of `start` that differ.
        """
        raise NotImplementedError(f"{type(self).__name__} must define fit (abstract)")

    def info(self, **more: Mapping[str, Any]) -> dict[str, Any]:
        return {"options": self.config.model_dump(), **more}
