"""Many scores read as one answer: themes, what could not be said, curves of few labels, sheets of clusters."""

from __future__ import annotations

from pathlib import Path

from example import make_run, score, scores
from PIL import Image

from phispace.evaluation import REGISTRY
from phispace.report.build import run_report
from phispace.report.document import Figure, Gallery, Number, Table, Text
from phispace.report.scores import score_table, score_title
from phispace.report.themes import THEMES, themed, transposed

LABELS = [1, 4, 20]


def few(store: str, rise: float) -> dict:
    rows = [
        {"per_class": n, "labels": 10 * n, "labels_per_class": float(n), "mean": 0.3 + rise * i, "low": 0.28 + rise * i,
         "high": 0.32 + rise * i, "values": [0.3 + rise * i]}
        for i, n in enumerate(LABELS)
    ]  # fmt: skip
    details = {"classes": list("0123456789"), "curves": {"linear": rows}}
    return score("few-labels", store, {"linear_20": 0.3 + 2 * rise}, details=details)


def many() -> list[dict]:
    rows = [*scores(), few("features @ best", 0.2), few("pixels", 0.1)]
    rows += [score("retrieval", s, {"map": v}) for s, v in (("features @ best", 0.7), ("pixels", 0.3))]
    rows.append(score("retrieval", "majority", {"accuracy": 0.1}))
    rows += [score("separation", "features @ best", {"silhouette": 0.2})]
    for name in ("mig", "sap"):
        why = [f"The evaluation '{name}' needs known factors of variation."]
        rows.append(score(name, "features @ best", {name: None}, caveats=why, interval={}))
    return rows


def test_every_registered_evaluation_has_its_theme() -> None:
    named = {name for _, names in THEMES for name in names}
    assert set(REGISTRY.names()) <= named, "add it to phispace.report.themes"


def test_tables_by_theme_and_what_could_not_be_said() -> None:
    sections = themed(many(), title="How good?")
    tables = [s for s in sections if isinstance(s, Table)]
    assert [t.label_title for t in tables] == [
        "Do classes come out of it?", "With few labels?", "Are neighbours and clusters of one class?",
        "What is it like, without labels?",
    ]  # fmt: skip
    assert [t.title for t in tables] == ["How good?", "", "", ""]
    assert [r.label for r in tables[0].rows] == ["Linear probe: accuracy", "k nearest neighbours: accuracy"]
    assert tables[0].columns[0].title == "features @ best"
    assert "majority class" in [c.title for c in tables[0].columns]
    assert "majority class" not in [c.title for c in tables[2].columns], "nothing of it is measured there"
    best = tables[0].rows[0].cells[0]
    assert isinstance(best, Number)
    assert best.best
    assert best.form == "share"
    (silent,) = (s for s in sections if isinstance(s, Text))
    assert len(silent.points) == 1
    assert "needs known factors" in silent.points[0]


def test_transposing_keeps_the_numbers() -> None:
    table = score_table(scores())
    turned = transposed(table, "x")
    order = sorted(table.rows, key=lambda r: r.baseline)
    for j, row in enumerate(order):
        for i, cell in enumerate(row.cells):
            other = turned.rows[i].cells[j]
            assert (other is None) == (cell is None)
            if isinstance(cell, Number) and isinstance(other, Number):
                assert (other.value, other.low, other.best) == (cell.value, cell.low, cell.best)


def test_titles_do_not_repeat_themselves() -> None:
    assert score_title("linear", "accuracy") == "Linear probe: accuracy"
    assert score_title("smoothness", "smoothness").lower().count("smoothness") == 1


def test_the_report_of_a_run_with_many_scores(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", drawn=False)
    run.add_scores(many())
    sheet = run.path / "scores" / "clustering-features-best.png"
    sheet.parent.mkdir()
    Image.new("RGB", (40, 30)).save(sheet)
    report = run_report(run)
    titles = [s.title for s in report.sections if s.title]
    assert titles[0] == "How good is it, beside its baselines?"
    assert "How far do few labels go?" in titles
    assert "What do its clusters look like?" in titles
    assert report.headline[0].name == "Linear probe"
    curve = next(s for s in report.sections if isinstance(s, Figure) and s.title == "How far do few labels go?")
    with Image.open(run.path / curve.path) as picture:
        assert picture.width > 1000
    charts = [f for s in report.sections if isinstance(s, Gallery) and not s.title for f in s.figures]
    assert 0 < len(charts) <= 4
    mixed = next(s for s in report.sections if isinstance(s, Gallery) and s.title == "Which classes are mixed up?")
    assert len(mixed.figures) <= 2
