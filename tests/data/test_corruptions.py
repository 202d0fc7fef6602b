"""Corruptions: what each promises for any images, and each against an independent evaluation of its formula."""

from __future__ import annotations

import itertools
from io import BytesIO

import numpy as np
import pytest
import torch
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_sample_image
from torchvision.transforms.v2 import functional as TF

from phispace.data.corruptions import BENCHMARK, SEVERITIES, corrupt, corruption_names, describe_corruption
from phispace.data.corruptions.base import Draws
from phispace.data.corruptions.blur import disc
from phispace.data.corruptions.elastic import affine_places
from phispace.data.corruptions.fog import clouds
from phispace.data.corruptions.motion import trail
from phispace.data.corruptions.resampling import coarse
from phispace.errors import InputError, UnfitError

KINDS = corruption_names()
DRAWN = {"gaussian-noise", "shot-noise", "impulse-noise", "motion-blur", "fog", "elastic"}
SHAPES = [(32, 32, 3), (28, 28, 1), (8, 8, 1), (33, 20, 3), (1, 1, 3), (64, 64, 3)]
every = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """48 crops of 32 x 32 of a photograph of a temple."""
    photo = load_sample_image("china.jpg")[::2, ::2]
    return np.stack([photo[y : y + 32, x : x + 32] for y in range(0, 192, 32) for x in range(0, 256, 32)])


