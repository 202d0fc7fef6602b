"""compare and leaderboard as verbs and in Python, on real runs of two seeds and two encoders."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_run import digits, make_run
from typer.testing import CliRunner

import phispace as ph
from phispace import cli
from phispace.errors import PhispaceError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scored runs."""
    path = tmp_path_factory.mktemp("board")
    images = digits(400)
    for name, encoder in (("a", "convnet4"), ("b", "mlp"), ("c", "mlp")):
        options = {"hidden": [24]} if encoder == "mlp" else {"width": 8, "dense": 32}
        run = make_run(path / name, images, encoder=encoder, epochs=1, **options)
        if name == "c":
            config = {**run.config, "training": {"seed": 1}}
            run.update(config=config)
        ph.evaluate(run, ["knn", "linear"], images=images, baselines=name == "a")
    return path


def call(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.app, list(arguments))
    if isinstance(done.exception, PhispaceError):
        return done.exception.exit_code, done.stdout, str(done.exception)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def test_compare_tells_every_pair(folder: Path, tmp_path: Path) -> None:
    runs = [str(folder / name) for name in "abc"]
    code, text, error = call("compare", *runs, "--with", "linear", "--no-baselines", "--out", str(tmp_path / "c.html"))
    assert code == 0, error
    assert "supervised, mlp" in text
    assert "2 / 1" in text or "1 / 2" in text
    assert (tmp_path / "c.html").stat().st_size > 5000
    found = ph.compare(*runs, evaluations=["linear"], baselines=False)
    (pair,) = found.boards[0].pairs["linear.accuracy"]
    means = {e.label: found.boards[0].measured[e.label, "linear.accuracy"].value for e in found.boards[0].entrants}
    assert pair.estimate.value == pytest.approx(means[pair.a.label] - means[pair.b.label])
    assert pair.estimate.n == 80
    assert pair.estimate.interval[0] <= pair.estimate.value <= pair.estimate.interval[1]


def test_leaderboard_of_a_folder(folder: Path, tmp_path: Path) -> None:
    code, text, error = call(
        "leaderboard", str(folder), "--with", "knn", "--with", "linear.balanced_accuracy", "--json"
    )
    assert code == 0, error
    board = json.loads(text)["boards"][0]
    assert [s["metric"] for s in board["scores"]] == ["accuracy", "balanced_accuracy"]
    assert {e["label"] for e in board["entrants"] if e["baseline"]} >= {"raw pixels", "majority class"}
    values = [e["scores"]["knn.accuracy"]["mean"] for e in board["entrants"] if not e["baseline"]]
    assert values == sorted(values, reverse=True)
    code, text, error = call("leaderboard", str(folder), "--out", str(tmp_path / "all"))
    assert code == 0, error
    assert sorted(p.suffix for p in (tmp_path / "all").glob("leaderboard.*")) == [".csv", ".html", ".json", ".md"]
    assert "p (Holm)" in text


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["compare"], 2, "Missing argument"),
        (["compare", "nowhere"], 3, "it does not exist"),
        (["leaderboard", "."], 3, "no run below"),
        (["leaderboard"], 3, "no run below runs"),
    ],
)
def test_wrong_requests_of_comparisons(
    arguments: list[str], exit_code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, error = call(*arguments)
    assert code == exit_code
    assert words in error
    assert not list(tmp_path.iterdir())


def test_a_suffix_that_is_not_written(folder: Path, tmp_path: Path) -> None:
    code, _, error = call("compare", str(folder / "a"), "--out", str(tmp_path / "x.docx"))
    assert code == 2
    assert ".html, .md, .csv, .json" in error


def test_names_of_the_package_are_functions_whatever_is_imported_first() -> None:
    """No room or module of the package bears the name of a function of it."""
    code = (
        "import importlib, phispace as ph\n"
        "for room in ('api.compare', 'api.verify', 'api.rerun', 'evaluation.compare', 'report.leaderboard', 'cli'):\n"
        "    importlib.import_module(f'phispace.{room}')\n"
        "print([n for n in ('compare', 'leaderboard', 'verify', 'rerun', 'evaluate', 'load_embeddings')\n"
        "       if not callable(getattr(ph, n))])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
