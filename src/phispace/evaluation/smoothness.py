"""The meta-prior of smoothness: near images have near codes, and what lies between two images is like one of them.

    change      mean over items and small changes of ||phi(x') - phi(x)||, relative to the mean distance of two random
                items; smoothness = 1 - change: 1 when the code stays, 0 when it is as far as another image's, below 0
                when it is further
    path        items are mixed with a partner, pixel by pixel; of the k nearest neighbours of the mixture's code the
                share that has one of the two classes, the two images themselves left out. Read it between
                `path_chance`, the share of such items, and `path_ends`, what the unmixed images reach

Smoothness alone is easy: a code that keeps nothing but the mean brightness has it. Read it beside an accuracy.
Source of the prior: Bengio, Courville and Vincent, IEEE TPAMI 2013 (arXiv 1206.5538), section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from phispace.embeddings.store import UNKNOWN, Embeddings
from phispace.errors import InputError
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.items import Items
from phispace.evaluation.protocol import Part, by_id, paired
from phispace.metrics.intervals import bootstrap_mean
from phispace.metrics.knn import Metric, nearest
from phispace.metrics.partners import partners
from phispace.metrics.separation import sample_items
from phispace.randomness import rng

NAN = float("nan")
_PAIRS = 16  # random partners of each item, for the distance of two random items


@dataclass(frozen=True)
class _Place:
    """At one place of the way: shares (n,) of the neighbours, and of all items, that have either class."""

    agreement: np.ndarray
    chance: np.ndarray


class SmoothnessConfig(EvaluationConfig):
    """Options of the smoothness evaluation."""

    changes: tuple[str, ...] = Field(
        ("shift/1,0", "shift/0,1", "corrupt/gaussian-noise/1", "corrupt/brightness/1"),
        description="small changes of the images (variants)",
    )
    mixes: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.25, 0.5, 0.75), description="places on the way from an image (0) to its partner (1)"
    )
    k: int = Field(10, ge=1, description="neighbours that are asked on the way")
    metric: Metric = Field("cosine", description="distance of the neighbours: cosine or euclidean")
    max_items: int = Field(2000, ge=2, description="at most so many test items, drawn at random")


class Smoothness(Evaluation):
    """Change of the code under small changes of the image, and classes of the neighbours between two images."""

    name: ClassVar[str] = "smoothness"
    title: ClassVar[str] = "smoothness"
    needs: ClassVar[frozenset[str]] = frozenset({"test"})
    reference: ClassVar[str] = "the prior: Bengio, Courville and Vincent, TPAMI 2013, section 3.1; measures of our own"
    primary: ClassVar[str] = "smoothness"
    Config: ClassVar[type[EvaluationConfig]] = SmoothnessConfig
    config: SmoothnessConfig

    def variants(self) -> Mapping[str, str]:
        return dict.fromkeys([*self.config.changes, *(f"mix/{t:g}" for t in self.config.mixes)], "test")

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        """See the base; the stores of `variants` are those of the same test images, changed."""
        self.check_needs(embeddings)
        there = {name: store for name, store in (others or {}).items() if name in self.variants()}
        for name, store in there.items():
            if store.dim != embeddings.dim:
                raise InputError(
                    f"The store {name} has {store.dim} dimensions and the store itself {embeddings.dim}; one encoder's "
                    "are expected."
                )
        test = by_id(embeddings, "test")
        chosen = sample_items(len(test), self.config.max_items, rng(seed, "smoothness items"))
        part = Part(test.x[chosen], test.y[chosen], test.ids[chosen])
        caveats = [] if len(part) == len(test) else [f"Of {len(part):,} test items drawn from {len(test):,}."]
        missing = [name for name in self.variants() if name not in there]
        if missing and there:
            caveats.append(f"Without {', '.join(missing)}, of which there are no stores.")
        still = self._changes(part, there, seed, caveats)
        way = self._way(part, test, there, caveats)
        return Scores(
            still.metrics | way.metrics,
            still.interval,
            {"test": len(part)},
            caveats,
            {"changes": still.details, "path": way.details},
            still.items,
        )

    def _changes(self, part: Part, there: Mapping[str, Embeddings], seed: int, caveats: list[str]) -> Scores:
        """`smoothness` and `change`, per change in details."""
        metrics = {"smoothness": NAN, "change": NAN}
        named = [name for name in self.config.changes if name in there]
        if not named:
            caveats.append(
                "Smoothness is undefined: there are no stores of the slightly changed images. A run's are extracted "
                "anew; a foreign store has none."
            )
            return Scores(metrics)
        apart = _random_distance(part.x, rng(seed, "smoothness pairs"))
        moved: dict[str, np.ndarray] = {}
        both = np.ones(len(part), bool)
        for name in named:
            mine, x = paired(part, there[name])
            moved[name] = np.full(len(part), NAN)
            moved[name][mine] = _lengths(x, part.x[mine])
            both &= np.isfinite(moved[name])
        if not apart > 0 or not both.any():
            why = "no item has all of its changes" if apart > 0 else "all vectors are equal"
            caveats.append(f"Smoothness is undefined: {why}.")
            return Scores(metrics)
        if not both.all():
            caveats.append(f"{(~both).sum():,} items without all of the changed stores are left out.")
        relative = np.mean([m[both] for m in moved.values()], axis=0) / apart
        metrics = {"smoothness": float((1 - relative).mean()), "change": float(relative.mean())}
        interval = {}
        if both.sum() > 1:
            interval["smoothness"] = bootstrap_mean(1 - relative, rng(seed, "interval", self.name))
        each = {name: float(m[both].mean() / apart) for name, m in moved.items()}
        return Scores(metrics, interval, details=each, items=Items(part.ids[both], {"smoothness": 1 - relative}))

    def _way(self, part: Part, test: Part, there: Mapping[str, Embeddings], caveats: list[str]) -> Scores:
        """`path`, `path_ends` and `path_chance`, per place in details."""
        metrics = dict.fromkeys(("path", "path_ends", "path_chance"), NAN)
        mixed = {t: there[f"mix/{t:g}"] for t in self.config.mixes if f"mix/{t:g}" in there}
        known = test.y != UNKNOWN
        gallery = Part(test.x[known], test.y[known], test.ids[known])
        if not mixed:
            caveats.append("The path is undefined: there are no stores of mixed images.")
            return Scores(metrics)
        if len(gallery) < self.config.k + 2:
            caveats.append(
                f"The path is undefined: {len(gallery)} labelled test items; {self.config.k + 2} or more are needed."
            )
            return Scores(metrics)
        found = [self._place(part, gallery, store) for store in mixed.values()]
        ends = self._place(part, gallery, next(iter(mixed.values())), unmixed=True)
        if not len(ends.agreement):
            caveats.append("The path is undefined: no test item and its partner are both labelled.")
            return Scores(metrics)
        by_place = {f"{t:g}": float(place.agreement.mean()) for t, place in zip(mixed, found, strict=True)}
        metrics["path"] = float(np.mean(list(by_place.values())))
        metrics["path_ends"] = float(ends.agreement.mean())
        metrics["path_chance"] = float(ends.chance.mean())
        return Scores(metrics, details={"0": metrics["path_ends"], **by_place})

    def _place(self, part: Part, gallery: Part, mixed: Embeddings, unmixed: bool = False) -> _Place:
        """Neighbours' classes at one place of the way: of the mixtures, or of the images themselves."""
        whole = by_id(mixed, "test")
        mine, x = paired(part, mixed)
        at = np.searchsorted(whole.ids, part.ids[mine])
        with_whom = partners(whole.ids)[at] if len(whole) else at
        pairs = np.stack([part.y[mine], whole.y[with_whom]], axis=1)
        kept = (pairs != UNKNOWN).all(1)
        if not kept.any():
            return _Place(np.zeros(0), np.zeros(0))
        pairs, mine = pairs[kept], mine[kept]
        queries = part.x[mine] if unmixed else x[kept]
        position = nearest(queries, gallery.x, self.config.k + 2, self.config.metric)[1]
        own, theirs = part.ids[mine], whole.ids[with_whom[kept]]
        names = gallery.ids[position]
        allowed = (names != own[:, None]) & (names != theirs[:, None])
        # The first k of those that are allowed; of k + 2 at most two are not.
        first = allowed & (np.cumsum(allowed, axis=1) <= self.config.k)
        hit = (gallery.y[position][:, :, None] == pairs[:, None, :]).any(2)
        counts = np.bincount(gallery.y)
        counts = np.pad(counts, (0, max(0, int(pairs.max()) + 1 - len(counts))))
        either = counts[pairs[:, 0]] + np.where(pairs[:, 0] == pairs[:, 1], 0, counts[pairs[:, 1]])
        return _Place((hit & first).sum(1) / first.sum(1), either / len(gallery))


def _lengths(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distances of rows, float64 (n,)."""
    gap: Any = a.astype(np.float64) - b
    return np.sqrt(np.einsum("nd,nd->n", gap, gap))


def _random_distance(x: np.ndarray, draws: np.random.Generator) -> float:
    """Mean distance of an item and another drawn at random; `nan` for a single item."""
    if len(x) < 2:
        return NAN
    z = x[draws.permutation(len(x))]
    return float(np.mean([_lengths(z, np.roll(z, by, axis=0)).mean() for by in range(1, min(_PAIRS, len(x) - 1) + 1)]))
