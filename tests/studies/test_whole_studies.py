"""Studies as a whole, on real images: what is made, what is kept, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phispace import study
from phispace.errors import InputError, RunError
from phispace.report.document import Report

ALONE = {"threads": 1, "precision": "float32"}


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study") / "quick"
    made = study("quickstart", out=out, scale="smoke", training=ALONE, command="phispace quickstart")
    assert made.path == out / "report.html"
    assert any("Linear probe on features" in answer for answer in made.answers)
    return out


@pytest.mark.slow
def test_the_report_answers_with_numbers_beside_baselines(quickstart: Path) -> None:
    page = (quickstart / "report.html").read_text(encoding="utf-8")
    for text in ("raw pixels", "PCA", "untrained", "majority class", "phispace quickstart", "t-SNE"):
        assert text in page
    report = Report.open(quickstart / "report.json")
    assert {"table", "figure", "facts"} <= {s.kind for s in report.sections}
    assert report.question.endswith("?")
    for name in ("map.png", "map-mosaic.png", "map-grid.png"):
        assert (quickstart / "maps" / name).stat().st_size > 5000


@pytest.mark.slow
def test_the_trained_network_beats_the_untrained_one(quickstart: Path) -> None:
    rows = json.loads((quickstart / "study.json").read_text())["steps"]["scores"]["result"]["rows"]
    linear = {r["store"]: r["metrics"]["accuracy"] for r in rows if r["evaluation"] == "linear"}
    assert linear["features"] > linear["untrained"]
    assert linear["features"] > 0.8


@pytest.mark.slow
def test_what_is_done_is_kept_and_what_is_missing_is_made(quickstart: Path) -> None:
    before = json.loads((quickstart / "study.json").read_text())["steps"]
    (quickstart / "report.html").unlink()
    state = json.loads((quickstart / "study.json").read_text())
    del state["steps"]["map"]
    (quickstart / "study.json").write_text(json.dumps(state))
    study("quickstart", out=quickstart, scale="smoke", training=ALONE)
    after = json.loads((quickstart / "study.json").read_text())["steps"]
    assert (quickstart / "report.html").exists()
    assert after["network"] == before["network"]
    assert after["map"]["result"] == before["map"]["result"]


@pytest.mark.slow
def test_another_seed_or_scale_in_the_same_directory_is_refused(quickstart: Path) -> None:
    with pytest.raises(RunError, match="seed was 0 and is 1"):
        study("quickstart", out=quickstart, scale="smoke", seed=1)
    with pytest.raises(RunError, match="scale was 'smoke'"):
        study("quickstart", out=quickstart, scale="cpu")


def test_a_study_that_was_cut_in_its_first_step_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from phispace.errors import InterruptedRunError
    from phispace.studies.steps.train import Train

    def cut(*_: object) -> None:
        (tmp_path / "s" / "runs").mkdir(exist_ok=True)
        raise InterruptedRunError("stopped")

    with monkeypatch.context() as patched:
        patched.setattr(Train, "run", cut)
        for _ in range(2):
            with pytest.raises(InterruptedRunError):
                study("quickstart", out=tmp_path / "s", scale="smoke", training=ALONE)


def test_a_directory_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="holds no study"):
        study("quickstart", out=tmp_path, scale="smoke")
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_images_that_are_not_there_are_said_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        study("quickstart", images="nowhere/at/all", out=tmp_path / "x", scale="smoke")
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_the_cifar_study_answers_all_its_guesses(tmp_path: Path, cifar_zip: Path) -> None:
    made = study("supervised-tsne", images=str(cifar_zip), out=tmp_path / "s", scale="smoke", training=ALONE)
    report = Report.open(tmp_path / "s" / "report.json")
    findings = next(s for s in report.sections if s.kind == "findings").findings
    assert len(findings) == 6
    assert findings[0].claim.startswith("Separate t-SNE fits")
    assert findings[5].claim.startswith("Airplanes and ships")
    assert all(f.answer for f in findings)
    film = json.loads((tmp_path / "s" / "film" / "film.json").read_text())
    assert [c["epoch"] for c in film["captions"]] == sorted(c["epoch"] for c in film["captions"])
    assert all({"displacement", "trustworthiness", "leak", "churn"} <= set(row) for row in film["table"])
    for name in ("film.webp", "film.gif", "numbers.png"):
        assert (tmp_path / "s" / "film" / name).stat().st_size > 10_000
    assert made.path.stat().st_size > 100_000
