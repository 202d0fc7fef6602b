"""The figure of few-label curves: from stored details, with bands, on a logarithmic axis."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.evaluate import make_evaluation
from phispace.report.figures import few_labels as module
from phispace.report.figures.few_labels import few_label_curves
from phispace.report.style import LIGHT, Theme, dark_twin


def stored(spread: float, sizes: tuple[int, ...] = (1, 4, 20)) -> dict:
    rng = np.random.default_rng(0)
    y = np.arange(240) % 4
    x = 2 * rng.normal(size=(4, 8))[y] + spread * rng.normal(size=(240, 8))
    splits = np.where(np.arange(240) < 160, "train", "test")
    store = Embeddings.build(x, [f"{i:03d}" for i in range(240)], y, splits)
    scores = make_evaluation("few-labels", {"per_class": sizes, "fractions": (), "draws": 3}).run(store)
    return json.loads(json.dumps(scores.as_dict()))["details"]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list:
    """What is drawn for light pages, before it becomes a file."""
    kept = []

    def keep(draw, path: Path) -> Path:
        def also(theme: Theme):
            figure = draw(theme)
            if theme is LIGHT:
                kept.append(figure)
            return figure

        return original(also, path)

    original = module.save
    monkeypatch.setattr(module, "save", keep)
    return kept


def test_curves_of_several_runs(tmp_path: Path, figures: list) -> None:
    runs = {"good": stored(0.5), "fair": stored(2.0), "pixels": stored(4.0), "$x^2$": stored(3.0, (1, 20))}
    path = few_label_curves(runs, tmp_path / "few.png", baselines=["pixels"], chance=0.25, title="Few labels")
    assert Image.open(path).size == Image.open(dark_twin(path)).size
    [axes] = figures[0].axes
    assert axes.get_xscale() == "log"
    assert [float(t) for t in axes.get_xticks()] == [1, 4, 20]
    lines = {line.get_label(): line for line in axes.lines}
    assert set(lines) == {*runs, "chance"}
    for name, details in runs.items():
        rows = details["curves"]["linear"]
        np.testing.assert_allclose(lines[name].get_xdata(), [r["per_class"] for r in rows])
        np.testing.assert_allclose(lines[name].get_ydata(), [100 * r["mean"] for r in rows])
    bands = [band.get_paths()[0].get_extents() for band in axes.collections]
    assert len(bands) == 4
    rows = runs["fair"]["curves"]["linear"]
    assert bands[1].y0 == pytest.approx(100 * min(r["low"] for r in rows))
    assert bands[1].y1 == pytest.approx(100 * max(r["high"] for r in rows))
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    ends = [runs[n]["curves"]["linear"][-1]["mean"] for n in names if n in runs]
    assert ends == sorted(ends, reverse=True)
    assert names[-1] == "chance"
    assert lines["pixels"].get_color() == LIGHT.soft != lines["good"].get_color()


def test_other_classifiers_and_crowded_sizes(tmp_path: Path, figures: list) -> None:
    few_label_curves({"a": stored(1.0, (1, 15, 16, 17))}, tmp_path / "few.png", classifier="centroid")
    ticks = figures[0].axes[0].get_xticks()
    assert 17 in ticks
    assert 16 not in ticks, "its number would touch that of 17"


def test_one_draw_has_no_band(tmp_path: Path) -> None:
    details = stored(1.0)
    for row in details["curves"]["linear"]:
        row |= {"low": None, "high": None}
    assert few_label_curves({"a": details}, tmp_path / "few.png").is_file()


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run was given"):
        few_label_curves({}, tmp_path / "few.png")
    with pytest.raises(InputError, match="'a' has no few-label curve of 'linear'; its curves: none"):
        few_label_curves({"a": {}}, tmp_path / "few.png")
    with pytest.raises(InputError, match="its curves: linear, centroid, propagation"):
        few_label_curves({"a": stored(1.0)}, tmp_path / "few.png", classifier="knn")
    assert not list(tmp_path.iterdir())
