"""The study `pretraining`: draws, moments, distances between functions, what follows from them, and the whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import ttest_rel
from sklearn.decomposition import PCA

from phispace import study
from phispace.data import load_images
from phispace.errors import InputError
from phispace.report.document import Report
from phispace.report.figures.trajectories import trajectories
from phispace.studies.steps import get_step
from phispace.studies.steps.function_space import answers, distances, gram_of, principal_coordinates
from phispace.studies.steps.networks import followed_images, labelled_part, moments
from phispace.studies.steps.networks_report import sections

ALONE = {"threads": 1, "precision": "float32"}


def test_moments_grow_from_zero_to_the_end() -> None:
    for total, count in ((1000, 20), (15, 5), (2, 2), (10_000, 40)):
        found = moments(total, count)
        assert found[0] == 0
        assert found[-1] == total
        assert list(found) == sorted(set(found))
        assert len(found) <= count + 1


def test_draws_of_labels_are_stratified_nested_and_the_networks_own() -> None:
    images = load_images("digits")
    few, more = labelled_part(images, 50, 0), labelled_part(images, 100, 0)
    assert len(few) == 50
    assert np.bincount(few.labels).min() >= 4
    assert set(few.ids) < set(more.ids)
    assert set(few.ids) <= set(images.ids[images.where("train")])
    assert set(few.ids) != set(labelled_part(images, 50, 1).ids)
    assert len(labelled_part(images, 0, 0)) == len(images.where("train"))
    assert set(images.split[followed_images(images, 30)]) == {"test"}


@pytest.mark.parametrize("rows", [(3, 3), (4, 2), (1, 1)])
def test_inner_products_distances_and_components_are_those_of_the_vectors(rows: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    outputs = [rng.random((t, 1203, 4)).astype(np.float16) for t in rows]
    vectors = np.concatenate([o.reshape(len(o), -1) for o in outputs]).astype(np.float64)
    gram = gram_of(outputs)
    np.testing.assert_allclose(gram, vectors @ vectors.T, rtol=1e-10)
    np.testing.assert_allclose(distances(gram), cdist(vectors, vectors), atol=1e-5)
    count = min(3, len(vectors) - 1)
    found, explained = principal_coordinates(gram, 3)
    model = PCA(count).fit(vectors)
    np.testing.assert_allclose(np.abs(found), np.abs(model.transform(vectors)), atol=1e-4)
    assert explained == pytest.approx(model.explained_variance_ratio_.sum(), abs=1e-8)


def test_equal_vectors_have_no_variance_and_no_distance() -> None:
    gram = gram_of([np.ones((3, 10, 2), np.float16)])
    assert distances(gram).max() == 0
    found, explained = principal_coordinates(gram, 5)
    assert np.abs(found).max() < 1e-6
    assert explained == 1.0


def ways(apart: float, spread: tuple[float, float], seed: int = 0) -> tuple[np.ndarray, ...]:
    """Three networks of each group from one place to ends `apart` from each other, with a spread of their own."""
    rng = np.random.default_rng(seed)
    rows, network, steps, group = [], [], [], []
    for number in range(6):
        kind = number // 3
        end = np.zeros(30)
        end[0] = 10.0 + kind * apart
        end = end + rng.normal(0, spread[kind], 30)
        for step in (0, 5, 10):
            rows.append(end * step / 10)
            network.append(number)
            steps.append(step)
            group.append(kind)
    return cdist(np.array(rows), np.array(rows)), np.array(network), np.array(steps), np.array(group)


def test_constructed_ways_get_their_answers() -> None:
    def verdicts(apart: float, spread: tuple[float, float]) -> list[str]:
        return [f.verdict for f in answers(*ways(apart, spread))[0]]

    assert verdicts(50, (3.0, 1.0)) == ["yes", "yes", "yes"]
    assert verdicts(50, (1.0, 3.0))[2] == "no"
    assert verdicts(50, (0.05, 0.05))[1] == "no", "all of a group end in one place"
    assert verdicts(0, (1.0, 1.0))[0] in ("no", "partly")
    numbers = answers(*ways(50, (1.0, 0.3)))[1]
    assert numbers["between_first"] == 0
    assert numbers["between_last"] == pytest.approx(50, rel=0.05)


class Place:
    """Stands for the study's directory."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def place(self, *names: str) -> Path:
        return self.out.joinpath(*names)


