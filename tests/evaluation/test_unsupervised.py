"""Health and separation: what they measure and say in words."""

from __future__ import annotations

import numpy as np
import pytest
from poor_stores import POOR, changed
from sklearn.metrics import silhouette_score

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.evaluate import make_evaluation
from phispace.metrics.spectrum import effective_rank


def noise(n: int = 400, d: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def store(vectors: np.ndarray) -> Embeddings:
    return Embeddings.build(vectors, [f"{i:05d}" for i in range(len(vectors))], split="test")


def test_rank_of_the_test_part(digits: Embeddings) -> None:
    scores = make_evaluation("health").run(digits)
    test = digits.part("test")
    assert scores.n == {"test": 100}
    assert scores.metrics["rankme"] == pytest.approx(effective_rank(test.vectors))
    dead = (np.asarray(test.vectors) == np.asarray(test.vectors)[0]).all(0).mean()
    assert scores.metrics["dead_share"] == pytest.approx(dead)
    assert make_evaluation("health", {"split": "all"}).run(digits).n == {"all": 500}
    with pytest.raises(InputError, match="no items in split val"):
        make_evaluation("health", {"split": "val"}).run(digits.part("test"))


@pytest.mark.parametrize(
    ("vectors", "verdict"),
    [
        (noise(), "healthy"),
        (np.full((400, 32), 0.3), "collapsed"),
        (np.zeros((400, 32)), "collapsed"),
        (10 + 0.01 * noise(), "collapsed"),
        (noise(d=2) @ noise(2, 128), "few directions"),
        (np.maximum(noise(d=64), 0), "healthy"),
    ],
    ids=["noise", "constant", "zero", "one direction", "a plane in 128", "relu"],
)
def test_collapse_is_named(vectors: np.ndarray, verdict: str) -> None:
    scores = make_evaluation("health").run(store(vectors))
    assert scores.details["verdict"] == verdict, scores.details["words"]


def test_dead_dimensions_are_counted() -> None:
    vectors = noise()
    vectors[:, :8] = 0.1
    vectors[:, 8] = 1e-9 * noise(d=1)[:, 0]
    assert make_evaluation("health").run(store(vectors)).metrics["dead_share"] == pytest.approx(9 / 32)


def test_another_view_adds_alignment() -> None:
    vectors = noise()
    view = store(vectors + 0.1 * noise(seed=1)).take(np.arange(399, 99, -1))
    scores = make_evaluation("health").run(store(vectors), others={"view": view})
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (vectors, vectors + 0.1 * noise(seed=1))]
    expected = ((unit[0] - unit[1])[100:] ** 2).sum(1).mean()
    assert scores.metrics["alignment"] == pytest.approx(expected, rel=1e-4)


def test_health_of_a_sample() -> None:
    scores = make_evaluation("health", {"max_items": 100}).run(store(noise()))
    assert scores.n == {"test": 100}
    assert any("drawn from 400" in c for c in scores.caveats)


def test_separation(digits: Embeddings) -> None:
    test = digits.part("test")
    scores = make_evaluation("separation").run(digits)
    assert scores.metrics["silhouette"] == pytest.approx(silhouette_score(test.vectors, test.labels), abs=1e-6)
    sampled = make_evaluation("separation", {"max_items": 60, "split": "train"}).run(digits)
    assert any("60 items drawn from 300" in c for c in sampled.caveats)
    assert sampled.metrics["silhouette"] == pytest.approx(
        make_evaluation("separation", {"split": "train"}).run(digits).metrics["silhouette"], abs=0.1
    )
    cosine = make_evaluation("separation", {"metric": "cosine"}).run(digits).metrics["silhouette"]
    assert cosine == pytest.approx(silhouette_score(test.vectors, test.labels, metric="cosine"), abs=1e-6)


@pytest.mark.parametrize("kind", ["one class", "constant"])
def test_separation_that_is_undefined(kind: str, digits: Embeddings) -> None:
    scores = make_evaluation("separation").run(POOR[kind](digits))
    assert np.isnan(list(scores.metrics.values())).all()
    assert scores.caveats[0].startswith("Undefined")


def test_separated_classes_score_higher(digits: Embeddings) -> None:
    pulled = np.asarray(digits.vectors) + 3 * np.eye(64)[digits.labels]
    before, after = (make_evaluation("separation").run(s).metrics for s in (digits, changed(digits, vectors=pulled)))
    assert after["silhouette"] > before["silhouette"] + 0.2
    assert after["between_share"] > before["between_share"]
    assert after["davies_bouldin"] < before["davies_bouldin"]


def test_decay_and_directions_of_a_constructed_spectrum() -> None:
    variance = np.arange(1, 129.0) ** -1.0
    x = np.linalg.qr(noise(2000, 128))[0] * np.sqrt(variance) * 30
    scores = make_evaluation("health").run(store(x))
    assert scores.metrics["alpha_req"] == pytest.approx(1, abs=0.01)
    assert scores.metrics["participation_ratio"] == pytest.approx(variance.sum() ** 2 / (variance**2).sum(), rel=0.01)
    assert scores.metrics["stable_rank"] == pytest.approx(variance.sum(), rel=0.01)
    law = scores.details["power_law"]
    assert (law["first"], law["last"]) == (4, 100)
    assert law["scale"] == pytest.approx(1 / variance.sum(), rel=0.02)
    short = make_evaluation("health", {"fit_last": 40}).run(store(x)).details["power_law"]
    assert short["last"] == 40


def test_a_spectrum_that_is_no_power_law_is_said_to_be_none() -> None:
    x = np.concatenate([100 * noise(d=9), noise(d=60, seed=1)], axis=1)
    assert any("is no power law" in c for c in make_evaluation("health").run(store(x)).caveats)
    few = make_evaluation("health").run(store(noise(d=5)))
    assert np.isnan(few.metrics["alpha_req"])
    assert any("alpha_req is undefined" in c for c in few.caveats)
