"""Few labels: the draws, the three classifiers, means and intervals over draws, what is left out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from poor_stores import ODD, changed
from scipy import stats
from sklearn.linear_model import LogisticRegression

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Scores
from phispace.evaluation.draws import drawn, places_in_class
from phispace.evaluation.evaluate import make_evaluation
from phispace.evaluation.few_labels import area
from phispace.metrics.directions import unit_vectors


def run(store: Embeddings, seed: int = 0, **options) -> Scores:
    return make_evaluation("few-labels", options).run(store, seed=seed)


def said(scores: Scores, words: str) -> bool:
    return any(words in caveat for caveat in scores.caveats)


def row(scores: Scores, classifier: str, per_class: int) -> dict:
    [found] = [r for r in scores.details["curves"][classifier] if r["per_class"] == per_class]
    return found


def sorted_parts(store: Embeddings) -> tuple[np.ndarray, ...]:
    """Unit vectors, labels and ids of train and test in the order of ids, from first principles."""
    store = store.take(np.argsort(store.ids))
    train, test = store.part("train"), store.part("test")
    mean = np.asarray(train.vectors).mean(0)
    x, z = (np.asarray(s.vectors) - mean for s in (train, test))
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, z)]
    return unit[0], train.labels, train.ids, unit[1], test.labels


def test_draws_are_nested_and_of_each_class() -> None:
    rng = np.random.default_rng(0)
    ids, y = np.array([f"item {i}" for i in range(300)]), rng.integers(0, 4, 300)
    places = places_in_class(ids, y, 0, 0)
    for c in range(4):
        assert sorted(places[y == c]) == list(range((y == c).sum()))
    before: set[int] = set()
    for n in (1, 2, 8, 20):
        rows = drawn(places, y, n)
        assert np.bincount(y[rows]).tolist() == [n] * 4
        assert before <= set(rows.tolist())
        before = set(rows.tolist())
    assert np.bincount(y[drawn(places, y, 0.1)]).tolist() == [round(0.1 * k) for k in np.bincount(y)]
    assert np.bincount(y[drawn(places, y, 0.001)]).tolist() == [1] * 4


def test_draws_depend_on_ids_alone() -> None:
    rng = np.random.default_rng(0)
    ids, y = np.array([f"item {i}" for i in range(200)]), rng.integers(0, 4, 200)
    chosen = set(ids[drawn(places_in_class(ids, y, 0, 3), y, 5)])
    order = rng.permutation(200)
    assert set(ids[order][drawn(places_in_class(ids[order], y[order], 0, 3), y[order], 5)]) == chosen
    # Without items of another class the draw of this class is the same.
    three = y != 2
    assert chosen - set(ids[~three]) == set(ids[three][drawn(places_in_class(ids[three], y[three], 0, 3), y[three], 5)])
    for seed, draw in ((0, 4), (1, 3)):
        assert set(ids[drawn(places_in_class(ids, y, seed, draw), y, 5)]) != chosen


def test_linear_and_centroid_by_hand(digits: Embeddings) -> None:
    scores = run(digits, per_class=(2, 20), fractions=(), draws=4)
    x, y, ids, z, t = sorted_parts(digits)
    for n in (2, 20):
        expected: dict[str, list[float]] = {"linear": [], "centroid": []}
        for draw in range(4):
            rows = drawn(places_in_class(ids, y, 0, draw), y, n)
            model = LogisticRegression(C=1, tol=1e-8, max_iter=5000).fit(x[rows], y[rows])
            expected["linear"].append(model.score(z, t))
            means = unit_vectors(np.stack([x[rows][y[rows] == c].mean(0) for c in range(10)]))
            expected["centroid"].append(((z @ means.T).argmax(1) == t).mean())
        for name, values in expected.items():
            found = row(scores, name, n)
            assert found["values"] == pytest.approx(values, abs=0.011), "one item of 100 may lie on a border"
            assert found["labels"] == 10 * n
            assert found["mean"] == pytest.approx(np.mean(found["values"]))
            low, high = stats.t.interval(0.95, 3, np.mean(found["values"]), stats.sem(found["values"]))
            assert (found["low"], found["high"]) == pytest.approx((max(0, low), min(1, high)))
    assert scores.metrics["linear_20"] == row(scores, "linear", 20)["mean"]
    assert scores.items is not None
    assert scores.items.values["linear_20"].mean() == pytest.approx(scores.metrics["linear_20"])


def test_more_labels_are_better_and_the_area_is_between(digits: Embeddings) -> None:
    scores = run(digits)
    for name in ("linear", "centroid", "propagation"):
        means = [r["mean"] for r in scores.details["curves"][name]]
        assert [r["per_class"] for r in scores.details["curves"][name]] == [1, 2, 4, 8, 16, 20]
        assert means[-1] > means[0] + 0.05
        assert means[0] < scores.metrics[f"{name}_area"] < means[-1]
        assert scores.details["area_over"][name] == [1, 20]
        assert [r["fraction"] for r in scores.details["fractions"][name]] == [0.01, 0.1]
    assert said(scores, "Sizes of 100, 400, 1,000 per class are left out")
    assert said(scores, "Label propagation sees the vectors of 300 train items, labels of the drawn ones alone")


def test_propagation_gains_from_what_is_not_labelled() -> None:
    rng = np.random.default_rng(0)
    # Two long crescents on the sphere: one label does not say how they run.
    turn = rng.uniform(0, 2.6, 600)
    y = np.arange(600) % 2
    shift = np.where(y == 0, 0.0, 0.55)
    x = np.stack([np.cos(turn + 0.2 * y), np.sin(turn + 0.2 * y), shift], 1) + 0.01 * rng.normal(size=(600, 3))
    store = Embeddings.build(x, [f"{i:03d}" for i in range(600)], y, np.where(np.arange(600) < 400, "train", "test"))
    many = run(store, per_class=(1,), fractions=(), alpha=0.99, neighbours=8)
    few = run(store, per_class=(1,), fractions=(), alpha=0.99, neighbours=8, graph_items=25)
    assert many.metrics["propagation_1"] > many.metrics["linear_1"] + 0.1
    assert many.metrics["propagation_1"] > few.metrics["propagation_1"] + 0.05


def test_a_small_graph_has_no_room_for_large_draws(digits: Embeddings) -> None:
    scores = run(digits, per_class=(1, 2, 20), fractions=(), draws=3, graph_items=80)
    assert [r["per_class"] for r in scores.details["curves"]["propagation"]] == [1, 2]
    assert said(scores, "Label propagation with 200 labels is left out")
    assert math.isnan(scores.metrics["propagation_20"])
    assert math.isfinite(scores.metrics["propagation_area"])
    assert said(scores, "Undefined: propagation_20")


def test_fewer_draws_where_there_are_many_labels(digits: Embeddings) -> None:
    scores = run(digits, per_class=(1, 8, 20), fractions=(0.1,), draws=6, max_labels=400, classifiers=("centroid",))
    assert [len(r["values"]) for r in scores.details["curves"]["centroid"]] == [6, 5, 3]
    everything = run(digits.take(digits.labels < 2), per_class=(1, 20), fractions=(0.99,), classifiers=("centroid",))
    [whole] = everything.details["fractions"]["centroid"]
    assert (len(whole["values"]), whole["low"]) == (1, None), "all items: there is one draw only"


def test_all_representations_meet_the_same_draws(digits: Embeddings) -> None:
    other = changed(digits, vectors=3.7 * np.asarray(digits.vectors) + 2.0)
    a, b = (run(s, classifiers=("linear", "centroid")) for s in (digits, other))
    for name in ("linear", "centroid"):
        for left, right in zip(a.details["curves"][name], b.details["curves"][name], strict=True):
            assert left["values"] == pytest.approx(right["values"], abs=0.011)
    assert run(digits, seed=1, classifiers=("centroid",)).metrics["centroid_1"] != a.metrics["centroid_1"]


def test_what_is_undefined(digits: Embeddings) -> None:
    alone = run(ODD["one per class"](digits))
    assert math.isfinite(alone.metrics["linear_1"])
    for name in ("linear_20", "linear_area", "centroid_20"):
        assert math.isnan(alone.metrics[name])
    assert said(alone, "The smallest class has 1 training items")
    unasked = run(digits, per_class=(2, 4), classifiers=("linear",))
    assert math.isnan(unasked.metrics["linear_20"])
    assert math.isfinite(unasked.metrics["linear_area"])
    assert math.isnan(run(digits, classifiers=("centroid",)).metrics["linear_20"])


def test_labels_of_val_are_not_used(digits: Embeddings) -> None:
    other = np.where(digits.splits == "val", (digits.labels + 1) % 10, digits.labels)
    assert run(changed(digits, labels=other)).metrics == run(digits).metrics


def test_the_area_is_the_mean_over_the_logarithm() -> None:
    assert area([1, 10, 100], [0.2, 0.6, 0.8]) == pytest.approx((0.4 + 0.7) / 2)
    assert area([1, 2, 16], [0.5, 0.5, 0.5]) == pytest.approx(0.5)
    fine = np.geomspace(1, 1000, 4001)
    assert area(fine, np.log10(fine) / 3) == pytest.approx(0.5)
    assert math.isnan(area([20], [0.9]))
    assert math.isnan(area([], []))
