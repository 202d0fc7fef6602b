"""Charts: both themes are written, numbers are in the picture, and hostile names are only names."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from phispace.errors import InputError
from phispace.report import style
from phispace.report.figures import Dot, confusion, dots, feature_maps, filters, heat, lines
from phispace.report.style import DARK, LIGHT, dark_twin

NAMES = ("$x_1$", "$\\frac{", "_under", "a\nb", "<b>", "日本語", "%s {0}", "\\alpha$", "", "x" * 200)


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every figure that `save` draws, for looking at its parts."""
    figures: list[Any] = []
    real = style.save

    def keep(draw: Any, path: Path) -> Path:
        def watched(theme: style.Theme) -> Any:
            figures.append(draw(theme))
            return figures[-1]

        return real(watched, path)

    for module in ("series", "comparison", "matrices", "networks"):
        monkeypatch.setattr(f"phispace.report.figures.{module}.save", keep)
    return figures


def texts(figure: Any) -> list[str]:
    import matplotlib.text

    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text()]


def background(path: Path) -> tuple[int, ...]:
    with Image.open(path) as picture:
        return tuple(picture.convert("RGB").getpixel((0, 0)))


def test_both_themes_have_the_colour_of_their_page(tmp_path: Path) -> None:
    path = lines([1, 2], {"val": [0.1, 0.2]}, tmp_path / "a.png")
    assert background(path) == tuple(int(LIGHT.page[i : i + 2], 16) for i in (1, 3, 5))
    assert background(dark_twin(path)) == tuple(int(DARK.page[i : i + 2], 16) for i in (1, 3, 5))


def test_the_same_colours_as_the_page() -> None:
    css = (Path(style.__file__).parent / "templates" / "report.css").read_text()
    for theme in (LIGHT, DARK):
        for colour in (theme.page, theme.ink, theme.soft, theme.line, theme.series[0]):
            assert colour in css


def test_the_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    first = lines([1, 2], {"val": [0.1, 0.2]}, tmp_path / "a.png").read_bytes()
    assert lines([1, 2], {"val": [0.1, 0.2]}, tmp_path / "b.png").read_bytes() == first


def test_last_values_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = drawn(monkeypatch)
    series = {"train": [0.5, 0.912], "val": [0.4, float("nan")]}
    lines([1, 2], series, tmp_path / "a.png", form="share", mark=2, mark_label="chosen")
    assert {"train 91.2\u202f%", "val 40.0\u202f%", "chosen"} <= set(texts(figures[0]))


def test_names_at_equal_ends_do_not_cover_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = drawn(monkeypatch)
    lines([1, 2], {f"series {i}": [0.0, 0.5 + i * 1e-6] for i in range(6)}, tmp_path / "a.png")
    ends = [t for t in figures[0].axes[0].texts if t.get_text().startswith("series")]
    renderer = figures[0].canvas.get_renderer()
    boxes = sorted((t.get_window_extent(renderer) for t in ends), key=lambda b: b.y0)
    assert all(low.y0 + 0.8 * low.height <= high.y0 for low, high in itertools.pairwise(boxes))


def test_names_are_drawn_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = drawn(monkeypatch)
    n = len(NAMES)
    images, maps = np.zeros((n, 4, 4, 1), np.uint8), np.ones((n, 2, 4, 4))
    lines([1, 2, 3], {name: [1.0, 2.0, i] for i, name in enumerate(NAMES)}, tmp_path / "a.png")
    dots([Dot(name, 0.5, 0.4, 0.6, baseline=i > 4) for i, name in enumerate(NAMES)], tmp_path / "b.png")
    confusion(np.eye(n), NAMES, tmp_path / "c.png")
    heat(np.eye(n), NAMES, NAMES, tmp_path / "d.png")
    feature_maps(images, maps, NAMES, tmp_path / "f.png", channels=2)
    assert len(list(tmp_path.glob("*.png"))) == 10
    for figure in figures:
        written = texts(figure)
        assert all(any(style.label(name)[:10] in text for text in written) for name in NAMES)


@pytest.mark.parametrize("name", ["$x_1$ $\\frac{", "<b>\x1b[31m日本語"])
def test_titles_are_drawn_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    figures = drawn(monkeypatch)
    lines([1, 2], {"a": [1, 2]}, tmp_path / "a.png", title=name, xlabel=name, ylabel=name, mark=1, mark_label=name)
    dots([Dot("a", 0.5)], tmp_path / "b.png", title=name, xlabel=name)
    confusion([[1]], ["a"], tmp_path / "c.png", title=name, given=name, said=name)
    heat([[1]], ["a"], ["a"], tmp_path / "d.png", title=name, xlabel=name, ylabel=name, label=name)
    filters(np.ones((2, 3, 3, 3)), tmp_path / "e.png", title=name)
    assert all(style.label(name) in texts(figure) for figure in figures)


