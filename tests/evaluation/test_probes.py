"""kNN and the linear probe: what they choose, report and warn of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from poor_stores import ODD, changed
from sklearn.neighbors import KNeighborsClassifier

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.evaluate import make_evaluation
from phispace.evaluation.linear import _past_the_best
from phispace.metrics.classification import expected_calibration_error
from phispace.metrics.intervals import wilson


def said(scores, words: str) -> bool:
    return any(words in caveat for caveat in scores.caveats)


def test_knn_of_scikit_learn(digits: Embeddings) -> None:
    train, test = digits.part("train"), digits.part("test")
    reference = KNeighborsClassifier(n_neighbors=1, metric="cosine").fit(train.vectors, train.labels)
    scores = make_evaluation("knn", {"k": 1}).run(digits)
    assert scores.metrics["accuracy"] == pytest.approx(reference.score(test.vectors, test.labels))
    assert scores.n == {"train": 300, "val": 100, "test": 100}
    right = round(scores.metrics["accuracy"] * 100)
    assert scores.interval["accuracy"] == wilson(right, 100)
    counts = np.array(scores.details["confusion"])
    assert counts.sum() == 100
    assert np.trace(counts) == right
    assert scores.metrics["balanced_accuracy"] == pytest.approx(np.mean(np.diag(counts) / counts.sum(1)))
    assert list(scores.details["per_class"].values()) == pytest.approx(list(np.diag(counts) / counts.sum(1)))


def test_the_literature_stands_beside(digits: Embeddings) -> None:
    train, test = digits.part("train"), digits.part("test")

    def unit(x: np.ndarray) -> np.ndarray:
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    similarity = unit(np.asarray(test.vectors, float)) @ unit(np.asarray(train.vectors, float)).T
    order = np.argsort(-similarity, axis=1)[:, :200]
    weight = np.exp(np.take_along_axis(similarity, order, 1) / 0.07)
    votes = np.stack([(weight * (train.labels[order] == c)).sum(1) for c in range(10)], 1)
    scores = make_evaluation("knn").run(digits)
    assert scores.metrics["accuracy_k200_t0.07"] == pytest.approx((votes.argmax(1) == test.labels).mean())
    assert set(scores.metrics) >= {"accuracy_k200_t0.07", "accuracy_k200_t0.1"}
    for options in ({"literature": False}, {"metric": "euclidean"}):
        assert "accuracy_k200_t0.1" not in make_evaluation("knn", options).run(digits).metrics


def test_neighbours_of_maps_with_fewer_places_are_aets() -> None:
    """Maps of 8 x 8 averaged two by two, Euclidean neighbours with a vote each."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 500)
    maps = rng.normal(size=(500, 2, 8, 8)).astype(np.float32) + 0.3 * np.eye(3)[y][:, :2, None, None]
    splits = np.array(["train", "train", "train", "val", "test"])[np.arange(500) % 5]
    ids = [f"{i:05d}" for i in range(500)]
    store = Embeddings.build(maps.reshape(500, -1), ids, y, splits, feature_shape=(2, 8, 8))
    small = maps.reshape(500, 2, 4, 2, 4, 2).mean((3, 5)).reshape(500, -1)
    options = {"k": 10, "metric": "euclidean"}
    found = make_evaluation("knn", options | {"places": 4}).run(store)
    expected = make_evaluation("knn", options).run(Embeddings.build(small, ids, y, splits))
    assert found.metrics == expected.metrics
    assert found.metrics != make_evaluation("knn", options).run(store).metrics
    train = splits == "train"
    reference = KNeighborsClassifier(1).fit(small[train], y[train]).predict(small[splits == "test"])
    named = make_evaluation("knn", {"k": 1, "metric": "euclidean", "places": 4}).predict(store).predicted
    assert (named == reference).all()
    flat = make_evaluation("knn", {"places": 4}).run(Embeddings.build(small, ids, y, splits))
    assert math.isnan(flat.metrics["accuracy"])
    assert said(flat, "needs feature maps")


def test_k_is_clipped_with_notice(digits: Embeddings) -> None:
    small = digits.take(np.unique(np.concatenate([np.flatnonzero(digits.splits == s)[:15] for s in ("train", "test")])))
    scores = make_evaluation("knn").run(small)
    assert said(scores, "k = 20, 200 is more than the")
    assert scores.details["chosen"]["k"] == scores.n["train"]


def test_k_can_be_chosen_on_val(digits: Embeddings) -> None:
    scores = make_evaluation("knn", {"choose_k": (1, 5, 250)}).run(digits)
    curve = {row["k"]: row["val_accuracy"] for row in scores.details["curve"]}
    assert set(curve) == {1, 5, 250}
    assert curve[scores.details["chosen"]["k"]] == max(curve.values())
    alone = make_evaluation("knn", {"choose_k": (1, 5)}).run(ODD["one per class"](digits))
    assert said(alone, "no val item to choose k on")


