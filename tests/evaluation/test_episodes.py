"""The episodes evaluation: what it centres on, its limits, its interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
from poor_stores import POOR, changed

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Scores
from phispace.evaluation.evaluate import make_evaluation


def said(scores: Scores, words: str) -> bool:
    return any(words in caveat for caveat in scores.caveats)


def run(store: Embeddings, seed: int = 0, **options) -> Scores:
    return make_evaluation("episodes", {"episodes": 300, **options}).run(store, seed=seed)


def blobs(spread: float, n: int = 600, classes: int = 6) -> Embeddings:
    rng = np.random.default_rng(0)
    y = np.arange(n) % classes
    x = 2 * rng.normal(size=(classes, 16))[y] + spread * rng.normal(size=(n, 16))
    return Embeddings.build(x, [f"{i:04d}" for i in range(n)], y, np.where(np.arange(n) < n // 2, "train", "test"))


def test_five_ways_one_and_five_shots() -> None:
    scores = run(blobs(2.0), logistic=True)
    names = [f"accuracy_{k}shot{kind}" for k in (1, 5) for kind in ("", "_euclidean", "_logistic")]
    assert list(scores.metrics) == names
    assert scores.n == {"test": 300, "episodes": 300}
    assert not scores.caveats
    assert scores.details["ways"] == {"1": 5, "5": 5}
    assert 0.25 < scores.metrics["accuracy_1shot"] < scores.metrics["accuracy_5shot"] < 1
    # The margin of error over episodes, as papers state it.
    low, high = scores.interval["accuracy_5shot"]
    error = 1.96 * scores.details["deviation"]["accuracy_5shot"] / math.sqrt(300)
    assert high - low == pytest.approx(2 * error, rel=1e-2)


def test_classes_far_apart_and_none() -> None:
    assert run(blobs(0.05)).metrics["accuracy_1shot"] == 1
    noise = blobs(1.0)
    noise = changed(noise, vectors=np.random.default_rng(1).normal(size=(600, 16)))
    assert run(noise, episodes=2000).metrics["accuracy_5shot"] == pytest.approx(0.2, abs=0.02)


def test_small_parts_have_smaller_episodes(digits: Embeddings) -> None:
    scores = run(digits)
    assert said(scores, "queries a class; the classes are small")
    assert math.isfinite(scores.metrics["accuracy_5shot"])
    three = digits.take(digits.labels < 3)
    assert said(run(three), "have 3 classes")
    few = run(digits.take(np.flatnonzero(digits.splits == "test")[:20]))
    assert math.isnan(few.metrics["accuracy_5shot"])
    assert said(few, "Undefined at 5 shots")
    assert math.isfinite(few.metrics["accuracy_1shot"])


def test_it_centres_on_train_without_its_labels() -> None:
    store = blobs(2.0)
    far = changed(store, vectors=np.asarray(store.vectors) + 100)
    plain, moved, raw = run(store), run(far), run(far, centre=False)
    assert moved.metrics["accuracy_5shot"] == pytest.approx(plain.metrics["accuracy_5shot"], abs=0.005)
    assert raw.metrics["accuracy_5shot"] != moved.metrics["accuracy_5shot"]
    hidden = changed(store, labels=np.where(store.splits == "train", -1, store.labels))
    assert run(hidden).metrics == plain.metrics
    assert said(run(store.part("test")), "There is no train part: the vectors are not centred")


def test_all_stores_meet_the_same_episodes() -> None:
    store = blobs(2.0)
    twin = changed(store, vectors=np.concatenate([np.asarray(store.vectors), np.zeros((600, 3))], 1))
    assert run(store).metrics == pytest.approx(run(twin).metrics, abs=1e-9)
    assert run(store, seed=1).metrics != run(store).metrics


def test_other_shots(digits: Embeddings) -> None:
    scores = run(digits, shots=(1, 2))
    assert math.isnan(scores.metrics["accuracy_5shot"])
    assert said(scores, "5 is not among the shots")
    assert math.isfinite(scores.metrics["accuracy_2shot"])
    assert said(run(POOR["constant"](digits)), "collapsed to a point")


def test_the_interval_covers() -> None:
    store = blobs(2.5)
    truth = run(store, episodes=20_000, shots=(5,)).metrics["accuracy_5shot"]
    covered = 0
    for seed in range(1, 61):
        low, high = run(store, seed=seed, episodes=40, shots=(5,)).interval["accuracy_5shot"]
        covered += low <= truth <= high
    assert 0.88 <= covered / 60 <= 1