def test_gains_are_paired_and_spreads_compared(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    without = 0.3 + rng.normal(0, 0.05, 30)
    pretrained = without - 0.1 + rng.normal(0, 0.01, 30)
    errors = {100: [without.tolist(), pretrained.tolist()], 0: [[0.05, 0.06, 0.055], [0.051, 0.059, 0.056]]}
    made, answer, headline, numbers = sections(Place(tmp_path), "n", errors, 1000, 1.0)
    expected = ttest_rel(without, pretrained)
    low, high = expected.confidence_interval()
    assert numbers["gains"]["100"]["interval"] == pytest.approx([low, high], rel=1e-6)
    assert numbers["gains"]["100"]["p"] == pytest.approx(expected.pvalue, rel=1e-4, abs=1e-12)
    findings = next(s for s in made if s.kind == "findings").findings
    assert [f.verdict for f in findings] == ["partly", "yes", "open"]
    assert "100 labels" in answer
    assert len(headline) == 2
    two = {0: [[0.1, 0.2], [0.1, 0.1]]}
    assert "undefined with two networks" in sections(Place(tmp_path), "m", two, 10, 1.0)[0][-1].findings[-1].answer


def test_a_figure_of_ways_and_what_it_refuses(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    _, network, steps, group = ways(5, (1, 1))
    panels = {"t-SNE": rng.normal(size=(18, 2)), "Isomap": rng.normal(size=(18, 2))}
    path = trajectories(panels, network, steps, group, ("without", "with"), tmp_path / "f.png")
    assert path.stat().st_size > 10_000
    assert (tmp_path / "f.dark.png").exists()
    trajectories({"one": np.zeros((2, 2))}, [0, 1], [0, 0], [0, 1], ("a", "b"), tmp_path / "still.png")
    with pytest.raises(InputError, match="Trajectories need panels"):
        trajectories({"x": np.zeros((3, 2))}, network, steps, group, ("a", "b"), tmp_path / "g.png")
    with pytest.raises(InputError, match="Trajectories need panels"):
        trajectories({}, network, steps, group, ("a", "b"), tmp_path / "g.png")


@pytest.mark.slow
def test_the_whole_study_on_digits(tmp_path: Path) -> None:
    """Smoke: every network is trained, and both groups differ by their beginning alone."""
    made = study("pretraining", images="digits", out=tmp_path / "s", scale="smoke", training=ALONE)
    report = Report.open(tmp_path / "s" / "report.json")
    assert sum(len(s.findings) for s in report.sections if s.kind == "findings") == 6
    state = json.loads((tmp_path / "s" / "study.json").read_text())["steps"]
    errors = state["networks"]["result"]["errors"]
    assert set(errors) == {"50", "all"}
    assert all(0 <= e <= 1 for groups in errors.values() for group in groups for e in group)
    runs = tmp_path / "s" / "runs"
    records = {p.name: json.loads((p / "run.json").read_text()) for p in runs.iterdir()}
    assert len(records) == 2 * (1 + 2 * 2)
    pair = [records[f"networks-{kind}-00-50-labels"] for kind in ("random", "pretrained")]
    assert pair[0]["images"]["fingerprint"] == pair[1]["images"]["fingerprint"]
    assert pair[1]["began_with"]["id"] == records["networks-pretrained-00"]["id"]
    configs = [{**r["config"], "encoder": {**r["config"]["encoder"], "start": None}} for r in pair]
    assert configs[0] == configs[1]
    assert "began_with" not in pair[0]
    assert (tmp_path / "s" / "figures" / "trajectories.png").exists()
    before = made.path.read_text()
    study("pretraining", images="digits", out=tmp_path / "s", scale="smoke", training=ALONE)
    assert made.path.read_text().count("<section") == before.count("<section")


def test_labels_beyond_the_draw_are_not_seen() -> None:
    images = load_images("digits")
    shuffled = replace(images, labels=np.roll(images.labels, 7), known_fingerprint=None)
    part = labelled_part(images, 50, 0)
    assert len(part.where("val", "test", "unlabelled")) == 0
    assert len(labelled_part(shuffled, 50, 0)) == 50


def test_following_networks_that_are_not_trained_is_refused() -> None:
    with pytest.raises(InputError, match="followed = 0 is none of the numbers of labels"):
        get_step("networks").parse({"networks": 2, "labels": [100]}, "n")