def noise(count: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


def names(count: int) -> list[str]:
    return [f"item/{i}" for i in range(count)]


def grey(value: int, side: int = 64, count: int = 8, channels: int = 3) -> np.ndarray:
    return np.full((count, side, side, channels), value, np.uint8)


@every
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_size_grey_and_colour(kind: str, shape: tuple[int, int, int]) -> None:
    x = noise(5, shape)
    before = x.copy()
    if kind == "saturate" and shape[2] == 1:
        with pytest.raises(UnfitError, match="these images are grey"):
            corrupt(x, names(5), kind, 1)
        return
    for severity in SEVERITIES:
        y = corrupt(x, names(5), kind, severity)
        assert y.shape == x.shape
        assert y.dtype == np.uint8
    assert np.array_equal(x, before)


@every
def test_an_image_is_changed_the_same_way_in_any_company(kind: str, crops: np.ndarray) -> None:
    ids = np.array(names(len(crops)))
    together = corrupt(crops, ids, kind, 3, seed=5)
    some = np.array([40, 3, 17])
    assert np.array_equal(corrupt(crops[some], ids[some], kind, 3, seed=5), together[some])
    assert np.array_equal(corrupt(crops, ids, kind, 3, seed=6), together) == (kind not in DRAWN)
    assert np.array_equal(corrupt(crops[:1], ["other"], kind, 3, seed=5), together[:1]) == (kind not in DRAWN)


@every
def test_a_higher_severity_changes_more(kind: str, crops: np.ndarray) -> None:
    change = [float(np.abs(corrupt(crops, names(len(crops)), kind, s).astype(int) - crops).mean()) for s in SEVERITIES]
    assert min(change) > 0.3
    if kind == "saturate":  # paler, paler still; stronger, stronger still, strongest
        assert change[0] < change[1]
        change = change[2:]
    if kind != "elastic":  # where the stretch of the whole gives way to a finer wobble, as in the original
        assert all(a < b for a, b in itertools.pairwise(change))


def test_normal_noise_has_its_deviation() -> None:
    made = corrupt(grey(128), names(8), "gaussian-noise", 5).astype(float) / 255
    assert made.mean() == pytest.approx(128 / 255, abs=1e-3)
    assert made.std() == pytest.approx(0.10, rel=0.02)
    # the same draws at each severity: only the strength differs
    weak = corrupt(grey(128), names(8), "gaussian-noise", 1).astype(float) - 128
    assert np.corrcoef(weak.ravel(), made.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("value", [40, 128])
def test_shot_noise_has_the_variance_of_a_count(value: int) -> None:
    made = corrupt(grey(value), names(8), "shot-noise", 3).astype(float) / 255
    assert made.mean() == pytest.approx(value / 255, abs=2e-3)
    assert made.var() == pytest.approx(value / 255 / 100, rel=0.04)


def test_impulses_hit_their_share_one_channel_at_a_time() -> None:
    made = corrupt(grey(100), names(8), "impulse-noise", 5)
    assert (made == 0).mean() == pytest.approx(0.035, rel=0.06)
    assert (made == 255).mean() == pytest.approx(0.035, rel=0.06)
    assert np.isin(made, [0, 100, 255]).all()
    hit = made != 100
    assert (hit.any(-1) & ~hit.all(-1)).sum() > 0.9 * hit.any(-1).sum()


def test_gaussian_blur_is_torchvisions_inside(crops: np.ndarray) -> None:
    x = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
    expected = TF.gaussian_blur(x, [9, 9], [0.8, 0.8]).permute(0, 2, 3, 1).numpy()
    made = corrupt(crops, names(len(crops)), "gaussian-blur", 4)
    assert np.abs(made.astype(float) - expected)[:, 5:-5, 5:-5].max() < 0.51


def test_defocus_is_a_convolution_with_a_soft_disc(crops: np.ndarray) -> None:
    kernel = disc(1.5, 0.1)
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    assert np.allclose(kernel[kernel > 1e-3], 1 / 9, atol=2e-3)  # of radius 1.5: nine pixels
    expected = ndimage.convolve(crops.astype(np.float64), kernel[None, :, :, None], mode="mirror")
    made = corrupt(crops, names(len(crops)), "defocus-blur", 5)
    assert np.abs(made - expected).max() < 0.51
    assert disc(3.0, 0.2).shape[0] > disc(1.5, 0.1).shape[0]


def test_a_point_leaves_a_trail() -> None:
    x = np.zeros((400, 33, 33, 1), np.uint8)
    x[:, 16, 16] = 255
    made = corrupt(x, names(400), "motion-blur", 4).astype(float)[..., 0]
    assert made.sum((1, 2)) == pytest.approx(255, rel=0.03)
    weight = trail(8 * 33 / 32, 2.0 * 33 / 32)
    assert made[:, 16, 16] == pytest.approx(255 * weight[0], abs=1)
    lit = made > 2
    rows, columns = np.nonzero(lit.any(0))
    assert 8 <= columns.min() <= columns.max() <= 16  # all on one side, no farther than the reach
    assert (np.abs(rows - 16) <= 16 - columns + 1).all()  # within 45 degrees
    assert set(np.unique(lit.sum((1, 2)))) <= set(range(4, 10))


def test_zoom_blur_is_a_mean_of_magnifications(crops: np.ndarray) -> None:
    made = corrupt(crops[:4], names(4), "zoom-blur", 3)
    factors = np.arange(1, 1.16, 0.01)
    total = crops[:4].astype(np.float64)
    for z in factors:
        offset = 15.5 - 15.5 / z
        each = [
            ndimage.affine_transform(im[..., c].astype(np.float64), [1 / z, 1 / z], offset, order=1, mode="nearest")
            for im in crops[:4]
            for c in range(3)
        ]
        total += np.stack(each).reshape(4, 3, 32, 32).transpose(0, 2, 3, 1)
    assert np.abs(made - total / (len(factors) + 1)).max() < 0.6


def test_fog_covers_white_by_its_field() -> None:
    made = corrupt(grey(255, count=3), names(3), "fog", 5).astype(float) / 255
    field = clouds(Draws(names(3), "fog", 0), (64, 64), 1.75)
    assert np.allclose(made, ((1 + 1.5 * field) / 2.5)[..., None].clip(0, 1), atol=0.003)
    assert field.min() == 0
    assert field.max() == 1
    # cloudy: neighbours are alike, far parts are not
    near = np.corrcoef(field[:, 1:].ravel(), field[:, :-1].ravel())[0, 1]
    assert near > 0.95
    assert field.std() > 0.1
    assert not corrupt(np.zeros((1, 32, 32, 3), np.uint8), ["a"], "fog", 3).any()


def hsv(x: np.ndarray) -> np.ndarray:
    return rgb_to_hsv(x.astype(np.float64) / 255)


def test_brightness_raises_the_value_and_nothing_else(crops: np.ndarray) -> None:
    x = np.concatenate([crops, noise(4, (32, 32, 3))])
    expected = hsv(x)
    expected[..., 2] = np.minimum(expected[..., 2] + 0.2, 1)
    assert np.abs(corrupt(x, names(len(x)), "brightness", 4) - hsv_to_rgb(expected) * 255).max() < 0.51
    assert (corrupt(grey(10, channels=1), names(8), "brightness", 4) == 61).all()
    assert (corrupt(grey(0), names(8), "brightness", 4) == 51).all()


@pytest.mark.parametrize(("severity", "factor", "summand"), [(1, 0.3, 0.0), (3, 1.5, 0.0), (5, 2.5, 0.2)])
def test_saturation(severity: int, factor: float, summand: float) -> None:
    x = noise(6, (32, 32, 3))
    x[0] = x[0, :, :, :1]  # without colour: stays as it is
    expected = hsv(x)
    expected[..., 1] = np.where(expected[..., 1] > 0, np.minimum(expected[..., 1] * factor + summand, 1), 0)
    made = corrupt(x, names(6), "saturate", severity)
    assert np.abs(made - hsv_to_rgb(expected) * 255).max() < 0.51
    assert np.array_equal(made[0], x[0])


def test_contrast_keeps_the_mean(crops: np.ndarray) -> None:
    made = corrupt(crops, names(len(crops)), "contrast", 5).astype(float)
    mean = crops.mean((1, 2), keepdims=True)
    assert np.abs(made - (mean + 0.15 * (crops - mean))).max() < 0.51


def test_elastic_follows_its_field(crops: np.ndarray) -> None:
    assert np.allclose(affine_places(np.zeros((1, 3, 2)), 7, 9)[0], np.stack(np.mgrid[:7, :9], -1), atol=1e-5)
    moves = np.array([[[1.0, 0.5], [-2.0, 0.0], [0.25, 3.0]]])
    places = affine_places(moves, 31, 31)[0]
    for k, (down, right) in enumerate([(10, 10), (10, -10), (-10, -10)]):
        assert places[15 + down, 15 + right] == pytest.approx(np.array([15 + down, 15 + right]) + moves[0, k], abs=1e-4)
    assert (corrupt(grey(77), names(8), "elastic", 5) == 77).all()
    # severity 1 has no wobble: one affine map, found again from the draws
    drawn = 2 * Draws(["x"], "elastic", 0).uniform(6 + 2 * 32 * 32)[:, :6] - 1
    place = affine_places(drawn.reshape(1, 3, 2) * 0.08 * 32, 32, 32)[0]
    image = crops[9].astype(np.float64)
    expected = np.stack(
        [ndimage.map_coordinates(image[..., c], place.transpose(2, 0, 1), order=1, mode="reflect") for c in range(3)],
        axis=-1,
    )
    made = corrupt(crops[9:10], ["x"], "elastic", 1)[0]
    assert np.abs(made - expected).max() < 0.7


def test_pixels_become_larger(crops: np.ndarray) -> None:
    assert np.allclose(coarse(32, 1.0), np.eye(32))
    halves = coarse(8, 0.5)
    assert np.allclose(halves, np.kron(np.eye(4), np.full((2, 2), 0.5)))
    thirds = coarse(3, 0.7) @ np.array([0.0, 3.0, 6.0])  # two cells: (0 + 3/2) / 1.5 and (3/2 + 6) / 1.5
    assert thirds == pytest.approx([1.0, 5.0, 5.0])
    made = corrupt(crops, names(len(crops)), "pixelate", 5)
    assert len(np.unique(made[0], axis=0)) <= 20  # int(0.65 * 32) different rows


def test_jpeg_is_jpeg(crops: np.ndarray) -> None:
    made = corrupt(crops, names(len(crops)), "jpeg", 5)
    stream = BytesIO()
    Image.fromarray(crops[7]).save(stream, "JPEG", quality=40)
    assert np.array_equal(made[7], np.asarray(Image.open(stream)))
    assert not np.array_equal(made[7], crops[7])


def test_wrong_requests() -> None:
    x = noise(2, (8, 8, 3))
    assert len(BENCHMARK) == 12
    assert all(describe_corruption(kind) for kind in KINDS)
    with pytest.raises(InputError, match="Did you mean fog"):
        corrupt(x, names(2), "fogg", 1)
    with pytest.raises(InputError, match="severity is 1, 2, 3, 4 or 5; got 6"):
        corrupt(x, names(2), "fog", 6)
    with pytest.raises(InputError, match="2 images and 3 ids"):
        corrupt(x, names(3), "fog", 1)
    with pytest.raises(InputError, match="uint8 images"):
        corrupt(x.astype(np.float32), names(2), "fog", 1)
