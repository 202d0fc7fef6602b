"""Few labels on a leaderboard: one figure of all methods, seeds put together, from stored scores only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example import CONFIG, RECORD, score
from PIL import Image
from scipy import stats

from phispace.metrics.seeds import mean_over_seeds_and_items
from phispace.report import few_labels_board
from phispace.report.few_labels_board import few_label_figure, over_seeds
from phispace.report.leaderboard import Board, boards
from phispace.report.leaderboard_page import Leaderboard
from phispace.report.style import LIGHT, dark_twin
from phispace.run import Run


def details(accuracy: float, *, draws: int = 3, sizes: tuple[int, ...] = (1, 4, 20), seed: int = 0) -> dict[str, Any]:
    """As `few-labels` stores them."""
    random = np.random.default_rng(seed)
    rows = []
    for size in sizes:
        values = (accuracy - 0.2 / size + 0.02 * random.standard_normal(draws)).tolist()
        low, high = stats.ttest_1samp(values, 0).confidence_interval() if draws > 1 else (None, None)
        rows.append({"per_class": size, "mean": float(np.mean(values)), "low": low, "high": high, "values": values})
    return {"classes": ["a", "b"], "curves": {"linear": rows, "centroid": []}}


def run(folder: Path, name: str, accuracy: float | None, *, seed: int = 0, rate: float = 0.001, **more: Any) -> Run:
    method = {**CONFIG["method"], "learning_rate": rate}
    config = {**CONFIG, "method": method, "training": {**CONFIG["training"], "seed": seed}}
    made = Run.create(folder / name, RECORD, config)
    made.add_scores([score("linear", "features @ best", {"accuracy": 0.9})])
    if accuracy is not None:
        for store, value in (("features @ best", accuracy), ("pixels", 0.6)):
            entry = score("few-labels", store, {"linear_20": value})
            made.add_scores([{**entry, "details": details(value, seed=seed, **more)}])
    return made


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """What the figure is given; it is drawn nevertheless."""
    kept: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []
    original = few_labels_board.few_label_curves

    def keep(curves: Mapping[str, Any], path: Path, **options: Any) -> Path:
        kept.append((curves, options))
        return original(curves, path, **options)

    monkeypatch.setattr(few_labels_board, "few_label_curves", keep)
    return kept


def board(runs: list[Run], **options: Any) -> Board:
    (found,) = boards(runs, **options)
    return found


def test_the_page_has_one_figure_of_all_methods(tmp_path: Path, drawn: list) -> None:
    runs = [run(tmp_path, "a", 0.9), run(tmp_path, "b", 0.8, rate=0.1), run(tmp_path, "c", None, rate=0.5)]
    Leaderboard((board(runs),)).save(tmp_path / "page.html")
    [(curves, options)] = drawn
    assert list(curves) == [
        "supervised, convnet4 (learning_rate 0.001)", "supervised, convnet4 (learning_rate 0.1)", "raw pixels",
    ]  # fmt: skip
    assert options["baselines"] == ["raw pixels"]
    assert options["chance"] == 0.5
    assert curves["supervised, convnet4 (learning_rate 0.1)"]["curves"]["linear"] == details(0.8)["curves"]["linear"]
    text = (tmp_path / "page.html").read_text()
    assert text.count("How far do few labels go?") == 2  # the chapter, and the link to it
    [picture] = [p for p in (tmp_path / "page-figures").glob("few-labels-*.png") if not p.stem.endswith(".dark")]
    assert Image.open(picture).size == Image.open(dark_twin(picture)).size


def test_no_figure_without_curves_or_where_others_were_asked_for(tmp_path: Path, drawn: list) -> None:
    runs = [run(tmp_path, "a", 0.9), run(tmp_path, "b", None, rate=0.1)]
    assert few_label_figure(board(runs[1:]), tmp_path, "f") == []
    assert few_label_figure(board(runs, evaluations=["linear"]), tmp_path, "f") == []
    assert few_label_figure(board(runs), tmp_path, None) == []
    assert not drawn
    assert len(few_label_figure(board(runs, evaluations=["linear", "few-labels"]), tmp_path, "f")) == 1


def test_seeds_are_one_curve_with_an_interval_over_both(tmp_path: Path, drawn: list) -> None:
    runs = [run(tmp_path, f"r{i}", 0.7 + 0.05 * i, seed=i) for i in range(3)]
    few_label_figure(board(runs, baselines=False), tmp_path, "f")
    [(curves, _)] = drawn
    rows = curves["supervised, convnet4"]["curves"]["linear"]
    values = np.array([details(0.7 + 0.05 * i, seed=i)["curves"]["linear"][1]["values"] for i in range(3)])
    expected = mean_over_seeds_and_items(values)
    assert rows[1]["mean"] == pytest.approx(values.mean())
    assert (rows[1]["low"], rows[1]["high"]) == pytest.approx((expected.interval[0], min(1, expected.interval[1])))


def test_other_draws_or_sizes_in_one_of_the_seeds() -> None:
    merged = over_seeds([details(0.7, draws=3), details(0.8, draws=5, sizes=(4, 20, 100))])["curves"]["linear"]
    assert [row["per_class"] for row in merged] == [4, 20]
    means = [details(0.7, draws=3)["curves"]["linear"][1]["mean"]]
    means += [details(0.8, draws=5, sizes=(4, 20, 100))["curves"]["linear"][0]["mean"]]
    low, high = stats.ttest_1samp(means, 0).confidence_interval()
    assert merged[0]["mean"] == pytest.approx(np.mean(means))
    assert (merged[0]["low"], merged[0]["high"]) == pytest.approx((max(low, 0), min(high, 1)))


def test_seeds_of_a_single_draw_and_more_methods_than_colours(tmp_path: Path, drawn: list) -> None:
    many = len(LIGHT.series) + 2
    runs = [run(tmp_path, f"m{i}", 0.5 + 0.04 * i, rate=0.01 * (i + 1), draws=1) for i in range(many)]
    [figure] = few_label_figure(board(runs, evaluations=["few-labels"]), tmp_path, "f")
    [(curves, _)] = drawn
    assert f"The {many - 2} that stand first of {many}." in figure.caption
    assert f"supervised, convnet4 (learning_rate {0.01 * many})" in curves
    assert "supervised, convnet4 (learning_rate 0.01)" not in curves
    assert all(row["low"] is None for row in curves["raw pixels"]["curves"]["linear"])
