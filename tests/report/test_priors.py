"""Scorecard and spectra: positions between the controls, raw numbers beside them, and what is missing is said."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from phispace.api.reconstruction import EVALUATION as RECONSTRUCTION
from phispace.errors import InputError
from phispace.evaluation.priors import PRIORS
from phispace.registry import registry
from phispace.report.document import Figure, Table
from phispace.report.figures.scorecard import Bar, Panel
from phispace.report.figures.scorecard import scorecard as draw
from phispace.report.figures.spectrum import Spectrum, spectra
from phispace.report.priors import scorecard, spectrum_figure
from phispace.report.style import dark_twin

STORES = ("features @ best", "pixels", "untrained")


def entry(evaluation: str, store: str, metrics: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"evaluation": evaluation, "store": store, "options": {}, "metrics": metrics, **more}


def entries() -> list[dict[str, Any]]:
    rows = []
    for i, store in enumerate(STORES):
        rows.append(
            entry(
                "smoothness",
                store,
                {"smoothness": 0.9 - 0.2 * i, "path": 0.6, "path_chance": 0.2},
                interval={"smoothness": [0.85 - 0.2 * i, 0.95 - 0.2 * i]},
            )
        )
        rows.append(entry("hierarchy", store, {"dendrogram_purity": 0.9, "purity_chance": 0.5 + 0.1 * i}))
        rows.append(entry("few-labels", store, {"linear_area": 0.55}, details={"classes": list("0123456789")}))
        rows.append(entry("sparsity", store, {"hoyer": None}, caveats=["Undefined: all vectors are zero."]))
    return [*rows, entry("few-labels", "majority", {"linear_area": 0.1})]  # fmt: skip


def parts(rows: list[dict[str, Any]], tmp_path: Path) -> tuple[Figure, Table]:
    figure, table = scorecard(rows, tmp_path / "report" / "scorecard.png", inside=tmp_path)
    assert isinstance(figure, Figure)
    assert isinstance(table, Table)
    return figure, table


def test_every_prior_names_a_score_that_exists() -> None:
    names = [*registry("evaluations").names(), RECONSTRUCTION]  # of runs with a decoder, no evaluation of a store
    assert all(p.evaluation in names for p in PRIORS)
    assert len({p.title for p in PRIORS}) == len(PRIORS)


def test_positions_lie_between_the_controls() -> None:
    by_title = {p.title: p for p in PRIORS}
    rows = {(r["evaluation"], r["store"]): r for r in entries()}
    assert by_title["Smoothness"].position(rows["smoothness", "pixels"]) == pytest.approx(0.7)
    assert by_title["Smoothness on the way"].position(rows["smoothness", "pixels"]) == pytest.approx(0.5)
    assert by_title["Hierarchy"].position(rows["hierarchy", "pixels"]) == pytest.approx(0.75)
    assert by_title["Semi-supervision"].position(rows["few-labels", "pixels"]) == pytest.approx(0.5)
    assert math.isnan(by_title["Sparsity"].position(rows["sparsity", "pixels"]))
    assert math.isnan(by_title["Hierarchy"].position(entry("hierarchy", "x", {"dendrogram_purity": 0.9})))
    assert math.isnan(by_title["Semi-supervision"].position(entry("few-labels", "x", {"linear_area": 0.9})))


def test_the_table_has_the_raw_numbers_and_the_ends_of_the_scale(tmp_path: Path) -> None:
    figure, table = parts(entries(), tmp_path)
    assert [c.title for c in table.columns] == [
        "features @ best", "raw pixels", "the same encoder, untrained", "low control",
    ]  # fmt: skip
    rows = {row.label: row.cells for row in table.rows}
    assert rows["Smoothness"][1].value == pytest.approx(0.7)  # type: ignore[union-attr]
    assert rows["Smoothness"][1].interval == pytest.approx((0.65, 0.75))  # type: ignore[union-attr]
    assert rows["Hierarchy"][3] == "0.5 to 0.7"
    assert rows["Semi-supervision"][3] == "0.1"
    assert "Sparsity" not in rows
    assert "few-labels.linear_area. Controls: guessing" in table.rows[-1].note
    assert "sparsity (sparsity)" in figure.caption
    assert "disentanglement (dci)" in figure.caption
    assert "Smoothness: features @ best 0.900" in figure.alt
    assert (tmp_path / figure.path).is_file()
    assert dark_twin(tmp_path / figure.path).is_file()


def test_a_store_without_a_score_is_not_available_and_not_zero(tmp_path: Path) -> None:
    rows = [r for r in entries() if (r["evaluation"], r["store"]) != ("hierarchy", "pixels")]
    figure, table = parts(rows, tmp_path)
    cell = next(row for row in table.rows if "Hierarchy" in row.label).cells[1]
    assert cell.value is None  # type: ignore[union-attr]
    assert "was not run" in cell.reason  # type: ignore[union-attr]
    assert "Hierarchy: features @ best 0.900, raw pixels n/a" in figure.alt


def test_the_later_of_two_alike_counts(tmp_path: Path) -> None:
    rows = [*entries(), entry("hierarchy", "pixels", {"dendrogram_purity": 0.6, "purity_chance": 0.5})]
    _, table = parts(rows, tmp_path)
    cells = next(row for row in table.rows if "Hierarchy" in row.label).cells
    assert cells[1].value == 0.6  # type: ignore[union-attr]


def test_a_decoder_and_its_rivals_are_on_the_card(tmp_path: Path) -> None:
    shares = {"features @ best": 0.9, "pca": 0.7, "mean-image": 1.0}
    decoded = [entry("reconstruction", store, {"mse": 0.01, "noise_removed": r}) for store, r in shares.items()]
    figure, table = parts([*entries(), *decoded], tmp_path)
    assert [c.title for c in table.columns][-1] == "low control"
    assert not any("mean" in c.title for c in table.columns), "the high control itself is no representation"
    row = next(row for row in table.rows if row.label == "Back to the manifold")
    told = dict(zip([c.title for c in table.columns], row.cells, strict=True))
    assert told["features @ best"].value == 0.9  # type: ignore[union-attr]
    assert told["PCA of the pixels"].value == 0.7  # type: ignore[union-attr]
    assert "reconstruction, which needs a decoder, was not run" in told["raw pixels"].reason  # type: ignore[union-attr]
    assert "Back to the manifold: features @ best 0.900" in figure.alt
    without, _ = parts(entries(), tmp_path)
    assert "back to the manifold (reconstruction, needs a decoder)" in without.caption


def test_nothing_measured_gives_nothing(tmp_path: Path) -> None:
    assert scorecard([], tmp_path / "a.png", inside=tmp_path) == ()
    assert scorecard([entry("knn", "pixels", {"accuracy": 0.5})], tmp_path / "a.png", inside=tmp_path) == ()
    assert spectrum_figure([], tmp_path / "a.png", inside=tmp_path) == ()
    dead = entry("health", "x", {"rankme": None}, details={"spectrum": [0.0, 0.0]})
    assert spectrum_figure([dead], tmp_path / "a.png", inside=tmp_path) == ()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", [1, 2, 4])
def test_panels_of_any_number(tmp_path: Path, count: int) -> None:
    bars = (Bar("a$x$", 0.5, 0.5, 0.4, 0.6), Bar("b", -3.0, -3.0), Bar("c", math.nan, math.nan, baseline=True))
    panels = [Panel(f"prior {i}", "measure", "low", "high", bars) for i in range(count)]
    with Image.open(draw(panels, tmp_path / "a.png")) as picture:
        assert picture.width > picture.height / 3


def test_panels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    one, other = (Panel("p", "m", "l", "h", (Bar(name, 0.5, 0.5),)) for name in "ab")
    for wrong in ([], [Panel("p", "m", "l", "h", ())]):
        with pytest.raises(InputError, match="at least one"):
            draw(wrong, tmp_path / "a.png")
    with pytest.raises(InputError, match="same representations"):
        draw([one, other], tmp_path / "a.png")


def test_spectra_are_drawn_with_their_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    module = "phispace.report.figures.spectrum"
    from phispace.report import style

    def keep(make: Any, path: Path) -> Path:
        drawn.append(make(style.LIGHT))
        return path

    monkeypatch.setattr(f"{module}.save", keep)
    shares = np.arange(1, 65.0) ** -1
    law = {"alpha": 1.0, "scale": 0.2, "first": 4, "last": 64}
    rows = [
        entry("health", s, {}, details={"spectrum": (shares / shares.sum()).tolist(), "power_law": law}) for s in STORES
    ]
    (figure,) = spectrum_figure(rows, tmp_path / "s.png", inside=tmp_path)
    axes = drawn[0].axes[0]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    legend = [t.get_text() for t in axes.get_legend().get_texts()]
    assert legend[0] == "features @ best, α 1.00"
    fits = [line for line in axes.lines if len(line.get_xdata()) == 2]
    np.testing.assert_allclose(fits[0].get_ydata(), [0.2 / 4, 0.2 / 64])
    assert "from rank 4" in figure.caption


def test_spectra_of_one_direction_and_none(tmp_path: Path) -> None:
    assert spectra([Spectrum("a", [1.0, 0.0]), Spectrum("dead", [0.0])], tmp_path / "a.png").is_file()
    with pytest.raises(InputError, match="varies"):
        spectra([Spectrum("dead", [0.0])], tmp_path / "b.png")
