"""Mosaics: every image is there, the grid is a permutation, pictures are what was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blobs import blobs, coloured_images
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from phispace.errors import InputError
from phispace.maps.grid import grid_shape, snap_to_grid
from phispace.maps.make import make_map
from phispace.maps.mosaic import draw_grid, draw_mosaic, make_tile
from phispace.maps.palette import UNKNOWN_COLOUR, rgb


@given(st.integers(1, 120), st.floats(0.3, 3), st.integers(0, 99), st.booleans())
@settings(max_examples=40, deadline=None)
def test_each_item_gets_a_cell_of_its_own(n: int, aspect: float, seed: int, exact: bool) -> None:
    columns, rows = grid_shape(n, aspect)
    xy = np.random.default_rng(seed).normal(size=(n, 2)).round(1)  # with ties
    cells = snap_to_grid(xy, columns, rows, exact_up_to=10**6 if exact else 0)
    assert len(set(cells.tolist())) == n
    assert cells.min() >= 0
    assert cells.max() < columns * rows


def test_a_grid_stays_as_it_is() -> None:
    columns, rows = 7, 5
    cells = np.random.default_rng(0).permutation(35)
    xy = np.stack([cells % columns, cells // columns], 1) * 3.0 - 4
    for exact_up_to in (100, 0):
        assert np.array_equal(snap_to_grid(xy, columns, rows, exact_up_to=exact_up_to), cells)


def test_the_fast_way_is_nearly_as_good_as_the_best() -> None:
    xy = np.random.default_rng(0).normal(size=(700, 2)) + 4 * np.eye(2)[np.arange(700) % 2]
    columns, rows = grid_shape(700)

    def cost(cells: np.ndarray) -> float:
        place = (xy - xy.min(0)) / np.ptp(xy, axis=0) * [columns - 1, rows - 1]
        return float(((place - np.stack([cells % columns, cells // columns], 1)) ** 2).sum())

    best, fast = (cost(snap_to_grid(xy, columns, rows, exact_up_to=limit)) for limit in (1000, 0))
    assert best <= fast < 1.1 * best
    assert cost(np.random.default_rng(0).permutation(700)) > 5 * best


def test_too_small_a_grid_is_refused() -> None:
    with pytest.raises(InputError, match="does not hold 13"):
        snap_to_grid(np.zeros((13, 2)), 3, 4)


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_mosaic_shows_every_image_once_and_whole(tmp_path: Path, channels: int) -> None:
    store = blobs(90)
    images = coloured_images(store, channels)
    path = draw_grid(make_map(store, "pca"), images, tmp_path / "grid.png", tile=8)
    picture = np.asarray(Image.open(path))
    cells = picture.reshape(picture.shape[0] // 8, 8, -1, 8, 3).swapaxes(1, 2).reshape(-1, 8 * 8, 3)
    assert all((cell == cell[0]).all() for cell in cells), "a cell holds one image of one colour"
    seen = sorted(tuple(cell[0].tolist()) for cell in cells if (cell[0] != 255).any())
    colours = images.images[:, 0, 0, :]
    assert seen == sorted(tuple(np.broadcast_to(c, 3).tolist()) for c in colours)


def test_mosaic_pastes_each_image_where_its_item_lies(tmp_path: Path) -> None:
    store = blobs(40, apart=9.0)
    images = coloured_images(store)
    made = make_map(store, "pca")
    path = draw_mosaic(made, images, tmp_path / "mosaic.png", canvas=(900, 600), tile=4, background="black")
    picture = np.asarray(Image.open(path))
    assert picture.shape == (600, 900, 3)
    colour_of = dict(zip(images.ids.tolist(), images.images[:, 0, 0, :].tolist(), strict=True))
    found = np.array([np.argwhere((picture == colour_of[str(i)]).all(axis=2)).mean(axis=0) for i in made.ids])
    assert np.isfinite(found).all(), "every image is on the canvas"
    assert np.corrcoef(found[:, 1], made.xy[:, 0])[0, 1] > 0.999
    assert np.corrcoef(-found[:, 0], made.xy[:, 1])[0, 1] > 0.999
    scale = np.ptp(found, axis=0)[::-1] / np.ptp(made.xy, axis=0)
    assert scale[0] == pytest.approx(scale[1], rel=0.03), "both axes keep one scale"
    again = draw_mosaic(made, images, tmp_path / "again.png", canvas=(900, 600), tile=4, background="black")
    assert again.read_bytes() == path.read_bytes()


def test_borders_carry_the_class_colour_and_names_stand_below(tmp_path: Path) -> None:
    store = blobs(30)
    labels = store.labels.copy()
    labels[:3] = -1
    store = type(store).build(store.vectors, store.ids, labels, classes=("a $x$", "b" * 90, "c\nd"))
    path = draw_grid(make_map(store, "pca"), coloured_images(store), tmp_path / "g.png", tile=32, border=True)
    picture = np.asarray(Image.open(path))
    for colour in ("#0072b2", "#ffa90e", "#44aa99", UNKNOWN_COLOUR):
        assert (picture[:-90] == rgb(colour)).all(axis=2).any(), colour
    assert (picture[-90:] == rgb("#0072b2")).all(axis=2).any()


def test_tiles_are_readable_by_default_and_keep_their_shape(tmp_path: Path) -> None:
    tall = make_tile(np.zeros((20, 10, 3), np.uint8), 40)
    assert tall.shape == (40, 20, 3)
    store = blobs(12)
    path = draw_mosaic(
        make_map(store, "pca"), coloured_images(store, size=(6, 12)), tmp_path / "m.webp", canvas=(800, 600)
    )
    assert Image.open(path).size == (800, 600)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tile": 0}, "at least 1"),
        ({"canvas": (40, 4000)}, "too small"),
        ({"canvas": (90_000, 90_000)}, "smaller canvas"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(tmp_path: Path, change: dict, words: str) -> None:
    store = blobs(12)
    for draw in (draw_mosaic, draw_grid):
        with pytest.raises(InputError, match=words):
            draw(make_map(store, "pca"), coloured_images(store), tmp_path / "m.png", **change)


def test_items_without_an_image_are_named(tmp_path: Path) -> None:
    store = blobs(12)
    fewer = coloured_images(store.take(np.arange(10)))
    with pytest.raises(InputError, match="2 of the map's 12 items"):
        draw_mosaic(make_map(store, "pca"), fewer, tmp_path / "m.png")
    with pytest.raises(InputError, match=r"\.png"):
        draw_grid(make_map(store, "pca"), coloured_images(store), tmp_path / "m.bmp")
    assert not list(tmp_path.iterdir())
