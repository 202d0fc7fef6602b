"""Scores of files, stores and runs through the command and in Python; options, baselines, items."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from typer.testing import CliRunner

import phispace as ph
from phispace import cli
from phispace.api.scores import DEFAULT_EVALUATIONS, score_lines
from phispace.errors import InputError, PhispaceError
from phispace.evaluation import REGISTRY
from phispace.evaluation.items import Items
from phispace.run import Run


def call(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.app, list(arguments))
    if isinstance(done.exception, PhispaceError):
        return done.exception.exit_code, done.stdout, str(done.exception)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train.npz and test.npz with `vectors` and `labels`; all.npz with `split`."""
    folder = tmp_path_factory.mktemp("files")
    bunch = load_digits()
    x, y = bunch.data.astype(np.float32), bunch.target
    np.savez(folder / "train.npz", vectors=x[:1000], labels=y[:1000])
    np.savez(folder / "test.npz", vectors=x[1000:1400], labels=y[1000:1400])
    split = np.where(np.arange(1400) < 1000, "train", "test")
    ids = np.array([f"digits/{i:06d}" for i in range(1400)])
    np.savez(folder / "all.npz", vectors=x[:1400], labels=y[:1400], split=split, ids=ids)
    return folder


def test_two_files_are_scored_as_scikit_learn_scores_them(files: Path) -> None:
    code, text, error = call(
        "evaluate", str(files / "train.npz"), "--test", str(files / "test.npz"), "--with", "knn", "--set", "knn.k=7",
        "--json", "--quiet",
    )  # fmt: skip
    assert code == 0, error
    rows = {row["store"]: row for row in json.loads(text)}
    store = ph.load_embeddings(files / "train.npz", test=files / "test.npz")
    train, test = store.part("train"), store.part("test")
    theirs = KNeighborsClassifier(7, metric="cosine").fit(train.vectors, train.labels)
    accuracy = float((theirs.predict(test.vectors) == test.labels).mean())
    assert rows["train"]["metrics"]["accuracy"] == pytest.approx(accuracy, abs=0.005)  # votes that tie
    assert rows["train"]["options"]["k"] == 7
    assert rows["majority"]["metrics"]["accuracy"] < 0.2
    for baseline in ("pixels", "pca", "untrained"):
        assert rows[baseline]["metrics"]["accuracy"] is None
        assert "only vectors" in rows[baseline]["caveats"][0]
    assert any("tenth" in c for c in rows["train"]["caveats"])


def test_one_file_with_a_split(files: Path) -> None:
    a = ph.evaluate(files / "all.npz", ["knn"])
    store = ph.load_embeddings(files / "train.npz", test=files / "test.npz")
    assert (ph.load_embeddings(files / "all.npz").splits == "test").sum() == (store.splits == "test").sum()
    assert a[0]["n"]["test"] == 400
    code, text, _ = call("evaluate", str(files / "all.npz"), "--with", "knn", "--quiet")
    assert code == 0
    assert "knn.accuracy" in text
    assert "n/a" in text
    assert "knn.majority" not in text
    assert "knn.majority" in call("evaluate", str(files / "all.npz"), "-w", "knn", "--all-metrics", "--quiet")[1]


def test_all_of_them_on_a_file(files: Path) -> None:
    """Every registered evaluation says a number or why not; none crashes without images or an encoder."""
    bunch = np.load(files / "all.npz")
    few = np.r_[0:200, 1000:1100]
    store = ph.Embeddings.build(
        bunch["vectors"][few], bunch["ids"][few], bunch["labels"][few], bunch["split"][few], name="few"
    )
    rows = ph.evaluate(store, ["all"], baselines=False)
    mine = {row["evaluation"]: row for row in rows if row["store"] == "few"}
    assert list(mine) == REGISTRY.names()
    for name, row in mine.items():
        undefined = [m for m, v in row["metrics"].items() if v is None]
        assert not undefined or row["caveats"], f"{name} leaves {undefined} undefined and says nothing"
    assert set(DEFAULT_EVALUATIONS) <= set(mine)
    assert len(score_lines(rows)) >= len(mine)


