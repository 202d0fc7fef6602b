"""Where pictures of a code look, and what they draw."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.stats import norm

from phispace.errors import InputError
from phispace.maps.image_rows import draw_image_rows
from phispace.maps.latent import draw_latent_scatter
from phispace.maps.latent_codes import linear, prior_grid, prior_quantiles, spherical, traversals


def test_quantiles_hold_equal_shares_of_the_prior():
    steps = prior_quantiles(11)
    np.testing.assert_allclose(norm.cdf(steps), np.linspace(0.01, 0.99, 11), atol=1e-6)
    for count, edge in ((1, 0.01), (5, 0.0), (5, 0.5)):
        with pytest.raises(InputError, match="at least 2 steps"):
            prior_quantiles(count, edge)


def test_a_grid_runs_as_a_plot_does():
    grid = prior_grid(5, 4, (1, 3))
    assert grid.shape == (5, 5, 4)
    assert (grid[..., [0, 2]] == 0).all()
    assert (np.diff(grid[0, :, 1]) > 0).all(), "the first dimension grows to the right"
    assert (np.diff(grid[:, 0, 3]) < 0).all(), "the second grows upwards"
    np.testing.assert_allclose(grid[2, 2], 0, atol=1e-6)
    for dims in ((0, 0), (0, 4), (-1, 0)):
        with pytest.raises(InputError, match="two different dimensions"):
            prior_grid(5, 4, dims)


def test_a_traversal_changes_one_dimension():
    start = np.array([1.0, 2.0, 3.0])
    walked = traversals(start, np.array([2, 0]), np.array([-1.0, 0.0, 1.0]))
    assert walked[0].tolist() == [[1, 2, -1], [1, 2, 0], [1, 2, 1]]
    assert walked[1].tolist() == [[-1, 2, 3], [0, 2, 3], [1, 2, 3]]


def test_interpolations_begin_and_end_at_the_codes():
    one, other = np.array([3.0, 0.0]), np.array([0.0, 1.0])
    for way in (linear, spherical):
        walked = way(one, other, 5)
        np.testing.assert_allclose(walked[[0, -1]], [one, other], atol=1e-6)
    np.testing.assert_allclose(linear(one, other, 3)[1], [1.5, 0.5])


def test_the_arc_keeps_the_length_and_equal_angles():
    rng = np.random.default_rng(0)
    one, other = (v / np.linalg.norm(v) * 4 for v in rng.normal(size=(2, 50)))
    walked = spherical(one, other, 9)
    np.testing.assert_allclose(np.linalg.norm(walked, axis=1), 4, rtol=1e-5)
    turns = (walked[1:] * walked[:-1]).sum(1) / 16
    np.testing.assert_allclose(turns, turns[0], rtol=1e-5)
    assert np.linalg.norm(linear(one, other, 9)[4]) < 3.2


def test_the_arc_between_codes_that_point_apart_is_no_longer_than_the_longer_one():
    """The formula of codes of one length gives 36 half-way here."""
    angle = np.pi - 0.05
    one, other = np.array([2.0, 0.0]), 0.2 * np.array([np.cos(angle), np.sin(angle)])
    lengths = np.linalg.norm(spherical(one, other, 11), axis=1)
    np.testing.assert_allclose(lengths, np.linspace(2, 0.2, 11), rtol=1e-5)


@pytest.mark.parametrize("other", [[0.0, 0.0], [2.0, 2.0], [-2.0, -2.0]])
def test_codes_on_one_line_have_no_arc(other):
    walked = spherical(np.array([1.0, 1.0]), np.array(other), 4)
    np.testing.assert_allclose(walked, linear(np.array([1.0, 1.0]), np.array(other), 4))


# -- pictures


def images(rows: int = 2, columns: int = 3, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, columns, 8, 8, channels)).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_drawn_pixel_by_pixel(tmp_path, channels):
    """Each pixel of an image is a square of pixels of its own colour, at a whole number of pixels."""
    shown = images(channels=channels)
    path = draw_image_rows(
        shown, tmp_path / "rows.png", title="A grid", subtitle="of noise", rows=["one", "two"], columns=list("abc"),
        below="steps", marked=[(0, 0)],
    )  # fmt: skip
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    tile = np.broadcast_to(shown[1, 1], (8, 8, 3)).repeat(6, 0).repeat(6, 1).astype(int)
    height, width = picture.shape[0] - 48, picture.shape[1] - 48
    near = min(
        np.abs(picture[y : y + 48, x : x + 48] - tile).mean()
        for y in range(height // 2, height)
        for x in range(width // 3, width)
        if (picture[y, x] == tile[0, 0]).all()
    )
    assert near < 3


def test_floats_and_bytes_are_the_same_picture(tmp_path):
    shown = images()
    one = draw_image_rows(shown, tmp_path / "bytes.png", title="A")
    two = draw_image_rows(shown / 255.0, tmp_path / "floats.png", title="A")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("shown", "more", "match"),
    [
        (np.zeros((2, 3, 8, 8)), {}, "R, C, H, W"),
        (np.zeros((2, 3, 8, 8, 2)), {}, "1 or 3"),
        (np.zeros((0, 3, 8, 8, 1)), {}, "R, C, H, W"),
        (np.zeros((2, 3, 8, 8, 1)), {"rows": ["a"]}, "2 rows and 1 names"),
        (np.zeros((2, 3, 8, 8, 1)), {"columns": ["a"]}, "3 columns and 1 names"),
    ],
)
def test_rows_that_cannot_be_drawn_are_refused(tmp_path, shown, more, match):
    with pytest.raises(InputError, match=match):
        draw_image_rows(shown, tmp_path / "rows.png", title="A", **more)


@pytest.mark.parametrize("n", [1, 2, 400])
@pytest.mark.parametrize("prior", [True, False])
def test_a_scatter_of_a_code(tmp_path, n, prior):
    rng = np.random.default_rng(0)
    codes, labels = rng.normal(size=(n, 3)), rng.integers(-1, 3, n)
    path = draw_latent_scatter(codes, labels, ("a", "_b$", "c" * 40), tmp_path / "s.png", title="A", prior=prior)
    assert Image.open(path).size == (1312, 1168)


def test_a_collapsed_code_is_drawn_as_a_point(tmp_path):
    path = draw_latent_scatter(np.zeros((30, 2)), np.zeros(30, int), ("a",), tmp_path / "s.png", title="A")
    assert path.stat().st_size > 0


def test_a_scatter_needs_two_dimensions_that_are_there(tmp_path):
    with pytest.raises(InputError, match="two dimensions or more"):
        draw_latent_scatter(np.zeros((30, 1)), np.zeros(30, int), ("a",), tmp_path / "s.png", title="A")
    with pytest.raises(InputError, match="0 to 1; got 0 and 2"):
        draw_latent_scatter(np.zeros((30, 2)), np.zeros(30, int), ("a",), tmp_path / "s.png", title="A", dims=(0, 2))
