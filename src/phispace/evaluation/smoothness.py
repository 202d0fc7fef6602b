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
from phispace.evaluation.base import Evaluation, EvaluationConfig, Scores
from phispace.evaluation.items import Items
from phispace.evaluation.protocol import Part, by_id, in_all, paired
from phispace.metrics.intervals import bootstrap_mean
from phispace.metrics.knn import Metric, nearest
from phispace.metrics.partners import partners
from phispace.randomness import rng

NAN = float("nan")
_PAIRS = 16  # random partners of each item, for the distance of two random items


@dataclass(frozen=True)
class _Pairs:
    """Two images each that are mixed, (n,): their ids and classes."""

    first: np.ndarray
    second: np.ndarray
    first_class: np.ndarray
    second_class: np.ndarray

    def chance(self, classes: np.ndarray) -> np.ndarray:
        """Share (n,) of items of these classes that have one of the two."""
        share = np.bincount(classes, minlength=1 + int(max(self.first_class.max(), self.second_class.max())))
        both = share[self.first_class] + share[self.second_class]
        return np.asarray(np.where(self.first_class == self.second_class, both / 2, both) / len(classes))


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
    n: int = Field(1000, ge=2, description="at most so many test items, always the same ones")


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
        return dict.fromkeys(
            [*self.config.changes, *(f"mix/{t:g}" for t in self.config.mixes)], f"test:{self.config.n}"
        )

    def run(self, embeddings: Embeddings, *, others: Mapping[str, Embeddings] | None = None, seed: int = 0) -> Scores:
        """See the base; the stores of `variants` are those of the same test images, changed. Partners are those among
        all test items of `embeddings`, which must therefore be all that the images have."""
        self.check_needs(embeddings)
        there, without = self.variants_among(embeddings, others)
        test = by_id(embeddings, "test")
        part = in_all(test, there.values(), self.config.n, rng(seed, "smoothness items"))
        caveats = [f"Of {len(part):,} of {len(test):,} test items."] if 0 < len(part) < len(test) else []
        caveats += without
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
        moved = {name: _lengths(paired(part, there[name])[1], part.x) for name in self.config.changes if name in there}
        apart = _random_distance(part.x, rng(seed, "smoothness pairs"))
        if not moved or not len(part):
            caveats.append(
                "Smoothness is undefined: there are no stores of the slightly changed images. A run's are extracted "
                "anew; a foreign store has none."
            )
        elif not apart > 0:
            caveats.append("Smoothness is undefined: all vectors are equal, or there is only one.")
        else:
            items = 1 - np.mean(list(moved.values()), axis=0) / apart
            metrics = {"smoothness": float(items.mean()), "change": float(1 - items.mean())}
            return Scores(
                metrics,
                {"smoothness": bootstrap_mean(items, rng(seed, "interval", self.name))},
                details={name: float(lengths.mean() / apart) for name, lengths in moved.items()},
                items=Items(part.ids, {"smoothness": items}),
            )
        return Scores(metrics)

    def _way(self, part: Part, test: Part, there: Mapping[str, Embeddings], caveats: list[str]) -> Scores:
        """`path`, `path_ends` and `path_chance`, per place in details."""
        metrics = dict.fromkeys(("path", "path_ends", "path_chance"), NAN)
        mixed = {t: there[f"mix/{t:g}"] for t in self.config.mixes if f"mix/{t:g}" in there}
        known = test.y != UNKNOWN
        gallery = test.take(known)
        with_whom = partners(test.ids)[np.searchsorted(test.ids, part.ids)]
        kept = (part.y != UNKNOWN) & (test.y[with_whom] != UNKNOWN)
        if not mixed or not len(part):
            caveats.append("The path is undefined: there are no stores of mixed images.")
            return Scores(metrics)
        if len(gallery) < self.config.k + 2 or not kept.any():
            caveats.append(
                f"The path is undefined: {len(gallery)} labelled test items, of which {kept.sum()} have a labelled "
                f"partner; {self.config.k + 2} or more are needed."
            )
            return Scores(metrics)
        pairs = _Pairs(part.ids[kept], test.ids[with_whom[kept]], part.y[kept], test.y[with_whom[kept]])
        codes = {f"{t:g}": paired(part, store)[1][kept] for t, store in mixed.items()}
        found = {t: float(self._agreement(x, pairs, gallery).mean()) for t, x in codes.items()}
        metrics["path"] = float(np.mean(list(found.values())))
        metrics["path_ends"] = float(self._agreement(part.x[kept], pairs, gallery).mean())
        metrics["path_chance"] = float(pairs.chance(gallery.y).mean())
        return Scores(metrics, details={"0": metrics["path_ends"], **found})

    def _agreement(self, x: np.ndarray, pairs: _Pairs, gallery: Part) -> np.ndarray:
        """Share (n,) of the k nearest of the gallery, the two images themselves left out, that have either class."""
        position = nearest(x, gallery.x, self.config.k + 2, self.config.metric)[1]
        names = gallery.ids[position]
        allowed = (names != pairs.first[:, None]) & (names != pairs.second[:, None])
        # The first k of those that are allowed; of k + 2 at most two are not.
        used = allowed & (np.cumsum(allowed, axis=1) <= self.config.k)
        classes = gallery.y[position]
        either = (classes == pairs.first_class[:, None]) | (classes == pairs.second_class[:, None])
        return np.asarray((either & used).sum(1) / used.sum(1))


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
