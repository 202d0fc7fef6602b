"""The scatter: legend outside, text as written, colours that stay apart, unknown items behind."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blobs import blobs
from PIL import Image

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.maps import scatter
from phispace.maps.base import Map
from phispace.maps.make import make_map
from phispace.maps.palette import COLOURS, UNKNOWN_COLOUR, class_colours, class_marker, rgb
from phispace.maps.scatter import draw_scatter

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
VISION = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def figure_of(monkeypatch: pytest.MonkeyPatch, made: Map, path: Path, **more: Any) -> Any:
    """Draw, and return the figure that was saved."""
    kept = {}
    save = scatter.save_figure
    monkeypatch.setattr(scatter, "save_figure", lambda f, *a: (kept.update(figure=f), save(f, *a))[1])
    draw_scatter(made, path, **more)
    return kept["figure"]


@pytest.mark.parametrize("name", VISION)
def test_ten_colours_stay_apart(name: str) -> None:
    srgb = np.array([rgb(c) for c in COLOURS]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(VISION[name]).T, 0, 1)
    xyz = seen @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    f = np.cbrt(np.maximum(xyz / [0.9505, 1, 1.089], 0.008856))
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)
    assert min(np.linalg.norm(a - b) for a, b in combinations(lab, 2)) > 16


def test_twenty_classes_differ_by_colour_or_marker() -> None:
    looks = {(c, class_marker(k, 20)) for k, c in enumerate(class_colours(20))}
    assert len(looks) == 20
    assert len(set(class_colours(100))) == 100
    assert UNKNOWN_COLOUR not in class_colours(100)


def test_the_legend_lies_outside_the_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = figure_of(monkeypatch, make_map(blobs(60), "pca"), tmp_path / "s.png")
    axes = figure.axes[0]
    figure.canvas.draw()
    legend = axes.get_legend().get_window_extent()
    assert legend.x0 >= axes.get_window_extent().x1
    assert legend.x1 <= figure.bbox.x1
    assert axes.get_aspect() == 1
    assert not len(axes.get_xticks())
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["kind 0", "kind 1", "kind 2"]


def test_text_is_drawn_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = blobs(60)
    hard = ("$\\frac{1}$", "_hidden", "line\nbreak \x00 " + "x" * 100)
    made = make_map(Embeddings.build(store.vectors, store.ids, store.labels, classes=hard), "pca")
    figure = figure_of(monkeypatch, made, tmp_path / "s.png", title="$1 <b>& $")
    texts = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert texts[0] == hard[0]
    assert texts[1] == "_hidden"
    assert texts[2].startswith("line break x")
    assert len(texts[2]) <= 24
    assert "\n" not in texts[2]
    draw_scatter(made, tmp_path / "s.svg", title="$1 <b>& $")
    assert "<b>" not in (tmp_path / "s.svg").read_text()


def test_quality_is_written_under_the_title(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_map(blobs(60), "pca")
    words = [t.get_text() for t in figure_of(monkeypatch, made, tmp_path / "s.png").texts]
    assert any(f"trustworthiness {made.quality['trustworthiness']:.3f}" in w for w in words)
    assert any("PCA · 60 items" in w for w in words)
    constant = make_map(Embeddings.build(np.ones((9, 2)), list("abcdefghi")), "pca")
    words = [t.get_text() for t in figure_of(monkeypatch, constant, tmp_path / "s.png").texts]
    assert any("All vectors are equal" in w for w in words)


def test_unknown_items_lie_behind_in_grey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = blobs(60)
    labels = np.where(np.arange(60) < 20, -1, store.labels)
    made = make_map(Embeddings.build(store.vectors, store.ids, labels, classes=store.classes), "pca")
    figure = figure_of(monkeypatch, made, tmp_path / "s.png")
    first, second = figure.axes[0].collections
    assert first.get_zorder() < second.get_zorder()
    assert len(first.get_offsets()) == 20
    assert len(second.get_offsets()) == 40
    assert figure.axes[0].get_legend().get_texts()[-1].get_text() == "(unknown)  20"


def test_many_classes_have_no_legend_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    store = Embeddings.build(random.normal(size=(90, 4)), [str(k) for k in range(90)], np.arange(90) % 30)
    figure = figure_of(monkeypatch, make_map(store, "pca"), tmp_path / "s.png")
    assert figure.axes[0].get_legend() is None
    assert any("30 classes: colours are not told apart" in t.get_text() for t in figure.texts)


def test_colours_by_a_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = blobs(60)
    columns = {
        "prediction": (store.labels + 1) % 3,
        "confidence": np.linspace(0, 1, 60),
        "camera": np.array(["left", "right"] * 30),
    }
    store = Embeddings.build(store.vectors, store.ids, store.labels, classes=store.classes, columns=columns)
    made = make_map(store, "pca")
    shuffled = store.take(np.random.default_rng(0).permutation(60))
    by = lambda name: figure_of(monkeypatch, made, tmp_path / "s.png", by=name, store=shuffled)  # noqa: E731
    assert [t.get_text() for t in by("camera").axes[0].get_legend().get_texts()] == ["left", "right"]
    assert by("prediction").axes[0].get_legend() is not None
    scaled = by("confidence")
    assert len(scaled.axes) == 2, "a colour scale stands beside the points"
    assert np.array_equal(scaled.axes[0].collections[0].get_array(), columns["confidence"])
    with pytest.raises(InputError, match="no column 'size'"):
        by("size")
    with pytest.raises(InputError, match="the embeddings store"):
        draw_scatter(made, tmp_path / "s.png", by="prediction")


def test_pictures_are_repeatable_and_of_the_size_asked_for(tmp_path: Path) -> None:
    made = make_map(blobs(60), "pca")
    paths = [
        draw_scatter(made, tmp_path / name, width=6, height=5, dpi=100) for name in ("a.png", "b.png", "a.svg", "b.svg")
    ]
    assert Image.open(paths[0]).size == (600, 500)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[2].read_bytes() == paths[3].read_bytes()
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        draw_scatter(made, tmp_path / "a.pdf")
