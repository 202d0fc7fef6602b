"""Figures and sections of robustness and similarity, from stored scores alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example import HOSTILE, make_run, score
from test_figures import drawn, texts

from phispace.errors import InputError
from phispace.report.build import run_report
from phispace.report.document import Gallery
from phispace.report.figures import robustness as figure
from phispace.report.robustness import robustness_section
from phispace.report.similarity import similarity_section
from phispace.run import Run

KINDS = ["fog", "gaussian-noise"]


def table(base: float) -> list[list[float | None]]:
    return [[base, base - 0.1], [base - 0.2, None]]


def robust(store: str, base: float, **more: Any) -> dict[str, Any]:
    details = {"accuracy": table(base), "kinds": KINDS, "severities": [1, 5], "classifier": "linear"}
    metrics = {"corrupted_accuracy": base - 0.1, "clean_accuracy": base + 0.1, "retained": 0.8}
    return score("robustness", store, metrics, **{"details": details, **more})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "r", logged=False, scored=False, drawn=False)


def watch(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    figures = drawn(monkeypatch)
    from phispace.report.figures import matrices, robustness

    monkeypatch.setattr(robustness, "save", matrices.save)
    return figures


def test_cells_means_and_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = watch(monkeypatch)
    figure.robustness([figure.Panel("mine", 0.93, table(0.81))], KINDS, [1, 5], tmp_path / "a.png", title="T")
    cells = [t.get_text() for t in figures[0].axes[0].texts]
    assert cells == ["93", "81", "71", "76", "93", "61", "61"]
    assert {"mine", "fog", "gaussian noise", "clean", "mean", "T"} <= set(texts(figures[0]))


def test_one_scale_for_all_panels_and_hostile_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = watch(monkeypatch)
    panels = [figure.Panel(name, 0.5 + i / 10, table(0.4 + i / 10)) for i, name in enumerate(HOSTILE[:3])]
    figure.robustness(panels, HOSTILE[3:5], [1, 5], tmp_path / "a.png")
    tops = {axes.images[0].get_clim() for axes in figures[0].axes}
    assert tops == {(0, 0.7)}
    nothing = figure.Panel("n", float("nan"), [[None]])
    assert figure.robustness([nothing], ["fog"], [1], tmp_path / "b.png").is_file()


def test_figures_that_do_not_fit(tmp_path: Path) -> None:
    good = figure.Panel("a", 0.5, table(0.4))
    other_shape = [figure.Panel("a", 0.5, [[0.1]])]
    for panels, words in (([], "1 to 5"), ([good] * 6, "1 to 5"), (other_shape, "kinds by severity")):
        with pytest.raises(InputError, match=words):
            figure.robustness(panels, KINDS, [1, 5], tmp_path / "a.png")


def test_the_section_puts_the_result_first(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = watch(monkeypatch)
    entries = [robust("pixels", 0.3), robust("features @ best", 0.8), robust("majority", 0.1, details={})]
    knn = [robust("features @ best", 0.7, options={"classifier": "knn"})]
    section = robustness_section(run, [*entries, *knn])[0]
    assert isinstance(section, Gallery)
    assert [f.path for f in section.figures] == ["report/robustness.png", "report/robustness-2.png"]
    assert "features @ best keeps 80%" in section.figures[0].alt
    titles = [axes.get_title() or axes.get_title(loc="left") for axes in figures[0].axes]
    assert titles == ["features @ best", "raw pixels"]


def test_nothing_to_show(run: Run) -> None:
    lost = score("robustness", "a", {"corrupted_accuracy": float("nan")}, details={})
    assert robustness_section(run, [lost]) == []
    assert similarity_section(run, [score("cka", "a", {"cka": float("nan")}, details={})]) == []


def test_similarities_are_a_square(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = watch(monkeypatch)
    one = {"pixels": {"cka": 0.31, "procrustes": 0.52, "mutual_knn": None, "n": 9}}
    rows = [
        score("cka", "features @ best", {"cka": 0.31}, details={"others": one}),
        score("cka", "pixels", {"cka": float("nan")}, details={"others": {}}),
    ]
    section = similarity_section(run, rows)[0]
    assert isinstance(section, Gallery)
    assert [Path(f.path).name for f in section.figures] == ["similarity-cka.png", "similarity-procrustes.png"]
    drawn_table = np.asarray(figures[0].axes[0].images[0].get_array())
    assert drawn_table == pytest.approx(np.array([[1, 0.31], [0.31, 1]]))


def test_the_report_has_both(run: Run) -> None:
    others = {"pixels": {"cka": 0.4, "procrustes": 0.5, "mutual_knn": 0.1}}
    run.add_scores(
        [robust("features @ best", 0.8), score("cka", "features @ best", {"cka": 0.4}, details={"others": others})]
    )
    titles = [section.title for section in run_report(run).sections]
    assert "Does it hold when images get worse?" in titles
