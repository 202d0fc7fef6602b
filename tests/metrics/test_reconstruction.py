"""Distances of images from their reconstructions against scikit-image, torchmetrics and direct formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torchmetrics.functional.image import peak_signal_noise_ratio

from phispace.errors import InputError
from phispace.metrics.reconstruction import noise_norms, noise_removed, psnr, psnr_of, squared_error, ssim


def pictures(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Smooth images in [0, 1] and noisy copies of them, float32."""
    rng = np.random.default_rng(seed)
    x = ndimage.gaussian_filter(rng.random(shape), (0, 0, 1.5, 1.5))
    x = (x - x.min()) / (x.max() - x.min())
    y = np.clip(x + 0.1 * rng.standard_normal(shape), 0, 1)
    return x.astype(np.float32), y.astype(np.float32)


def window() -> np.ndarray:
    one = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    return np.outer(one, one) / one.sum() ** 2


def ssim_formula(x: np.ndarray, y: np.ndarray) -> float:
    """Of one channel (H, W), continued by reflection without the border pixel itself, in float64."""
    x, y, w = x.astype(np.float64), y.astype(np.float64), window()

    def mean(a: np.ndarray) -> np.ndarray:
        return ndimage.correlate(a, w, mode="mirror")

    c1, c2 = 0.01**2, 0.03**2
    mx, my = mean(x), mean(y)
    vx, vy, c = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    return float((((2 * mx * my + c1) * (2 * c + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


@pytest.mark.parametrize("shape", [(4, 1, 8, 8), (3, 3, 32, 32), (2, 1, 6, 17)])
def test_ssim_is_its_formula(shape):
    x, y = pictures(shape)
    expected = [np.mean([ssim_formula(a, b) for a, b in zip(i, j, strict=True)]) for i, j in zip(x, y, strict=True)]
    np.testing.assert_allclose(ssim(x, y), expected, atol=1e-5)


def test_ssim_inside_the_border_is_scikit_images():
    from skimage import metrics

    x, y = pictures((1, 1, 40, 40))
    _, theirs = metrics.structural_similarity(
        x[0, 0], y[0, 0], data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    whole = theirs[5:-5, 5:-5].mean()
    from torchmetrics.functional.image import structural_similarity_index_measure

    _, ours = structural_similarity_index_measure(
        torch.from_numpy(y), torch.from_numpy(x), data_range=1.0, return_full_image=True
    )
    assert float(ours[0, 0, 5:-5, 5:-5].mean()) == pytest.approx(whole, abs=1e-5)


def test_squared_error_and_psnr():
    x, y = pictures((5, 3, 16, 16))
    expected = [float(((a.astype(np.float64) - b) ** 2).sum() / a.size) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(squared_error(x, y), expected, rtol=1e-9)
    theirs = [float(peak_signal_noise_ratio(torch.from_numpy(b), torch.from_numpy(a), data_range=1.0))
              for a, b in zip(x, y, strict=True)]  # fmt: skip
    np.testing.assert_allclose(psnr(x, y), theirs, atol=1e-4)
    np.testing.assert_allclose(psnr_of(np.array([1.0, 0.01])), [0, 20])


def test_equal_constant_and_small_images():
    x, _ = pictures((3, 1, 12, 12))
    assert squared_error(x, x).tolist() == [0, 0, 0]
    assert np.isposinf(psnr(x, x)).all()
    np.testing.assert_allclose(ssim(x, x), 1, atol=1e-6)
    black, white = np.zeros((2, 1, 12, 12), np.float32), np.ones((2, 1, 12, 12), np.float32)
    assert psnr(black, white).tolist() == [0, 0]
    assert ssim(black, white).max() < 0.001
    np.testing.assert_allclose(ssim(black, black), 1)
    assert np.isnan(ssim(x[:, :, :5], x[:, :, :5])).all()
    assert len(ssim(x[:0], x[:0])) == len(squared_error(x[:0], x[:0])) == 0


def test_other_shapes_are_refused():
    x, _ = pictures((3, 1, 12, 12))
    with pytest.raises(InputError, match=r"\(N, C, H, W\) alike"):
        ssim(x, x[:2])
    with pytest.raises(InputError, match=r"\(N, C, H, W\) alike"):
        squared_error(x[0], x[0])


def projection(k: int, shape: tuple[int, ...], seed: int = 0):
    """Images -> their orthogonal projections onto k random directions of their D values."""
    d = int(np.prod(shape[1:]))
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, k)))
    return lambda x: (x.reshape(len(x), -1) @ q @ q.T).reshape(x.shape)


@pytest.mark.parametrize(("k", "d"), [(1, 64), (16, 64), (63, 64), (64, 64)])
def test_a_projection_onto_k_of_d_dimensions_removes_what_lies_across(k, d):
    rng = np.random.default_rng(1)
    x = rng.random((3000, 1, 8, 8))
    noisy = x + 0.08 * rng.standard_normal(x.shape)
    decode = projection(k, x.shape)
    noise, passed = noise_norms(x, noisy, decode(x), decode(noisy))
    # each norm is a sum of 3000 k squares: its relative deviation is sqrt(2 / (3000 k))
    assert noise_removed(noise, passed) == pytest.approx(1 - k / d, abs=5 * (k / d) * np.sqrt(2 / (3000 * k)) + 1e-9)


def test_noise_norms_are_of_the_noise_that_is_there():
    x, clipped = pictures((4, 3, 8, 8))
    decode = projection(20, x.shape)
    noise, passed = noise_norms(x, clipped, decode(x), decode(clipped))
    flat = (clipped.astype(np.float64) - x).reshape(4, -1)
    np.testing.assert_allclose(noise, (flat**2).sum(1), rtol=1e-9)
    np.testing.assert_allclose(passed, (decode(flat[:, :, None, None])[:, :, 0, 0] ** 2).sum(1), rtol=1e-5)
    assert noise_removed(noise, passed) == pytest.approx(1 - passed.sum() / noise.sum())


def test_identity_constant_and_amplified_noise():
    x, noisy = pictures((6, 1, 8, 8))
    assert noise_removed(*noise_norms(x, noisy, x, noisy)) == 0
    assert noise_removed(*noise_norms(x, noisy, np.zeros_like(x), np.zeros_like(x))) == 1
    assert noise_removed(*noise_norms(x, noisy, 2 * x, 2 * noisy)) == pytest.approx(-3, rel=1e-6)
    assert np.isnan(noise_removed(*noise_norms(x, x, x, x))), "without noise there is no share of it"
    assert np.isnan(noise_removed([], []))
    assert np.isnan(noise_removed(*noise_norms(x, noisy, x, np.full_like(x, np.nan))))
    with pytest.raises(InputError, match="alike"):
        noise_norms(x, noisy[:3], x, noisy)