def test_metric_and_temperature_can_be_chosen_on_val(digits: Embeddings) -> None:
    grid = {"choose_k": (3, 30), "choose_temperature": (None, 0.05, 0.5), "choose_metric": ("cosine", "euclidean")}
    scores = make_evaluation("knn", grid).run(digits)
    curve, chosen = scores.details["curve"], scores.details["chosen"]
    assert len(curve) == 12
    best = max(curve, key=lambda row: row["val_accuracy"])
    assert {key: best[key] for key in chosen} == chosen
    for row in curve:
        options = {"k": row["k"], "metric": row["metric"], "temperature": row["temperature"], "literature": False}
        as_test = changed(
            digits, splits=np.select([digits.splits == "val", digits.splits == "test"], ["test", "val"], "train")
        )
        assert make_evaluation("knn", options).run(as_test).metrics["accuracy"] == row["val_accuracy"]
    # The literature's settings are cosine, whatever metric was chosen.
    plain = make_evaluation("knn").run(digits).metrics
    far = make_evaluation("knn", {"choose_metric": ("euclidean", "cosine"), "choose_k": (3,)}).run(digits).metrics
    assert far["accuracy_k200_t0.1"] == plain["accuracy_k200_t0.1"]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_votes_by_distance(metric: str, digits: Embeddings) -> None:
    train, test = digits.part("train"), digits.part("test")
    reference = KNeighborsClassifier(12, weights="distance", metric=metric, algorithm="brute")
    reference.fit(train.vectors, train.labels)
    scores = make_evaluation("knn", {"k": 12, "metric": metric, "by_distance": True}).run(digits)
    assert scores.metrics["accuracy"] == pytest.approx(reference.score(test.vectors, test.labels))
    with pytest.raises(InputError, match="two ways to weigh votes"):
        make_evaluation("knn", {"by_distance": True, "temperature": 0.1})


def test_calibration_of_the_votes(digits: Embeddings) -> None:
    train, test = digits.part("train"), digits.part("test")
    share = KNeighborsClassifier(20, metric="cosine").fit(train.vectors, train.labels).predict_proba(test.vectors)
    scores = make_evaluation("knn").run(digits)
    assert scores.metrics["ece"] == pytest.approx(expected_calibration_error(test.labels, share))
    assert "nll" not in scores.metrics
    diagram = scores.details["reliability"]
    assert diagram["bins"] == len(diagram["count"]) == 15
    assert sum(diagram["count"]) == 100


def test_log_loss_and_classes_of_the_linear_probe(digits: Embeddings) -> None:
    scores = make_evaluation("linear").run(digits)
    assert scores.metrics["nll"] == pytest.approx(float(scores.items.values["nll"].mean()))
    low, high = scores.interval["nll"]
    assert low < scores.metrics["nll"] < high
    counts = np.array(scores.details["confusion"])
    for c, name in enumerate(scores.details["classes"]):
        assert scores.details["per_class_interval"][name] == wilson(int(counts[c, c]), int(counts[c].sum()))
    unseen = make_evaluation("linear").run(ODD["a class without training items"](digits))
    assert math.isnan(unseen.metrics["nll"])
    assert said(unseen, "The log loss (nll) is undefined")
    assert "nll" not in unseen.interval


def test_directions_that_are_all_equal_have_no_cosine_neighbours(digits: Embeddings) -> None:
    line = changed(digits, vectors=np.linspace(1, 2, len(digits))[:, None] * np.array([[1, 2, 3]]))
    scores = make_evaluation("knn").run(line)
    assert math.isnan(scores.metrics["accuracy"])
    assert said(scores, "one direction")
    assert math.isfinite(make_evaluation("knn", {"metric": "euclidean"}).run(line).metrics["accuracy"])


def test_ties_and_zero_vectors_are_told(digits: Embeddings) -> None:
    assert said(make_evaluation("knn").run(ODD["duplicates"](digits)), "tied with the next")
    assert said(make_evaluation("knn").run(ODD["some zero"](digits)), "vectors are zero")


def test_of_few_dimensions_the_cosine_is_told_to_see_an_angle_alone() -> None:
    """Two classes in one direction, one further out: only the Euclidean distance tells them apart."""
    draws = np.random.default_rng(0)
    labels = np.arange(400) % 2
    vectors = (1 + 4 * labels)[:, None] * np.array([1.0, 1.0]) + draws.normal(size=(400, 2)) * 0.3
    split = np.repeat(["train", "test"], 200)
    store = Embeddings.build(vectors, [str(i) for i in range(400)], labels, split, ["near", "far"])
    cosine, euclidean = (make_evaluation("knn", {"metric": m}).run(store) for m in ("cosine", "euclidean"))
    assert euclidean.metrics["accuracy"] > 0.98
    assert cosine.metrics["accuracy"] < 0.9
    assert said(cosine, "sees the direction alone")
    assert not said(euclidean, "direction")


