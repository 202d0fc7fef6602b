"""A film: the same items mapped at each of several checkpoints, with the numbers that say how far to believe it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from phispace.errors import DataError
from phispace.maps.base import Map
from phispace.maps.files import number, open_positions, save_positions
from phispace.maps.quality import MEASURES

DISPLACEMENT_BAR = 0.25
"""Points may move at most this share of what they move between independent fits."""
TRUST_BAR = 0.005
"""Trustworthiness may be at most this far below that of an independent fit."""
LEAK_BAR = 0.03
"""Class agreement of the map may differ from that of the representation by at most this."""

INHERITS = "layout inherits structure"
SHARPENS = "t-SNE itself sharpens the classes here"
BLURS = "t-SNE itself blurs the classes here"
LAGS = "layout lags behind the representation"
UNFAITHFUL = "less faithful than an independent fit"
JUMPS = "jumps more than a quarter of independent fits"


@dataclass(frozen=True)
class Caption:
    """What is written on a frame.

    Attributes:
        epoch: the checkpoint's epoch, if known.
        accuracy: share of 0 to 1 that was measured at this checkpoint, if known.
        text: anything else.
    """

    epoch: float | None = None
    accuracy: float | None = None
    text: str = ""

    @property
    def moment(self) -> str:
        """`epoch 3`, or the text, or nothing."""
        return self.text if self.epoch is None else f"epoch {self.epoch:g}"

    @property
    def words(self) -> str:
        """All of it in one line."""
        parts = [self.moment]
        if self.accuracy is not None and math.isfinite(self.accuracy):
            parts.append(f"accuracy {100 * self.accuracy:.1f} %")
        if self.text and self.epoch is not None:
            parts.append(self.text)
        return " · ".join(part for part in parts if part)


@dataclass(frozen=True)
class Film:
    """Maps of the same items in training order, in one common frame of reference.

    Attributes:
        xy: float32 (T, N, 2).
        ids: str (N,).
        labels: int64 (N,), -1 = unknown.
        classes: names of the labels.
        captions: T of them.
        table: T rows of numbers by name; `nan` where undefined (frame 0 has no frame before it):
            displacement: mean distance a point moved since the frame before / RMS radius of the map;
            displacement_p95: the same, 95th percentile;
            displacement_independent: the same between independent fits (random starts, not aligned);
            trustworthiness, knn_recall, class_agreement, class_agreement_representation, leak: see `quality.measure`;
            trustworthiness_independent, knn_recall_independent, leak_independent: of the independent fit;
            churn: mean of 1 - Jaccard overlap of an item's true nearest neighbours with those in the frame before;
            stability: Spearman correlation over items of churn and displacement: above 0, what moves has a reason.
        strategy: warm, constant, full, independent or identity.
        info: options, seed, subset, seconds, sources; JSON-able.
    """

    xy: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    captions: tuple[Caption, ...]
    table: tuple[dict[str, float], ...]
    strategy: str
    info: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.xy)

    def frame(self, t: int) -> Map:
        """Frame t as a map."""
        quality = {name: self.table[t].get(name, float("nan")) for name in MEASURES}
        info = {"caption": asdict(self.captions[t]), "strategy": self.strategy}
        method = "identity" if self.strategy == "identity" else "tsne"
        return Map(self.xy[t], self.ids, self.labels, self.classes, method, quality, info)

    def badges(self, t: int) -> list[str]:
        """Where frame t misses a bar, in words; empty where it keeps all of them or they could not be measured.

        Displacement is held against the mean over the film of that between independent fits: between two single ones it
        depends on the luck of two random starts.
        """
        alone = {"displacement_independent": _mean(self.column("displacement_independent"))}
        return judge(self.table[t] | alone)

    def summary(self) -> dict[str, float]:
        """The film in a few numbers: means and worst frames, `nan` where undefined."""
        moved, alone = self.column("displacement"), self.column("displacement_independent")
        loss = self.column("trustworthiness_independent") - self.column("trustworthiness")
        leak = self.column("leak")
        return {
            "displacement": _mean(moved),
            "displacement_independent": _mean(alone),
            "displacement_ratio": _mean(moved) / _mean(alone) if _mean(alone) else float("nan"),
            "trustworthiness": _mean(self.column("trustworthiness")),
            "trustworthiness_independent": _mean(self.column("trustworthiness_independent")),
            "trustworthiness_loss_worst": _worst(loss),
            "leak_worst": float(leak[np.nanargmax(np.abs(leak))]) if np.isfinite(leak).any() else float("nan"),
            "churn": _mean(self.column("churn")),
            "frames": float(len(self)),
            "frames_with_badge": float(sum(bool(self.badges(t)) for t in range(len(self)))),
        }

    def column(self, name: str) -> np.ndarray:
        """One number of the table over all frames, float64 (T,), `nan` where it is not known."""
        return np.array([row.get(name, float("nan")) for row in self.table], np.float64)

    def save(self, path: Path | str) -> Path:
        """Write `path`.npz (xy, ids, labels) and beside it `path`.json with the rest and the sha256."""
        body = {
            "strategy": self.strategy,
            "classes": list(self.classes),
            "captions": [asdict(caption) for caption in self.captions],
            "table": list(self.table),
            "badges": [self.badges(t) for t in range(len(self))],
            "summary": self.summary(),
            "info": self.info,
        }
        return save_positions(path, self.xy, self.ids, self.labels, body)

    @classmethod
    def open(cls, path: Path | str) -> Film:
        """Read a film that `save` wrote.

        Raises:
            DataError: missing, damaged or changed.
        """

        def build(xy: np.ndarray, ids: np.ndarray, labels: np.ndarray, body: dict[str, Any]) -> Film:
            captions = tuple(Caption(**caption) for caption in body["captions"])
            table = tuple({name: number(value) for name, value in row.items()} for row in body["table"])
            film = cls(xy, ids, labels, tuple(body["classes"]), captions, table, body["strategy"], body["info"])
            if xy.shape != (len(captions), len(ids), 2) or len(table) != len(captions) or labels.shape != ids.shape:
                raise DataError(
                    f"{path} holds positions {xy.shape} for {len(ids)} items and {len(captions)} captions; "
                    f"({len(captions)}, {len(ids)}, 2) is expected."
                )
            return film

        return open_positions(path, "film", build)


def judge(row: Mapping[str, float]) -> list[str]:
    """What of the bar a frame misses, in words. A number that is `nan` or missing misses nothing."""
    nan = float("nan")
    badges = []
    if row.get("displacement", nan) > DISPLACEMENT_BAR * row.get("displacement_independent", nan):
        badges.append(JUMPS)
    if row.get("trustworthiness", nan) < row.get("trustworthiness_independent", nan) - TRUST_BAR:
        badges.append(UNFAITHFUL)
    leak, alone = row.get("leak", nan), row.get("leak_independent", nan)
    if abs(leak) > LEAK_BAR:
        # An independent fit that does the same has inherited nothing: then it is the method, not the film.
        itself = abs(leak - alone) <= LEAK_BAR / 3
        badges.append((SHARPENS if itself else INHERITS) if leak > 0 else (BLURS if itself else LAGS))
    return badges


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _worst(values: np.ndarray) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else float("nan")
