"""The report of a run: what is said follows from the numbers, and what is missing is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from example import HOSTILE, make_run, score

from phispace.errors import DataError
from phispace.report.build import run_report, write
from phispace.report.document import Code, Figure, Gallery, Number, Report, Table, Text
from phispace.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs") / "cifar")


@pytest.fixture(scope="module")
def report(run: Run) -> Report:
    return run_report(run)


def test_the_answer_names_the_numbers(report: Report) -> None:
    assert "88.3\u202f% [87.7, 89.0] of the 10,000 test images" in report.answer
    assert "on raw pixels 39.5\u202f%" in report.answer
    assert "on the untrained encoder 52.1\u202f%" in report.answer
    assert "naming the commonest class gives 10.0\u202f%" in report.answer
    assert "gained 36.2\u202fpoints" in report.answer
    assert "do not overlap" in report.answer
    assert "No sign of collapse" in report.answer
    assert "supervised network learnt on cifar10" in report.question


def test_scores_stand_beside_their_baselines(report: Report) -> None:
    table = next(s for s in report.sections if isinstance(s, Table))
    assert [row.label for row in table.rows if not row.baseline] == ["features @ best"]
    assert [row.label for row in table.rows if row.baseline] == [
        "raw pixels",
        "PCA of the pixels",
        "the same encoder, untrained",
        "majority class",
    ]
    assert [c.best for c in table.rows[0].cells if isinstance(c, Number)] == [True, True, False]  # fmt: skip


def test_every_part_is_there(report: Report) -> None:
    titles = [s.title for s in report.sections if s.title]
    assert any("baselines" in t for t in titles)
    assert "How did training go?" in titles
    assert "Which classes are mixed up?" in titles
    assert any(t.startswith("t-SNE") for t in titles)
    pictures = [f.path for s in report.sections if isinstance(s, Gallery) for f in s.figures]
    pictures += [s.path for s in report.sections if isinstance(s, Figure)]
    assert "report/loss.png" in pictures
    assert "report/accuracy.png" in pictures
    assert "maps/tsne-features-best-test-mosaic.png" in pictures
    assert not any("learning_rate" in p for p in pictures), "a constant is no curve"


def test_pictures_named_are_there(report: Report, run: Run) -> None:
    for section in report.sections:
        figures = section.figures if isinstance(section, Gallery) else [section] if isinstance(section, Figure) else []
        assert all((run.path / f.path).is_file() for f in figures)


def test_provenance_is_enough_to_repeat(report: Report) -> None:
    facts = {f.name: str(f.value) for f in report.provenance.facts}
    assert report.provenance.command == "phispace train supervised --images cifar10 --epochs 12"
    assert facts["Images' fingerprint"] == "9f2c" * 16
    assert "torch 2.14.1" in facts["Versions"]
    assert "0123456789ab" in facts["phispace"]
    assert "learning_rate = 0.001" in report.provenance.configuration
    assert set(report.provenance.sources) == {"run.json", "config.toml", "metrics.csv", "scores.json"}


def test_a_run_made_from_python_gets_a_command_with_every_option(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", record={"argv": ["notebook.py"]}, logged=False, scored=False, drawn=False)
    command = run_report(run).provenance.command
    assert command.startswith("phispace train supervised --images cifar10 --encoder convnet4 --size 32 --seed 0")
    assert "--set method.learning_rate=0.001" in command
    assert "--set encoder.options.dropout=0.0" in command


def test_caveats_come_first(report: Report) -> None:
    assert any("2 images could not be decoded" in c for c in report.caveats)
    assert any("One seed" in c for c in report.caveats)


def test_costs_are_in_the_headline(report: Report) -> None:
    assert {"Training", "Epochs"} <= {f.name for f in report.headline}


def test_it_is_written_and_rendered_again(run: Run) -> None:
    page = write(run.path)
    assert page == run.path / "report.html"
    assert "88.3" in page.read_text(encoding="utf-8")
    assert Report.open(run.path / "report.json").title == "supervised on cifar10"


def test_a_study_is_rendered_from_its_json_alone(tmp_path: Path) -> None:
    Report(title="a study", question="q?", answer="a.").save(tmp_path / "report.json")
    assert "a study" in write(tmp_path).read_text(encoding="utf-8")


def test_neither_run_nor_study(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no run\.json"):
        write(tmp_path)


def test_a_run_without_scores_or_maps(tmp_path: Path) -> None:
    report = run_report(make_run(tmp_path / "r", scored=False, drawn=False))
    assert "Not scored yet" in report.answer
    assert "86.9\u202f% of the validation images" in report.answer
    assert any(isinstance(s, Text) and "phispace evaluate" in s.paragraphs[0] for s in report.sections)


def test_a_bare_record_is_enough(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "r", {}, {})
    report = run_report(run)
    assert "no scores and no validation numbers" in report.answer
    assert not any(isinstance(s, Code) for s in report.sections)
    assert write(run.path).is_file()


@pytest.mark.parametrize("status", ["running", "interrupted", "diverged", "failed"])
def test_an_unfinished_run_says_so(tmp_path: Path, status: str) -> None:
    run = make_run(tmp_path / "r", record={"status": status}, logged=False, scored=False, drawn=False)
    assert len(run_report(run).caveats) == 3


def gained(tmp_path: Path, learnt: float, untrained: float) -> str:
    run = make_run(tmp_path / "r", logged=False, scored=False, drawn=False)
    run.add_scores([score("linear", "features @ best", {"accuracy": learnt})])
    run.add_scores([score("linear", "untrained", {"accuracy": untrained})])
    return run_report(run).answer


def test_a_layer_is_compared_with_itself_untrained(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", logged=False, scored=False, drawn=False)
    run.add_scores([score("linear", "block2 @ last", {"accuracy": 0.87})])
    run.add_scores([score("linear", "untrained block1", {"accuracy": 0.96})])
    run.add_scores([score("linear", "untrained block2", {"accuracy": 0.7})])
    said = run_report(run).answer
    assert "on the untrained encoder 70.0" in said
    assert "96.0" not in said


def test_a_gain_within_the_intervals_is_called_chance(tmp_path: Path) -> None:
    assert "overlap, so this may be chance" in gained(tmp_path, 0.885, 0.880)


def test_a_loss_is_called_a_loss(tmp_path: Path) -> None:
    said = gained(tmp_path, 0.50, 0.60)
    assert "gained nothing" in said
    assert "10.0\u202fpoints behind" in said


def test_undefined_scores_do_not_answer(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", logged=False, scored=False, drawn=False)
    bad = score("linear", "features @ best", {"accuracy": float("nan")}, interval={}, caveats=["Only one class."])
    run.add_scores([bad, score("knn", "features @ best", {"accuracy": 0.7})])
    report = run_report(run)
    assert "70.0" in report.answer
    assert "Only one class." in write(run.path).read_text(encoding="utf-8")


def test_a_damaged_map_is_a_sentence_not_a_crash(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", logged=False, scored=False)
    (run.path / "maps" / "tsne-features-best-test.npz").write_bytes(b"PK\x03\x04 no")
    report = run_report(run)
    assert any(isinstance(s, Text) and "tsne-features-best-test.npz" in s.paragraphs[0] for s in report.sections)


@pytest.mark.parametrize("name", ["scores.json", "run.json"])
def test_damaged_records_are_named(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / "r", logged=False, drawn=False)
    (run.path / name).write_text("{")
    with pytest.raises(DataError, match=name):
        write(run.path)


def test_hostile_names_in_a_run(tmp_path: Path) -> None:
    # A name that JSON cannot hold cannot be in a run.json.
    name = " ".join(HOSTILE).encode("utf-8", "replace").decode()
    record = {"images": {"name": name, "fingerprint": name}, "encoder": {"name": name}, "method": {"title": name}}
    run = make_run(tmp_path / "r", record={**record, "error": name}, logged=False, scored=False, drawn=False)
    run.add_scores([score("linear", name, {"accuracy": 0.5}, caveats=[name]), score("knn", name, {name: 0.5})])
    page = write(run.path).read_text(encoding="utf-8")
    assert "alert(1)" in page
    assert "<script" not in page
    assert "<img" not in page.replace('<img src="data:', "")
    assert "<h1>x" not in page
