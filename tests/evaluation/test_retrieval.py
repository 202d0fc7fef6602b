"""The retrieval evaluation: its parts, intervals, and what it leaves out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from poor_stores import ODD, changed
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import cosine_similarity

from phispace.embeddings.store import Embeddings
from phispace.evaluation.evaluate import make_evaluation


def said(scores, words: str) -> bool:
    return any(words in caveat for caveat in scores.caveats)


def test_the_mean_over_test_of_scikit_learn(digits: Embeddings) -> None:
    train, test = digits.part("train"), digits.part("test")
    similarity = cosine_similarity(test.vectors, train.vectors)
    ap = np.array([average_precision_score(train.labels == y, s) for y, s in zip(test.labels, similarity, strict=True)])
    scores = make_evaluation("retrieval").run(digits)
    assert scores.n == {"gallery": 300, "test": 100, "queries": 100}
    assert scores.metrics["map"] == pytest.approx(ap.mean(), abs=1e-6)
    by_class = [ap[test.labels == c].mean() for c in range(10)]
    assert list(scores.details["per_class"].values()) == pytest.approx(by_class, abs=1e-6)
    assert scores.metrics["balanced_map"] == pytest.approx(np.mean(by_class), abs=1e-6)
    nearest = np.argsort(-similarity, axis=1)[:, :5]
    right = train.labels[nearest] == test.labels[:, None]
    assert scores.metrics["precision_5"] == pytest.approx(right.mean())
    assert scores.metrics["hit_5"] == pytest.approx(right.any(1).mean())
    low, high = scores.interval["map"]
    width = 1.96 * ap.std() / 10
    assert low == pytest.approx(ap.mean() - width, abs=0.2 * width)
    assert high == pytest.approx(ap.mean() + width, abs=0.2 * width)
    assert 0.08 < scores.metrics["chance_map"] < 0.14 < scores.metrics["map"]


def test_items_are_those_of_the_mean(digits: Embeddings) -> None:
    scores = make_evaluation("retrieval").run(digits)
    assert scores.items is not None
    assert scores.items.ids.tolist() == sorted(digits.part("test").ids)
    for name, values in scores.items.values.items():
        assert values.mean() == pytest.approx(scores.metrics[name])


def test_test_against_test(digits: Embeddings) -> None:
    test = digits.part("test")
    similarity = cosine_similarity(test.vectors)
    ap = []
    for i, y in enumerate(test.labels):
        others = np.arange(100) != i
        ap.append(average_precision_score((test.labels == y)[others], similarity[i, others]))
    scores = make_evaluation("retrieval", {"gallery": "test"}).run(digits)
    assert scores.n["gallery"] == 100
    assert scores.metrics["map"] == pytest.approx(np.mean(ap), abs=1e-6)


def test_queries_without_a_relevant_item_are_left_out(digits: Embeddings) -> None:
    store = ODD["a class without training items"](digits)
    scores = make_evaluation("retrieval").run(store)
    threes = int((store.part("test").labels == 3).sum())
    assert scores.n["queries"] == 100 - threes
    assert said(scores, f"{threes} of 100 queries have no item of their class in the gallery")
    assert math.isnan(scores.details["per_class"]["3"])
    assert math.isfinite(scores.metrics["map"])
    disjoint = digits.take((digits.labels < 5) == (digits.splits == "test"))
    nothing = make_evaluation("retrieval").run(disjoint)
    assert math.isnan(nothing.metrics["map"])
    assert said(nothing, "Undefined: no query has an item of its class")


def test_a_cut_beyond_the_gallery_is_undefined(digits: Embeddings) -> None:
    scores = make_evaluation("retrieval", {"ks": (5, 301)}).run(digits)
    assert math.isnan(scores.metrics["precision_301"])
    assert math.isfinite(scores.metrics["precision_5"])
    assert said(scores, "Undefined at 301: there are 300 items to retrieve")


def test_a_better_representation_scores_higher(digits: Embeddings) -> None:
    pulled = changed(digits, vectors=np.asarray(digits.vectors) + 3 * np.eye(64)[digits.labels])
    noise = changed(digits, vectors=np.random.default_rng(0).normal(size=(500, 64)))
    run = make_evaluation("retrieval").run
    best, plain, worst = (run(s).metrics["map"] for s in (pulled, digits, noise))
    assert best > 0.99
    assert best > plain + 0.2
    assert worst == pytest.approx(run(noise).metrics["chance_map"], abs=0.03)
