"""k-means and density clustering against the classes: parts, matching, noise, and what the details hold."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from poor_stores import POOR, changed
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from phispace.embeddings.store import Embeddings
from phispace.evaluation.base import Scores
from phispace.evaluation.evaluate import make_evaluation


def said(scores: Scores, words: str) -> bool:
    return any(words in caveat for caveat in scores.caveats)


def blobs(classes: int = 4, n: int = 400, spread: float = 0.3) -> Embeddings:
    """Classes far apart, train and test in turn."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % classes
    x = 4 * rng.normal(size=(classes, 6))[y] + spread * rng.normal(size=(n, 6))
    split = np.where(np.arange(n) // classes % 2 == 0, "train", "test")
    return Embeddings.build(x, [f"{i:04d}" for i in range(n)], y, split, [f"class {k}" for k in range(classes)])


def test_clusters_of_train_and_scores_of_test(digits: Embeddings) -> None:
    scores = make_evaluation("clustering", {"restarts": 20}).run(digits)
    train, test = digits.part("train"), digits.part("test")
    reference = KMeans(10, n_init=20, random_state=0).fit(np.asarray(train.vectors))
    assert scores.n == {"test": 100, "fit": 300}
    assert scores.details["chosen"]["clusters"] == 10
    found = reference.predict(np.asarray(test.vectors))
    # Both kept the best of twenty starts; they need not be the same one.
    assert scores.metrics["nmi"] == pytest.approx(normalized_mutual_info_score(test.labels, found), abs=0.06)
    counts = np.array(scores.details["contingency"])
    assert counts.sum() == 100
    clusters, y = np.nonzero(counts)
    assigned, labels = (np.repeat(v, counts[clusters, y]) for v in (clusters, y))
    assert scores.metrics["nmi"] == pytest.approx(normalized_mutual_info_score(labels, assigned))
    assert scores.metrics["ari"] == pytest.approx(adjusted_rand_score(labels, assigned))
    right = sum(counts[k, digits.classes.index(c)] for k, c in enumerate(scores.details["matched"]) if c is not None)
    assert scores.metrics["accuracy"] == right / 100
    assert scores.metrics["majority"] == np.bincount(test.labels).max() / 100
    assert scores.items is not None
    assert scores.items.values["accuracy"].mean() == scores.metrics["accuracy"]


def test_classes_that_lie_apart_are_found() -> None:
    for name in ("clustering", "density-clustering"):
        scores = make_evaluation(name).run(blobs())
        assert [scores.metrics[m] for m in ("accuracy", "nmi", "ari")] == [1, 1, 1], name
        rows = scores.details["clusters"]
        assert {row["majority"] for row in rows} == {f"class {k}" for k in range(4)}
        assert all(row["purity"] == 1 and row["size"] == 50 and len(row["nearest"]) == 12 for row in rows)


def test_the_nearest_are_the_nearest() -> None:
    store = blobs()
    scores = make_evaluation("clustering", {"fit": "scored", "shown": 5}).run(store)
    test = store.part("test")
    for row in scores.details["clusters"]:
        inside = test.labels == store.classes.index(row["majority"])
        x = np.asarray(test.vectors)[inside]
        order = np.argsort(((x - x.mean(0)) ** 2).sum(1))[:5]
        assert row["nearest"] == test.ids[inside][order].tolist()
    json.dumps(scores.as_dict(), allow_nan=False)


def test_labels_of_train_are_not_looked_at(digits: Embeddings) -> None:
    hidden = changed(digits, labels=np.where(digits.splits == "train", -1, digits.labels))
    a, b = (make_evaluation("clustering").run(s).metrics for s in (digits, hidden))
    assert a == b


def test_more_and_fewer_clusters(digits: Embeddings) -> None:
    many = make_evaluation("clustering", {"clusters": 30}).run(digits)
    assert many.metrics["purity"] > many.metrics["accuracy"]
    assert sum(c is not None for c in many.details["matched"]) <= 10
    one = make_evaluation("clustering", {"clusters": 1}).run(digits)
    assert (one.metrics["nmi"], one.metrics["ari"]) == (0, 0)
    assert one.metrics["accuracy"] == one.metrics["majority"]
    assert said(make_evaluation("clustering", {"clusters": 400}).run(digits), "there are as many as items")


def test_what_clustering_tells(digits: Embeddings) -> None:
    run = make_evaluation("clustering").run
    assert said(run(POOR["only test"](digits)), "There is no train part")
    half = changed(digits, labels=np.where(np.arange(500) % 2 == 0, -1, digits.labels))
    assert said(run(half), "test items are labelled; only these are scored")
    copies = changed(digits, vectors=np.asarray(digits.vectors)[np.arange(500) % 3])
    assert said(run(copies), "clusters hold no test item")
    assert math.isfinite(run(copies).metrics["ari"])


@pytest.mark.parametrize("name", ["clustering", "density-clustering"])
@pytest.mark.parametrize("factor", [1e18, 1e-18])
def test_scale_and_place_do_not_matter(name: str, factor: float) -> None:
    store = blobs(spread=1.5)
    moved = changed(store, vectors=np.asarray(store.vectors, np.float64) * factor + 3 * factor)
    a, b = (make_evaluation(name).run(s).metrics for s in (store, moved))
    assert a == pytest.approx(b, abs=0.02)


def test_cosine_looks_at_directions_only() -> None:
    store = blobs()
    longer = changed(store, vectors=np.asarray(store.vectors) * np.random.default_rng(0).uniform(0.1, 9, (400, 1)))
    cosine, plain = (make_evaluation("clustering", {"metric": m}).run(longer).metrics for m in ("cosine", "euclidean"))
    assert cosine["accuracy"] > 0.98 > plain["accuracy"]


def test_density_of_scikit_learn(digits: Embeddings) -> None:
    scores = make_evaluation("density-clustering", {"split": "train", "components": 20}).run(digits)
    train = digits.take(np.argsort(digits.ids)).part("train")
    z = PCA(20).fit_transform(np.asarray(train.vectors))
    found = HDBSCAN(min_cluster_size=5, min_samples=5, copy=True).fit_predict(z)
    clustered = found >= 0
    assert scores.details["chosen"] == {"components": 20, "min_cluster_size": 5, "min_samples": 5}
    assert scores.metrics["noise"] == pytest.approx((~clustered).mean(), abs=0.01)
    assert scores.metrics["clusters"] == found.max() + 1
    assert scores.metrics["ari"] == pytest.approx(adjusted_rand_score(train.labels, found), abs=0.01)
    assert scores.metrics["nmi"] == pytest.approx(normalized_mutual_info_score(train.labels, found), abs=0.01)
    alone = adjusted_rand_score(train.labels[clustered], found[clustered])
    assert scores.metrics["ari_clustered"] == pytest.approx(alone, abs=0.01)
    assert scores.metrics["accuracy"] <= 1 - scores.metrics["noise"]
    assert said(scores, "of the items are noise: wrong in the accuracy, one further cluster in NMI and ARI")


def test_density_of_a_sample_and_of_nothing(digits: Embeddings) -> None:
    sample = make_evaluation("density-clustering", {"max_items": 60}).run(digits)
    assert sample.n == {"test": 60}
    assert said(sample, "Of 60 items drawn from 100")
    few = make_evaluation("density-clustering").run(digits.part("test").take(np.arange(8)))
    assert math.isnan(few.metrics["ari"])
    assert said(few, "cannot hold two clusters of 5")
    noise = changed(digits, vectors=np.random.default_rng(0).uniform(size=(500, 2)))
    scattered = make_evaluation("density-clustering", {"min_cluster_size": 40, "min_samples": 40}).run(noise)
    assert said(scattered, "No cluster was found: all items are noise")
    assert (scattered.metrics["accuracy"], scattered.metrics["ari"], scattered.metrics["noise"]) == (0, 0, 1)
