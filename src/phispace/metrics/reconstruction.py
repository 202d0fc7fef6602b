"""How near an image is to its reconstruction, image by image; pixel values run from 0 to 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from phispace.errors import InputError

LEAST_SIDE = 6
"""Pixels a side below which SSIM is not defined: its window of 11x11 cannot be filled by reflection."""


def squared_error(images: Any, reconstructions: Any) -> np.ndarray:
    """Mean over the values of an image of (x - x̂)², float64 (N,), for images (N, C, H, W)."""
    x, y = _pair(images, reconstructions)
    return np.asarray(((x.astype(np.float64) - y) ** 2).mean((1, 2, 3)))


def psnr(images: Any, reconstructions: Any) -> np.ndarray:
    """-10 log10 of `squared_error` in decibels, float64 (N,); infinite where an image is given back exactly."""
    return psnr_of(squared_error(images, reconstructions))


def psnr_of(error: np.ndarray) -> np.ndarray:
    """The same from mean squared errors (N,)."""
    with np.errstate(divide="ignore"):
        return np.asarray(-10 * np.log10(error))


def ssim(images: Any, reconstructions: Any) -> np.ndarray:
    """Structural similarity, float64 (N,): 1 for equal images; mean over all pixels and channels.

    torchmetrics' with its defaults, which are the source's: Gaussian window of deviation 1.5 on 11x11 pixels,
    K1 = 0.01, K2 = 0.03, range 1. At the border images are continued by reflection, where the source leaves the border
    out. `nan` for images under 6 pixels a side.

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment", IEEE TIP 13, 2004.
    """
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure

    x, y = _pair(images, reconstructions)
    if min(x.shape[2:]) < LEAST_SIDE or not len(x):
        return np.full(len(x), np.nan)
    back, seen = [torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in (y, x)]
    found = structural_similarity_index_measure(back, seen, data_range=1.0, reduction="none")
    return np.asarray(torch.as_tensor(found).double().reshape(-1).numpy())


def noise_norms(images: Any, noisy: Any, reconstructions: Any, of_noisy: Any) -> tuple[np.ndarray, np.ndarray]:
    """Image by image ‖n‖² and ‖g(φ(x + n)) - g(φ(x))‖², float64 (N,) each.

    Args:
        images, noisy: x and x + n, (N, C, H, W). The noise is what is really there: `noisy` less `images`, after
            whatever cut and rounded it.
        reconstructions, of_noisy: what the decoder gives back of each.
    """
    (x, beside), (y, moved) = _pair(images, noisy), _pair(reconstructions, of_noisy)
    noise, passed = (((b.astype(np.float64) - a) ** 2).sum((1, 2, 3)) for a, b in ((x, beside), (y, moved)))
    return noise, passed


def noise_removed(noise: Any, passed: Any) -> float:
    """1 - Σ passed / Σ noise over images, of the two norms that `noise_norms` gives; `nan` without any noise.

    1: images beside the manifold of the decoder's images are thrown back onto it, 0: the noise passes through, as it
    does through the identity; below 0 it grows. An orthogonal projection onto k of D dimensions takes away 1 - k / D of
    noise that is alike in all directions. A constant decoder has 1 too: read it beside `squared_error`.
    """
    whole = float(np.sum(noise, dtype=np.float64))
    return 1 - float(np.sum(passed, dtype=np.float64)) / whole if whole > 0 else float("nan")


def _pair(images: Any, reconstructions: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(images), np.asarray(reconstructions)
    if x.ndim != 4 or x.shape != y.shape:
        raise InputError(f"Images and reconstructions are (N, C, H, W) alike; got {x.shape} and {y.shape}.")
    return x, y
