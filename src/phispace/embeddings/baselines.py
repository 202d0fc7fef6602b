"""Embeddings that nobody trained: raw pixels and their principal components, to hold every score against.

Ordinary stores. The third baseline, the encoder untrained, is made by extraction like any other store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.metrics.eigen import eigenvectors

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet

_BLOCK = 4096
_COVARIANCE_DIMS = 4096


def pixels(images: ImageSet, splits: Sequence[str] | None = None, max_side: int | None = None) -> Embeddings:
    """Flattened pixels as floats in [0, 1].

    Args:
        images: any set.
        splits: only these; by default all.
        max_side: make images larger than this smaller (area average, sides kept in proportion); None = as they are.

    Returns:
        float32 (N, C * H * W) in the order (C, H, W), which the manifest gives as `feature_shape`; the items carry
        `image`, the position in the set, and known factors.

    Raises:
        InputError: an unknown split, or no image in these.
    """
    chosen = images.where(*(splits or ()))
    if not len(chosen):
        raise InputError(f"{images.name} has no images in {', '.join(splits or ('any split',))}.")
    channels, height, width = images.shape
    if max_side is not None and max_side < 1:
        raise InputError(f"max_side must be at least 1; got {max_side}.")
    shrink = 1.0 if max_side is None else min(1.0, max_side / max(height, width))
    shape = (channels, max(1, round(height * shrink)), max(1, round(width * shrink)))
    vectors = np.empty((len(chosen), int(np.prod(shape))), np.float32)
    row = 0
    for block in pixel_rows(images, chosen, shape):
        vectors[row : row + len(block)] = block
        row += len(block)
    return Embeddings.build(
        vectors,
        images.ids[chosen],
        images.labels[chosen],
        images.split[chosen],
        images.classes,
        columns=images.columns(chosen),
        name="pixels",
        layer="pixels",
        images=images.name,
        fingerprint=images.fingerprint,
        feature_shape=list(shape),
    )


def pixel_rows(
    images: ImageSet, positions: np.ndarray, shape: tuple[int, int, int] | None = None
) -> Iterator[np.ndarray]:
    """The pixels of these images as rows float32 (B, C * H * W) in [0, 1], block by block; made smaller to `shape`."""
    for start in range(0, len(positions), _BLOCK):
        block = np.asarray(images.images[positions[start : start + _BLOCK]])
        yield _floats(block, shape or images.shape).reshape(len(block), -1)


def _floats(block: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """uint8 (B, H, W, C) -> float32 (B, *shape), in [0, 1]."""
    x = np.ascontiguousarray(block.transpose(0, 3, 1, 2), np.float32) / np.float32(255)
    if x.shape[1:] == shape:
        return x
    import torch

    return torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(x), shape[1:]).numpy()


@dataclass(frozen=True)
class Components:
    """Principal components of some vectors.

    Attributes:
        mean: float64 (D,).
        weights: float32 (D, K), one component a column, by falling variance; its largest weight is positive.
        explained_variance: their share of the variance.
    """

    mean: np.ndarray
    weights: np.ndarray
    explained_variance: float

    def project(self, rows: np.ndarray) -> np.ndarray:
        """Rows (B, D) in the components, float32 (B, K)."""
        return _centred(rows, self.mean) @ self.weights


def fit_pca(embeddings: Embeddings, n_components: int = 128, rng: np.random.Generator | None = None) -> Components:
    """Principal components of a store's train split.

    Up to 4,096 dimensions from the covariance, summed over blocks; above, by a randomised decomposition.

    Args:
        embeddings: with items of split train; only these are looked at.
        n_components: at most; clipped to what the train part spans (its dimensions, or its items less one).
        rng: for the randomised decomposition only.

    Raises:
        InputError: fewer than two training items, or n_components below 1.
    """
    train = np.flatnonzero(embeddings.splits == "train")
    if len(train) < 2 or n_components < 1:
        raise InputError(
            f"PCA needs at least 2 items of split train and 1 component; got {len(train)} and {n_components}."
        )
    mean = _mean(embeddings.vectors, train)
    count = min(n_components, embeddings.dim, len(train) - 1)
    if embeddings.dim <= _COVARIANCE_DIMS:
        weights, share = _by_covariance(embeddings.vectors, train, mean, count)
    else:
        weights, share = _by_sketch(embeddings.vectors, train, mean, count, rng or np.random.default_rng(0))
    largest = np.abs(weights).argmax(0)
    weights = (weights * np.where(weights[largest, np.arange(count)] < 0, -1, 1)).astype(np.float32)
    return Components(mean, weights, share)


def pca(embeddings: Embeddings, n_components: int = 128, rng: np.random.Generator | None = None) -> Embeddings:
    """A store in its principal components, fitted on its train split only; all items are projected.

    Args:
        embeddings, n_components, rng: as for `fit_pca`.

    Returns:
        float32 (N, n_components); the manifest says `name` pca, `n_components`, `explained_variance` (share).

    Raises:
        InputError: as for `fit_pca`.
    """
    return in_components(embeddings, fit_pca(embeddings, n_components, rng))


def in_components(embeddings: Embeddings, components: Components) -> Embeddings:
    """A store in components that are known: `pca` without the fit."""
    vectors = np.empty((len(embeddings), components.weights.shape[1]), np.float32)
    for start in range(0, len(embeddings), _BLOCK):
        vectors[start : start + _BLOCK] = components.project(embeddings.vectors[start : start + _BLOCK])
    manifest: dict[str, Any] = {
        **inherited(embeddings.manifest),
        "name": "pca",
        "layer": f"pca of {embeddings.manifest.get('name', embeddings.manifest.get('layer', 'vectors'))}",
        "n_components": vectors.shape[1],
        "explained_variance": components.explained_variance,
    }
    return Embeddings(vectors, embeddings.items, manifest)


def inherited(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a store made from another one keeps of its manifest: what concerns the items, not the vectors."""
    return {k: manifest[k] for k in ("classes", "images", "fingerprint", "run", "checkpoint") if k in manifest}


def _centred(block: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return np.asarray(block, np.float32) - mean.astype(np.float32)


def _mean(vectors: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """float64 (D,), summed over blocks."""
    total = np.zeros(vectors.shape[1])
    for start in range(0, len(rows), _BLOCK):
        total += vectors[rows[start : start + _BLOCK]].sum(0, dtype=np.float64)
    return total / len(rows)


def _by_covariance(vectors: np.ndarray, rows: np.ndarray, mean: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """Leading eigenvectors (D, count), float64, and their share of the variance."""
    scatter = np.zeros((vectors.shape[1],) * 2)
    for start in range(0, len(rows), _BLOCK):
        block = _centred(vectors[rows[start : start + _BLOCK]], mean)
        scatter += block.T @ block
    values, directions = eigenvectors(scatter)
    total = float(values.clip(0).sum())
    share = float(values[-count:].clip(0).sum() / total) if total > 0 else float("nan")
    return directions[:, ::-1][:, :count], share


def _by_sketch(
    vectors: np.ndarray, rows: np.ndarray, mean: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """As `_by_covariance`, by scikit-learn's randomised decomposition of the centred rows."""
    from sklearn.utils.extmath import randomized_svd

    x = _centred(vectors[rows], mean)
    seed = int(rng.integers(2**31))
    _, sigma, directions = randomized_svd(x, count, n_iter=4, random_state=seed)
    total = float(np.einsum("ij,ij->", x, x, dtype=np.float64))
    share = float((sigma.astype(np.float64) ** 2).sum() / total) if total > 0 else float("nan")
    return directions.T.astype(np.float64), share
