"""How alike several representations of the same items are: of layers, of epochs, of methods.

Three measures that ask different things, each 1 for the same representation up to rotation and scale:

    cka            debiased linear CKA: do the large directions agree; over all items, in minibatches
    cka_biased     linear CKA as most papers give it: close to 1 for wide representations of few items
    procrustes     1 - d/2 of the orthogonal Procrustes distance d: do all directions agree
    mutual_knn     share of the k nearest neighbours in common: does the neighbourhood agree, whatever lies far away
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.protocol import Part, by_id, shown_split
from phispace.metrics.cka import linear_cka, minibatch_cka_matrix
from phispace.metrics.neighbours import mutual_knn
from phispace.metrics.procrustes import procrustes_similarity
from phispace.metrics.separation import sample_items
from phispace.randomness import rng

MEASURES = ("cka", "cka_biased", "procrustes", "mutual_knn")
_LEAST = 4  # items that the unbiased HSIC needs


@dataclass(frozen=True)
class Similarities:
    """Representations held against each other.

    Attributes:
        labels: of the S stores.
        split: the part that was looked at.
        n: items: those in common, and those of the measures that look at a sample.
        matrices: measure -> float64 (S, S), symmetric; `nan` where a representation does not vary.
        caveats: sentences a reader must know.
    """

    labels: tuple[str, ...]
    split: str
    n: dict[str, int]
    matrices: dict[str, np.ndarray]
    caveats: list[str] = field(default_factory=list)


def similarities(
    stores: Mapping[str, Embeddings],
    *,
    measures: tuple[str, ...] = MEASURES,
    split: str = "auto",
    max_items: int = 2000,
    batch_size: int = 1000,
    k: int = 10,
    seed: int = 0,
) -> Similarities:
    """Compare every two of some stores of the same images, paired by id.

    Args:
        stores: label -> store, of any widths; labels are not looked at.
        measures: among `MEASURES`.
        split: part to look at; auto = of the first store test, else val, else train, else unlabelled.
        max_items: items of `cka_biased`, `procrustes` and `mutual_knn`, drawn at random; `cka` looks at all of them.
        batch_size: items of a minibatch of `cka`; drawn in random order.
        k: neighbours of `mutual_knn`.

    Raises:
        InputError: fewer than two stores, no such measure or part, or fewer than 4 items in common.
    """
    check_measures(measures)
    if len(stores) < 2:
        raise InputError(f"Two stores or more are compared; got {len(stores)}.")
    labels, first = tuple(stores), next(iter(stores.values()))
    shown = shown_split(first, split)
    parts = [by_id(store, shown) for store in stores.values()]
    common = reduce(np.intersect1d, [part.ids for part in parts])
    if len(common) < _LEAST:
        raise InputError(f"The stores have {len(common)} {shown} items in common; at least {_LEAST} are needed.")
    parts = [_only(part, common) for part in parts]
    caveats = _about(parts, {label: store.part(shown) for label, store in stores.items()}, len(common), shown)
    drawn = sample_items(len(common), max_items, rng(seed, "similarity items"))
    sample = [part.x[drawn] for part in parts]
    k = min(k, len(drawn) - 1)
    matrices = {}
    for measure in measures:
        if measure == "cka":
            order = rng(seed, "similarity batches").permutation(len(common))
            matrices[measure] = _minibatches(parts, order, batch_size)
        else:
            matrices[measure] = _pairwise(measure, sample, k)
    n = {shown: len(common)}
    if len(drawn) < len(common) and set(measures) - {"cka"}:
        n["sample"] = len(drawn)
    if "procrustes" in measures and any(x.shape[1] >= len(drawn) for x in sample):
        caveats.append("Procrustes is close to 1 for whatever has as many dimensions as items.")
    return Similarities(labels, shown, n, matrices, caveats)


def check_measures(measures: Sequence[str]) -> None:
    """Raise InputError unless these are measures, one at least."""
    wrong = sorted(set(measures) - set(MEASURES))
    if wrong or not measures:
        raise InputError(f"Measures of similarity are {', '.join(MEASURES)}; got {', '.join(wrong) or 'none'}.")


def _only(part: Part, ids: np.ndarray) -> Part:
    keep = np.isin(part.ids, ids)
    return part if keep.all() else Part(part.x[keep], part.y[keep], part.ids[keep])


def _about(parts: list[Part], stores: Mapping[str, Embeddings], common: int, split: str) -> list[str]:
    caveats = []
    fewer = [label for label, store in stores.items() if len(store) > common]
    if fewer:
        caveats.append(f"Of the {common:,} {split} items in common; {', '.join(fewer)} has more.")
    still = [label for label, part in zip(stores, parts, strict=True) if (part.x == part.x[0]).all()]
    if still:
        caveats.append(f"Undefined for {', '.join(still)}: all vectors are equal.")
    return caveats


def _minibatches(parts: list[Part], order: np.ndarray, size: int) -> np.ndarray:
    """Debiased CKA (S, S); the items are dealt out evenly, so that no batch is too small to count."""
    batches = np.array_split(order, max(1, -(-len(order) // max(size, _LEAST))))
    if min(len(b) for b in batches) < _LEAST:
        batches = [order]
    scales = [_scale(part.x) for part in parts]
    # in the order of the file, which a sum over the batch does not see
    return minibatch_cka_matrix(
        [part.x[np.sort(b)] * s for part, s in zip(parts, scales, strict=True)] for b in batches
    )


def _scale(x: np.ndarray) -> np.float32:
    """A factor that brings the values near 1: HSIC is of their fourth power."""
    largest = float(np.abs(x).max())
    return np.float32(1 / largest if largest > 0 else 1)


def _pairwise(measure: str, sample: list[np.ndarray], k: int) -> np.ndarray:
    found = np.full((len(sample), len(sample)), np.nan)
    for i, a in enumerate(sample):
        for j, b in enumerate(sample[: i + 1]):
            found[i, j] = found[j, i] = _measured(measure, a, b, k)
    return found


def _measured(measure: str, a: np.ndarray, b: np.ndarray, k: int) -> float:
    if (a == a[0]).all() or (b == b[0]).all():
        return float("nan")
    if measure == "mutual_knn":
        return mutual_knn(a, b, k)
    return linear_cka(a, b) if measure == "cka_biased" else procrustes_similarity(a, b)