@pytest.mark.parametrize("values", [[float("nan")] * 3, [1.0, float("nan"), 2.0], [5.0, 5.0, 5.0]])
def test_gaps_and_constants_are_drawn(tmp_path: Path, values: list[float]) -> None:
    assert lines([0, 1, 2], {"a": values}, tmp_path / "a.png").is_file()


def test_one_point_many_lines_and_own_positions(tmp_path: Path) -> None:
    lines([1], {"a": [0.5]}, tmp_path / "a.png")
    lines([1, 2], {str(i): [i, i] for i in range(12)}, tmp_path / "b.png")
    lines([1, 2], {"a": [1, 2], "b": ([5, 6, 7], [1, 2, 3])}, tmp_path / "c.png", bands={"a": ([0, 1], [2, 3])})
    assert len(list(tmp_path.glob("*.png"))) == 6


def test_lines_of_other_lengths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 values for 2 positions"):
        lines([1, 2], {"a": [1, 2, 3]}, tmp_path / "a.png")


def test_undefined_scores_are_shown_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = drawn(monkeypatch)
    dots([Dot("a", 0.5, 0.4, 0.6), Dot("b", float("nan"))], tmp_path / "a.png")
    assert "n/a" in texts(figures[0])
    with pytest.raises(InputError, match="at least one"):
        dots([], tmp_path / "b.png")


def test_confusion_writes_shares_of_the_true_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = drawn(monkeypatch)
    confusion([[75, 25], [0, 0]], ["a", "b"], tmp_path / "a.png")
    assert {"75", "25"} <= set(texts(figures[0]))
    assert not any("nan" in t for t in texts(figures[0]))


@pytest.mark.parametrize(("counts", "classes"), [([[1]], ["a", "b"]), ([[1, 2]], ["a"]), ([], ["a"])])
def test_confusions_that_do_not_fit(tmp_path: Path, counts: list[Any], classes: list[str]) -> None:
    with pytest.raises(InputError, match="square"):
        confusion(counts, classes, tmp_path / "a.png")


def test_too_many_classes_for_a_picture(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at most"):
        confusion(np.eye(100), [str(i) for i in range(100)], tmp_path / "a.png")


def test_heat_of_many_and_of_undefined(tmp_path: Path) -> None:
    many = [f"epoch {i}" for i in range(30)]
    heat(np.full((30, 30), np.nan), many, many, tmp_path / "a.png")
    heat(np.random.default_rng(0).random((30, 30)), many, many, tmp_path / "b.png", label="CKA")
    with pytest.raises(InputError, match="expected for these names"):
        heat(np.ones((2, 3)), ["a"], ["b"], tmp_path / "c.png")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_filters_of_any_channels(tmp_path: Path, channels: int) -> None:
    weights = np.random.default_rng(0).normal(size=(5, channels, 3, 3))
    assert filters(weights, tmp_path / "a.png").is_file()


@pytest.mark.parametrize("weights", [np.ones((3, 3)), np.ones((0, 3, 3, 3)), np.full((1, 1, 2, 2), np.nan)])
def test_what_are_no_filters(tmp_path: Path, weights: np.ndarray) -> None:
    with pytest.raises(InputError):
        filters(weights, tmp_path / "a.png")


def test_a_filter_of_zeros_is_grey_not_a_fault(tmp_path: Path) -> None:
    assert filters(np.zeros((1, 1, 3, 3)), tmp_path / "a.png").is_file()


def test_feature_maps_of_several_layers(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3)).astype(np.uint8)
    maps = {"conv1": np.ones((2, 4, 8, 8)), "conv2": np.ones((2, 20, 4, 4))}
    assert feature_maps(images, maps, ["cat", "dog"], tmp_path / "a.png", title="maps").is_file()
    with pytest.raises(InputError, match="wrong"):
        feature_maps(images, np.ones((3, 4, 8, 8)), [], tmp_path / "b.png")


def test_places_in_a_row_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = drawn(monkeypatch)
    lines([0, 1, 2], {"one": [1.0, 2.0, 3.0]}, tmp_path / "a.png", names=["100", "1,000", "all"])
    axes = figures[0].axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["100", "1,000", "all"]
    assert list(axes.get_xticks()) == [0, 1, 2]
