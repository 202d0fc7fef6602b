"""Robustness: constructed changes whose scores are known, classifiers against scikit-learn's, a real run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from poor_stores import changed
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from small_run import digits as digit_images
from small_run import make_run

from phispace.data.corruptions import BENCHMARK, SEVERITIES
from phispace.data.variants import make_variant
from phispace.embeddings.baselines import pixels
from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation import robustness
from phispace.evaluation.base import Scores
from phispace.evaluation.evaluate import make_evaluation, score_table, wanted_variants
from phispace.evaluation.protocol import by_id, labelled_parts
from phispace.metrics.intervals import wilson

FEW = {"kinds": ("fog", "contrast"), "severities": (1, 5), "shifts": ("1,0",)}


def said(scores: Scores, words: str) -> bool:
    return any(words in caveat for caveat in scores.caveats)


def variants(digits: Embeddings, change: Callable[[str, np.ndarray], np.ndarray], **options) -> dict[str, Embeddings]:
    test = digits.part("test")
    names = make_evaluation("robustness", FEW | options).variants()
    return {name: changed(test, vectors=change(name, np.asarray(test.vectors))) for name in names}


def test_the_table_is_that_of_the_corruptions() -> None:
    assert robustness.KINDS == BENCHMARK
    assert robustness.SEVERITIES == SEVERITIES
    wanted = make_evaluation("robustness").variants()
    assert len(wanted) == 12 * 5 + 6
    assert set(wanted.values()) == {"test:1000"}


def test_what_changes_nothing_keeps_everything(digits: Embeddings) -> None:
    scores = make_evaluation("robustness", FEW).run(digits, others=variants(digits, lambda _, x: x))
    m = scores.metrics
    assert m["corrupted_accuracy"] == m["shift_accuracy"] == m["clean_accuracy"] == m["accuracy_severity_5"]
    assert m["retained"] == m["neighbours_kept"] == m["shift_retained"] == m["shift_neighbours_kept"] == 1
    assert m["worst_class_accuracy"] == m["clean_worst_class_accuracy"] < m["clean_accuracy"]
    n = scores.n["test"]
    assert scores.interval["clean_accuracy"] == wilson(round(m["clean_accuracy"] * n), n)
    assert scores.interval["retained"] == (1, 1)


def test_what_leaves_nothing_is_at_chance(digits: Embeddings) -> None:
    draws = np.random.default_rng(0)
    others = variants(digits, lambda _, x: draws.permutation(draws.permutation(x).T).T)
    m = make_evaluation("robustness", FEW).run(digits, others=others).metrics
    assert m["clean_accuracy"] > 0.85
    assert m["corrupted_accuracy"] < 0.25
    assert m["retained"] < 0.3
    assert m["neighbours_kept"] < 0.25


@pytest.mark.parametrize("classifier", ["linear", "knn"])
def test_cells_rows_and_worst_against_scikit_learn(digits: Embeddings, classifier: str) -> None:
    draws = np.random.default_rng(1)
    amount = {"corrupt/fog/1": 0.1, "corrupt/fog/5": 0.3, "corrupt/contrast/1": 0.2, "corrupt/contrast/5": 0.8}
    others = variants(digits, lambda n, x: x + amount.get(n, 0.05) * draws.standard_normal(x.shape).astype(np.float32))
    scores = make_evaluation("robustness", FEW | {"classifier": classifier}).run(digits, others=others)
    parts = labelled_parts(digits)
    if classifier == "linear":
        scaler = StandardScaler().fit(parts.train.x)
        l2 = scores.details["chosen"]["l2"]
        model = LogisticRegression(C=1 / (len(parts.train) * l2), max_iter=5000, tol=1e-8)
        model.fit(scaler.transform(parts.train.x), parts.train.y)
    else:
        scaler, model = None, KNeighborsClassifier(20, metric="cosine", algorithm="brute")
        model.fit(parts.train.x, parts.train.y)

    def right(name: str) -> np.ndarray:
        part = by_id(others[name], "test")
        x = part.x if scaler is None else scaler.transform(part.x)
        return model.predict(x) == part.y

    cell = {name: right(name) for name in others}
    tolerance = 2.01 / len(parts.test)  # a tie, or a probability at the border
    table = np.array(scores.details["accuracy"])
    for i, kind in enumerate(FEW["kinds"]):
        for j, severity in enumerate(FEW["severities"]):
            assert table[i, j] == pytest.approx(cell[f"corrupt/{kind}/{severity}"].mean(), abs=tolerance)
    m = scores.metrics
    assert m["corrupted_accuracy"] == pytest.approx(table.mean())
    assert m["accuracy_severity_5"] == pytest.approx(table[:, 1].mean())
    assert m["worst_corruption_accuracy"] == pytest.approx(table.mean(1).min())
    assert scores.details["worst_corruption"] == "contrast"
    assert m["shift_accuracy"] == pytest.approx(cell["shift/1,0"].mean(), abs=tolerance)
    low, high = scores.interval["retained"]
    assert low < m["retained"] < high
    each = np.mean([cell[n] for n in amount], axis=0)
    by_class = {k: each[parts.test.y == k].mean() for k in range(10)}
    assert m["worst_class_accuracy"] == pytest.approx(min(by_class.values()), abs=0.05)
    assert np.mean(scores.items.values["corrupted_accuracy"]) == pytest.approx(m["corrupted_accuracy"])


def test_neighbours_kept_is_the_share_that_stays(digits: Embeddings) -> None:
    draws = np.random.default_rng(2)
    others = variants(digits, lambda _, x: x + 0.3 * draws.standard_normal(x.shape).astype(np.float32))
    scores = make_evaluation("robustness", FEW | {"neighbours": 7}).run(digits, others=others)
    clean = by_id(digits, "test").x

    def around(x: np.ndarray) -> np.ndarray:
        near = x @ clean.T / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(clean, axis=1)
        np.fill_diagonal(near, -2)
        return np.argsort(-near, axis=1)[:, :7]

    for i, kind in enumerate(FEW["kinds"]):
        for j, severity in enumerate(FEW["severities"]):
            moved = around(by_id(others[f"corrupt/{kind}/{severity}"], "test").x)
            shared = [len(set(a) & set(b)) / 7 for a, b in zip(around(clean), moved, strict=True)]
            assert scores.details["neighbours_kept"][i][j] == pytest.approx(np.mean(shared), abs=1e-3)


def test_a_representation_that_ignores_contrast_is_robust_to_it() -> None:
    """A control on real images: pixels lose to pixels whose contrast is divided out."""
    images = digit_images(900)
    options = {"kinds": ("contrast",), "severities": (3, 4, 5), "shifts": ("2,0",)}
    evaluation = make_evaluation("robustness", options)

    def ignoring(store: Embeddings) -> Embeddings:
        x = np.asarray(store.vectors) - store.vectors.mean(1, keepdims=True)
        return changed(store, vectors=x / np.linalg.norm(x, axis=1, keepdims=True))

    stores = {name: pixels(make_variant(images, name), ("test",)) for name in evaluation.variants()}
    raw = evaluation.run(pixels(images), others=stores).metrics
    same = evaluation.run(ignoring(pixels(images)), others={n: ignoring(s) for n, s in stores.items()}).metrics
    assert same["retained"] > 0.95 > raw["retained"] + 0.1
    assert same["clean_accuracy"] > 0.85
    assert same["neighbours_kept"] > raw["neighbours_kept"] + 0.1
    assert same["shift_retained"] < 0.7, "it does not ignore moves"


def test_a_run_end_to_end(tmp_path: Path) -> None:
    from phispace.embeddings.extract import extract_run
    from phispace.embeddings.variants import variant_stores

    images = digit_images(600)
    run = make_run(tmp_path / "r", images, epochs=6)
    options = {"robustness": {"kinds": ("gaussian-noise", "pixelate"), "n": 80, "shifts": ("1,0",)}}
    stores = {"features @ best": extract_run(run, images)["features"], "pixels": pixels(images)}
    wanted = wanted_variants(["robustness"], options)
    others = variant_stores(run, images, wanted=wanted, labels=list(stores))
    rows = score_table(stores, ["robustness"], options=options, others=others)
    for row in rows:
        m = row["metrics"]
        assert row["n"]["test"] == 80
        assert m["clean_accuracy"] > 0.6
        assert m["accuracy_severity_1"] >= m["accuracy_severity_5"]
        assert 0.1 < m["corrupted_accuracy"] <= 1
        assert 0.1 < m["neighbours_kept"] < 1


def test_without_stores_there_is_a_reason(digits: Embeddings) -> None:
    evaluation = make_evaluation("robustness", FEW)
    scores = evaluation.run(digits)
    assert np.isnan(list(scores.metrics.values())).all()
    assert said(scores, "a foreign store has none")
    others = variants(digits, lambda _, x: x)
    only_shift = evaluation.run(digits, others={"shift/1,0": others["shift/1,0"]})
    assert np.isnan(only_shift.metrics["corrupted_accuracy"])
    assert only_shift.metrics["shift_retained"] == 1
    assert said(only_shift, "Without corrupt/fog/1, corrupt/fog/5, corrupt/contrast/1 and 1 more")
    del others["corrupt/fog/5"]
    holes = evaluation.run(digits, others=others)
    assert holes.details["accuracy"][0][1] is None
    assert holes.metrics["retained"] == 1
    apart = {n: changed(s, vectors=np.asarray(s.vectors)[:, :5]) for n, s in others.items()}
    with pytest.raises(InputError, match="5 dimensions"):
        evaluation.run(digits, others=apart)


def test_a_bounded_number_of_items(digits: Embeddings) -> None:
    others = variants(digits, lambda _, x: x)
    options = FEW | {"n": 20, "train_items": 100}
    scores = make_evaluation("robustness", options).run(digits, others=others)
    assert scores.n == {"train": 100, "test": 20}
    assert said(scores, "fitted on 100 of")
    assert said(scores, "Of 20 of")
    fewer = {n: s.take(np.arange(30)) for n, s in others.items()}
    assert make_evaluation("robustness", FEW).run(digits, others=fewer).n["test"] == 30


def test_a_rare_class_and_useless_vectors(digits: Embeddings) -> None:
    noise = np.random.default_rng(3).standard_normal(np.shape(digits.vectors)).astype(np.float32)
    lost = changed(digits, vectors=noise)
    scores = make_evaluation("robustness", FEW).run(lost, others=variants(lost, lambda _, x: -x))
    assert scores.metrics["clean_accuracy"] < 0.3
    assert 0 <= scores.metrics["worst_class_accuracy"] <= scores.metrics["corrupted_accuracy"]
