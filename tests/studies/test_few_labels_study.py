"""The study `few-labels`: folds, the simple classifier, what is a finding, and the whole on any images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from phispace import study
from phispace.data import load_images
from phispace.data.imageset import ImageSet
from phispace.errors import InputError
from phispace.report.document import Report
from phispace.studies.labelled_folds import few_labels
from phispace.studies.steps.few_labels import regress
from phispace.studies.steps.few_labels_report import Contestant, sections

ALONE = {"threads": 1, "precision": "float32"}


@pytest.fixture(scope="module")
def cells() -> ImageSet:
    return load_images("cells", options={"labelled": 80, "unlabelled": 60})


def test_every_labelled_image_is_held_out_once_in_each_repeat(cells: ImageSet) -> None:
    few = few_labels(cells, 400, folds=4, repeats=3, seed=0)
    assert len(few.labelled) == 80
    seen = np.zeros((3, 80), int)
    divisions = list(few.divisions())
    for repeat, _, chosen, held_out in divisions:
        assert not set(chosen) & set(held_out)
        assert len(chosen) + len(held_out) == 80
        seen[repeat, held_out] += 1
        images = few.fold_images(chosen)
        assert set(images.where("train")) == set(chosen)
        assert set(images.where("test")) == set(held_out)
        shares = np.bincount(few.labelled.labels[chosen]) / np.bincount(few.labelled.labels)
        assert np.abs(shares - 0.75).max() < 0.06
    assert (seen == 1).all()
    tests = {tuple(sorted(d[3])) for d in divisions}
    assert len(tests) == 12, "each repeat divides anew"
    again = [d[3].tolist() for d in few_labels(cells, 400, folds=4, repeats=3, seed=0).divisions()]
    assert again == [d[3].tolist() for d in divisions]


def test_the_autoencoder_sees_no_label_and_no_labelled_image(cells: ImageSet) -> None:
    few = few_labels(cells, 400, folds=4, repeats=1, seed=0)
    train = few.unlabelled.where("train")
    assert len(train) == 60
    assert (few.unlabelled.labels[train] == -1).all()
    assert set(few.unlabelled.ids[few.unlabelled.where("val")]) == set(few.labelled.ids)
    assert not set(few.unlabelled.ids[train]) & set(few.labelled.ids)


def test_labels_beyond_the_pool_are_hidden() -> None:
    images = load_images("digits")
    few = few_labels(images, 100, folds=4, repeats=1, seed=0)
    assert len(few.labelled) == 100
    assert set(few.labelled.ids) <= set(images.ids[images.where("train")])
    train = few.unlabelled.where("train")
    assert (few.unlabelled.labels[train] == -1).all()
    assert not set(few.unlabelled.ids[train]) & set(images.ids[images.where("test")]), "test is not trained on"
    assert few.unlabelled.fingerprint != images.fingerprint


def test_what_does_not_do_is_said(cells: ImageSet) -> None:
    with pytest.raises(InputError, match="no unlabelled images"):
        few_labels(cells.take(cells.where(labelled=True)), 400, 4, 1, 0)
    rare = cells.labels.copy()
    rare[np.flatnonzero(rare == 1)[2:]] = -1
    with pytest.raises(InputError, match="'septum forming' has 2 labelled images; 4 folds need at least 4"):
        few_labels(replace(cells, labels=rare), 400, 4, 1, 0)
    one = np.where(cells.labels == 0, 0, -1)
    with pytest.raises(InputError, match="of 1 classes; two or more"):
        few_labels(replace(cells, labels=one), 400, 4, 1, 0)


def test_the_simple_classifier_learns_what_is_linear_and_guesses_what_is_not() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    vectors = rng.normal(size=(200, 5))
    chosen, held_out = np.arange(150), np.arange(150, 200)
    chance = (regress(vectors, labels, chosen, held_out, 0) == labels[held_out]).mean()
    vectors[:, 2] += 6 * labels
    vectors[:, 4] = 1e6
    sure = (regress(vectors, labels, chosen, held_out, 0) == labels[held_out]).mean()
    assert sure > 0.95
    assert chance < 0.6
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=2000))
    assert (
        np.mean(model.fit(vectors[chosen], labels[chosen]).predict(vectors[held_out]) == labels[held_out])
        <= sure + 0.05
    )
    few = np.concatenate([np.flatnonzero(labels == k)[:1] for k in range(3)])
    assert set(regress(vectors, labels, few, held_out, 0)) <= {0, 1, 2}


class Place:
    """Stands for the study's directory."""

    seed = 0

    def __init__(self, out: Path) -> None:
        self.out = out

    def place(self, *names: str) -> Path:
        return self.out.joinpath(*names)