def test_a_directory_keeps_store_scores_and_report(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    code, _, error = call("evaluate", str(files / "all.npz"), "-w", "knn", "--out", str(out), "--quiet")
    assert code == 0, error
    assert ph.verify(out).ok
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "n/a" in html
    assert "One seed" not in html
    rows = ph.evaluate(out, ["linear"])  # the directory is a source like any other
    assert [e["evaluation"] for e in Run.open(out).scores()].count("linear") == len(rows)
    board = ph.compare(out).boards[0]
    assert board.entrants[0].label == "all"
    call("evaluate", str(files / "all.npz"), "-w", "health", "--out", str(out), "--quiet")
    assert {e["evaluation"] for e in Run.open(out).scores()} == {"knn", "linear", "health"}
    code, _, error = call("evaluate", str(files / "train.npz"), "-w", "knn", "--out", str(out), "--quiet")
    assert code == 2
    assert "something else" in error
    with pytest.raises(InputError, match="trained nothing"):
        ph.rerun(out)


def test_map_and_search_take_files(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, text, error = call("search", str(files / "all.npz"), "--id", "digits/000007", "-k", "3", "--quiet")
    assert code == 0, error
    (found,) = json.loads(text)
    assert len(found["neighbours"]) == 3
    assert {"id", "class", "similarity"} <= set(found["neighbours"][0])
    assert not list(tmp_path.iterdir()), "no images, no sheet"
    assert call("search", str(files / "all.npz"), "--query", "x.png", "--quiet")[0] == 2
    assert "needs images" in call("search", str(files / "all.npz"), "--id", "digits/000007", "-o", "s.png", "-q")[2]
    code, _, error = call(
        "search", str(files / "all.npz"), "--id", "digits/000007", "--images", "digits", "-o", "s.png", "--quiet"
    )
    assert code == 0, error
    assert (tmp_path / "s.png").stat().st_size > 3000
    code, text, error = call("map", str(files / "all.npz"), "--method", "pca", "--quiet", "--out", str(tmp_path / "m"))
    assert code == 0, error
    assert (tmp_path / "m" / "pca-all-test.png").is_file()
    code, text, error = call(
        "map", str(files / "train.npz"), "--method", "pca", "--quiet", "--out", str(tmp_path / "m")
    )
    assert (tmp_path / "m" / "pca-train-all.png").is_file(), "a test part that only the scores needed is no picture"
    code, _, error = call("search", str(files / "train.npz"), "--id", "000001", "--images", "digits", "--quiet")
    assert code == 3
    assert "no image of the same id" in error


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["nowhere.npz"], 2, "does not exist"),
        (["."], 2, "neither a run, an embeddings store nor a file"),
        (["train.npz", "--set", "knn.kk=3"], 2, "Its options: k, metric"),
        (["train.npz", "-w", "knn", "--set", "linear.l2=3"], 2, "not among knn"),
        (["train.npz", "--set", "knn=3"], 2, "EVALUATION.OPTION=VALUE"),
        (["train.npz", "--set", "knm.k=3"], 2, "Did you mean knn"),
        (["train.npz", "--labels", "y"], 2, "no array 'y'"),
        (["train.npz", "--ids", "labels"], 3, "stands twice"),
        (["train.npz", "--vectors", "labels"], 3, "vectors are"),
    ],
)
def test_wrong_requests(
    files: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], exit_code: int, words: str
) -> None:
    monkeypatch.chdir(files)
    code, _, error = call("evaluate", *arguments, "--quiet")
    assert words in error
    assert code == exit_code


def test_a_run_keeps_the_items_of_its_scores(tmp_path: Path) -> None:
    from small_run import digits, make_run

    images = digits(300)
    run = make_run(tmp_path / "run", images, epochs=1)
    rows = ph.evaluate(run, ["knn"], images=images, options={"knn": {"k": 5}})
    assert {row["store"] for row in rows} == {"features @ best", "pixels", "pca", "untrained", "majority"}
    main: dict[str, Any] = next(e for e in run.scores() if e["store"] == "features @ best")
    items = Items.open(run.path / main["items"]["path"])
    assert items.values["accuracy"].mean() == pytest.approx(main["metrics"]["accuracy"])
    right = items.columns["label"] == items.columns["prediction"]
    assert (right == (items.values["accuracy"] == 1)).all()
    assert main["seconds"] >= 0
    with pytest.raises(InputError, match="keeps its own scores"):
        ph.evaluate(run, ["knn"], images=images, out=tmp_path / "x")


def test_scores_on_other_images_do_not_take_the_place_of_the_runs_own(tmp_path: Path) -> None:
    from small_run import digits, make_run

    from phispace.report.build import run_report

    images, others = digits(300), digits(400)
    run = make_run(tmp_path / "run", images, epochs=1)
    own = ph.evaluate(run, ["knn"], images=images)
    other = ph.evaluate(run, ["knn"], images=replace(others, name="more digits"))
    assert all("images" not in row for row in own)
    assert {row["images"]["name"] for row in other} == {"more digits"}
    stored = run.scores()
    assert len(stored) == len(own) + len(other)
    assert len({e["items"]["path"] for e in stored if "items" in e}) == 8
    titles = [s.title for s in run_report(run).sections if s.title]
    assert "How good is it on more digits, which it was not trained on?" in titles
    assert ph.compare(run).boards[0].entrants[0].label == "supervised, convnet4"
    assert ph.verify(run).ok