def test_the_linear_probe_chooses_on_val_and_trains_on_train(digits: Embeddings) -> None:
    scores = make_evaluation("linear").run(digits)
    curve = scores.details["curve"]
    best = max(row["val_accuracy"] for row in curve)
    chosen = next(row for row in curve if row["l2"] == scores.details["chosen"]["l2"])
    assert chosen["val_accuracy"] == best
    assert chosen["val_loss"] == min(row["val_loss"] for row in curve if row["val_accuracy"] == best)
    assert scores.metrics["accuracy"] > 0.85
    assert 0 < scores.metrics["ece"] < 0.2
    only = make_evaluation("linear", {"l2": (chosen["l2"],)}).run(digits)
    assert only.metrics["accuracy"] == pytest.approx(scores.metrics["accuracy"], abs=0.021)
    # Other labels on val move the choice, not the fit.
    labels = np.where(digits.splits == "val", (digits.labels + 1) % 10, digits.labels)
    moved = make_evaluation("linear", {"l2": (chosen["l2"],)}).run(changed(digits, labels=labels))
    assert moved.metrics["accuracy"] == only.metrics["accuracy"]


def test_strengths_beyond_the_best_are_left_out() -> None:
    def row(accuracy: float, loss: float) -> dict[str, float]:
        return {"val_accuracy": accuracy, "val_loss": loss}

    good, worse, clearly = row(0.9, 0.3), row(0.895, 0.31), row(0.86, 0.4)
    assert not _past_the_best([good], 1000)
    assert not _past_the_best([good, worse], 1000)
    assert _past_the_best([good, worse, worse], 1000)
    assert _past_the_best([good, clearly], 1000), "two standard errors are 0.019"
    assert not _past_the_best([good, clearly], 100), "of 100 items they are 0.06"
    assert not _past_the_best([good, row(0.86, 0.2)], 1000), "the loss still falls"
    assert not _past_the_best([good, worse, row(0.91, 0.4)], 1000)


def test_the_chosen_probe_is_solved_more_closely(digits: Embeddings) -> None:
    scores = make_evaluation("linear").run(digits)
    chosen = scores.details["chosen"]
    rough = next(r["loss"] for r in scores.details["curve"] if r["l2"] == chosen["l2"])
    assert 0 <= rough - chosen["loss"] < 1e-3


def test_scale_and_shift_of_a_dimension_do_not_matter_to_the_linear_probe(digits: Embeddings) -> None:
    rng = np.random.default_rng(0)
    moved = np.asarray(digits.vectors) * rng.uniform(0.1, 50, 64) + rng.normal(size=64)
    a, b = (make_evaluation("linear").run(s).metrics["accuracy"] for s in (digits, changed(digits, vectors=moved)))
    assert a == pytest.approx(b, abs=0.011)


def test_what_the_linear_probe_tells(digits: Embeddings) -> None:
    run = make_evaluation("linear").run
    assert said(run(digits), "dimensions do not vary")
    assert said(run(ODD["one per class"](digits)), "no val item to choose the L2 strength on")
    assert said(make_evaluation("linear", {"l2": (1e-9, 1e-10)}).run(digits), "edge of the strengths")
    assert said(make_evaluation("linear", {"max_iterations": 1}).run(digits), "had not converged")


@pytest.mark.parametrize("name", ["knn", "linear"])
def test_what_both_tell(name: str, digits: Embeddings) -> None:
    run = make_evaluation(name).run
    assert said(run(ODD["partly labelled"](digits)), "train items are labelled; only these are used")
    assert said(run(ODD["uneven"](digits)), "uneven")
    assert said(run(ODD["no val"](digits)), "stratified tenth of train")
    unseen = run(ODD["a class without training items"](digits))
    assert said(unseen, "classes without training items (3)")
    assert unseen.details["per_class"]["3"] == 0
    assert said(run(ODD["duplicates"](digits)), "equal to a training vector")
    in_train = np.bincount(digits.part("train", "val").labels)
    assert run(ODD["no val"](digits)).n["val"] == sum(round(0.1 * c) for c in in_train)
    majority = run(ODD["uneven"](digits)).metrics["majority"]
    test = ODD["uneven"](digits).part("test")
    assert majority == pytest.approx((test.labels == 0).mean())


@pytest.mark.parametrize("name", ["knn", "linear"])
def test_predictions_are_those_of_the_score(name: str, digits: Embeddings) -> None:
    predictions = make_evaluation(name).predict(digits)
    assert (predictions.predicted == predictions.true).mean() == pytest.approx(
        make_evaluation(name).run(digits).metrics["accuracy"]
    )
    assert predictions.ids.tolist() == sorted(digits.part("test").ids)
    with pytest.raises(InputError, match="has no predictions for this store"):
        make_evaluation(name).predict(changed(digits, vectors=np.zeros_like(digits.vectors)))