@pytest.mark.parametrize(
    ("repeats", "shares", "verdict"),
    [(3, (0.5, 0.95), "yes"), (3, (0.95, 0.5), "no"), (3, (0.7, 0.7), "open"), (1, (0.5, 0.95), "yes")],
)
def test_a_winner_is_a_finding_only_if_the_interval_says_so(
    tmp_path: Path, cells: ImageSet, repeats: int, shares: tuple[float, float], verdict: str
) -> None:
    few = few_labels(cells, 400, folds=4, repeats=repeats, seed=0)
    true, rng = few.labelled.labels, np.random.default_rng(0)
    contestants = [
        Contestant(name, name, np.where(rng.random((repeats, 80)) < share, true, (true + 1) % 3))
        for name, share in zip("ab", shares, strict=True)
    ]
    made, answer, _, numbers = sections(Place(tmp_path), "c", few, contestants, "autoencoder", "convnet4")
    finding = next(s for s in made if s.kind == "findings").findings[0]
    assert finding.verdict == verdict
    right = [(c.predicted == true).mean() for c in contestants]
    assert numbers["difference"]["value"] == pytest.approx(right[1] - right[0])
    assert numbers["accuracy"]["a"]["value"] == pytest.approx(right[0])
    assert ("that is a finding" in answer) == (verdict != "open")


@pytest.mark.slow
def test_the_whole_study_on_synthetic_cells(tmp_path: Path) -> None:
    images = load_images("cells", options={"labelled": 84, "unlabelled": 120})
    study("few-labels", images=images, out=tmp_path / "s", scale="smoke", training=ALONE)
    report = Report.open(tmp_path / "s" / "report.json")
    assert any("synthetic" in caveat for caveat in report.caveats)
    table = next(s for s in report.sections if s.kind == "table")
    assert [row.baseline for row in table.rows] == [False, False, True, True, True, True]
    result = json.loads((tmp_path / "s" / "study.json").read_text())["steps"]["contest"]["result"]
    assert set(result["accuracy"]) == {"classifier", "codes", "pixels", "pca", "untrained"}
    assert len(result["accuracy"]["codes"]["by_repeat"]) == 2
    assert all(np.isfinite(result["autoencoder_val_loss"]))


@pytest.mark.slow
def test_the_whole_study_on_somebodys_npz(tmp_path: Path) -> None:
    """Few labels, the others -1, as the file of a laboratory may be."""
    rng = np.random.default_rng(0)
    labels = np.where(np.arange(200) < 60, rng.integers(0, 2, 200), -1)
    pixels = rng.integers(0, 90, (200, 16, 16), np.uint8)
    pixels[labels == 1, 4:12, 4:12] += 120
    np.savez(tmp_path / "mine.npz", images=pixels, labels=labels)
    study("few-labels", images=str(tmp_path / "mine.npz"), out=tmp_path / "s", scale="smoke", training=ALONE)
    result = json.loads((tmp_path / "s" / "study.json").read_text())["steps"]["contest"]["result"]
    assert result["accuracy"]["pixels"]["value"] > 0.95
