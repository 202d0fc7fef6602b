"""Drawn films: real frames labelled, in-betweens marked, files whole and small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blobs import blobs, coloured_images
from PIL import Image

from phispace.errors import InputError
from phispace.maps.animation import draw_film
from phispace.maps.film import INHERITS, Caption, Film
from phispace.maps.film_drawing import ease, schedule
from phispace.maps.film_stage import DRAWN, Stage, between, frame_line


def small_film(frames: int = 3, n: int = 40) -> Film:
    store = blobs(n)
    random = np.random.default_rng(0)
    row = {
        "displacement": 0.2, "displacement_independent": 1.2, "trustworthiness": 0.95, "churn": 0.4, "knn_recall": 0.3,
        "trustworthiness_independent": 0.951, "leak": 0.01, "leak_independent": 0.01, "class_agreement": 0.8,
        "class_agreement_representation": 0.79, "stability": 0.3,
    }  # fmt: skip
    first = row | {"displacement": float("nan"), "displacement_independent": float("nan"), "churn": float("nan")}
    captions = tuple(Caption(epoch=2 * t + 1, accuracy=0.5 + 0.1 * t) for t in range(frames))
    xy = random.normal(size=(frames, n, 2)).astype(np.float32)
    table = (first, *(row for _ in range(frames - 2)), row | {"leak": 0.2})[:frames]
    return Film(xy, store.ids, store.labels, store.classes, captions, table, "warm")


def test_schedule_and_ease() -> None:
    assert schedule(2, 2) == [(0, 0.0), (0, pytest.approx(1 / 3)), (0, pytest.approx(2 / 3)), (1, 0.0)]
    assert schedule(1, 5) == [(0, 0.0)]
    assert (ease(0), ease(0.5), ease(1)) == (0, 0.5, 1)


def test_a_film_is_written_whole(tmp_path: Path) -> None:
    film = small_film()
    made = draw_film(film, tmp_path, in_betweens=2, size=(600, 500))
    names = sorted(p.name for p in made["frames"].iterdir())
    assert len(names) == 7
    assert [n for n in names if not n.endswith("-drawn.png")] == [
        "0000-epoch-1.png",
        "0003-epoch-3.png",
        "0006-epoch-5.png",
    ]
    for kind in ("webp", "gif"):
        with Image.open(made[kind]) as picture:
            assert picture.n_frames == 7
            assert picture.size == (600, 500)
            assert picture.info.get("loop") == 0
        assert made[kind].stat().st_size < 600_000
    assert made["numbers"].is_file()
    assert not [p for p in tmp_path.rglob("*") if "tmp" in p.name]
    shorter = draw_film(small_film(2), tmp_path, in_betweens=0, formats=(), size=(600, 500))
    assert len(list(shorter["frames"].iterdir())) == 2, "frames of an earlier film do not stay behind"
    assert "gif" not in shorter


def test_in_betweens_say_that_they_are_drawn() -> None:
    film = small_film()
    stage = Stage(film, (600, 500), "title")
    real = stage.render(film.xy[1], 1)
    assert stage.moment.get_text() == "epoch 3 · accuracy 60.0 %"
    assert stage.numbers.get_text() == frame_line(film, 1)
    assert "independent fits 1.20" in frame_line(film, 1)
    assert stage.axes.spines["left"].get_linestyle() == "-"
    drawn = stage.render(film.xy[1], 1, 0.5)
    assert stage.moment.get_text() == between(film, 1) == "between epochs 3 and 5, drawn"
    assert stage.numbers.get_text() == DRAWN
    assert stage.moment.get_fontstyle() == "italic"
    assert stage.axes.spines["left"].get_linestyle() != "-"
    assert (real != drawn).any()


def test_a_frame_that_misses_a_bar_carries_a_badge() -> None:
    film = small_film()
    stage = Stage(film, (600, 500), "title")
    stage.render(film.xy[2], 2)
    assert INHERITS.split()[0] in stage.badge.get_text()
    stage.render(film.xy[1], 1)
    assert stage.badge.get_text() == ""


def test_one_box_holds_all_frames_and_the_legend_lies_outside() -> None:
    film = small_film()
    stage = Stage(film, (600, 500), "title")
    stage.render(film.xy[0], 0)
    limits = stage.axes.get_xlim(), stage.axes.get_ylim()
    assert film.xy[..., 0].min() > limits[0][0]
    assert film.xy[..., 0].max() < limits[0][1]
    stage.render(film.xy[2], 2)
    assert (stage.axes.get_xlim(), stage.axes.get_ylim()) == limits
    assert stage.axes.get_legend().get_window_extent().x0 >= stage.axes.get_window_extent().x1


def test_thumbnails_take_the_place_of_points(tmp_path: Path) -> None:
    film = small_film()
    images = coloured_images(blobs(40))
    made = draw_film(film, tmp_path, images=images, in_betweens=0, formats=("webp",), size=(600, 500), thumbnail=12)
    picture = np.asarray(Image.open(made["frames"] / "0000-epoch-1.png")).reshape(-1, 3)
    seen = {tuple(c) for c in np.unique(picture, axis=0).tolist()}
    shown = sum(tuple(c) in seen for c in images.images[:, 0, 0, :].tolist())
    assert shown > 30, "tiles may cover each other, but most are seen"


def test_a_film_of_one_frame_without_epochs_or_classes(tmp_path: Path) -> None:
    ids = np.array([f"i{k}" for k in range(9)])
    xy = np.random.default_rng(0).normal(size=(1, 9, 2)).astype(np.float32)
    film = Film(xy, ids, np.full(9, -1), (), (Caption(text="$only$"),), ({},), "warm")
    made = draw_film(film, tmp_path, size=(500, 400))
    assert Image.open(made["gif"]).size == (500, 400)


def test_bad_options_are_refused(tmp_path: Path) -> None:
    film = small_film()
    with pytest.raises(InputError, match="webp or gif"):
        draw_film(film, tmp_path, formats=("mp4",))
    with pytest.raises(InputError, match="at least 0"):
        draw_film(film, tmp_path, in_betweens=-1)
    with pytest.raises(InputError, match="not among the images"):
        draw_film(film, tmp_path, images=coloured_images(blobs(10)))
    assert not list(tmp_path.iterdir())
