"""Patches of images: drawing them, their contrast, their moments and what whitens them. Pure functions but for sums."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_patches(images: Tensor, patch: int, count: int, generator: torch.Generator) -> Tensor:
    """Patches at random places, each place equally likely: (B, C, H, W) -> (B count, C patch patch).

    Args:
        count: of each image; places may repeat.
        generator: on the CPU.
    """
    view = images.unfold(2, patch, 1).unfold(3, patch, 1)  # (B, C, h, w, patch, patch), no copy
    b, _, h, w = view.shape[:4]
    places = torch.randint(h * w, (b, count), generator=generator).to(images.device)
    whose = torch.arange(b, device=images.device)[:, None].expand(b, count)
    return view[whose, :, places // w, places % w].reshape(b * count, -1)


def normalise_contrast(patches: Tensor, contrast: float) -> Tensor:
    """(p - mean(p)) / sqrt(var(p) + contrast) of each row of (P, d)."""
    variance, mean = torch.var_mean(patches, dim=1, correction=0, keepdim=True)
    return (patches - mean) / (variance + contrast).sqrt()


class Moments:
    """Mean and covariance of rows that come in blocks, in float64: two sums, whatever the number of rows."""

    def __init__(self, values: int) -> None:
        self.count = 0
        self._sum = torch.zeros(values, dtype=torch.float64)
        self._products = torch.zeros(values, values, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Rows (P, d)."""
        wide = rows.detach().cpu().double()
        self.count += len(wide)
        self._sum += wide.sum(0)
        self._products += wide.T @ wide

    def result(self) -> tuple[Tensor, Tensor]:
        """Mean (d,) and covariance (d, d), divided by the number of rows."""
        mean = self._sum / self.count
        return mean, self._products / self.count - torch.outer(mean, mean)


def zca(covariance: Tensor, epsilon: float) -> Tensor:
    """W = V diag(1 / sqrt(λ + epsilon)) Vᵀ, symmetric (d, d), with λ, V the eigenvalues and vectors of a covariance.

    Of all whitening matrices it changes the patches least (in squared distance, at epsilon 0).

    Source: Bell and Sejnowski, "The independent components of natural scenes are edge filters", 1997, section 2; with
    epsilon as in Coates and Ng, "Learning Feature Representations with K-Means", 2012, section 2.
    """
    values, vectors = torch.linalg.eigh(covariance.double())
    return (vectors / (values.clamp_min(0) + epsilon).sqrt()) @ vectors.T


class Sample:
    """So many rows of a stream, each equally likely to be among them, by the largest of random keys."""

    def __init__(self, size: int, values: int) -> None:
        self.size = size
        self.rows = torch.empty(0, values)
        self._keys = torch.empty(0, dtype=torch.float64)

    def add(self, rows: Tensor, generator: torch.Generator) -> None:
        """Offer rows (P, d)."""
        keys = torch.cat([self._keys, torch.rand(len(rows), generator=generator, dtype=torch.float64)])
        kept = keys.topk(min(self.size, len(keys))).indices
        self.rows = torch.cat([self.rows, rows.detach().cpu()])[kept]
        self._keys = keys[kept]
