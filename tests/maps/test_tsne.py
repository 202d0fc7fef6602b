"""t-SNE: what it keeps, what it starts from, what its options do."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import blobs

from phispace.errors import InputError
from phispace.maps.animation import moved
from phispace.maps.make import make_map
from phispace.maps.tsne import affinities_of, threads


def test_three_blobs_stay_three() -> None:
    store = blobs(150)
    made = make_map(store, "tsne")
    centres = np.stack([made.xy[store.labels == k].mean(axis=0) for k in range(3)])
    spread = max(np.linalg.norm(made.xy[store.labels == k] - centres[k], axis=1).mean() for k in range(3))
    between = min(np.linalg.norm(centres[a] - centres[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert between > 2 * spread
    assert made.quality["trustworthiness"] > 0.9
    assert made.quality["class_agreement"] > 0.99
    assert abs(made.quality["leak"]) < 0.03


def test_a_warm_start_stays_near_and_costs_no_trust() -> None:
    store = blobs(200, apart=3.0)
    first = make_map(store, "tsne")
    random = {"initialization": "random"}
    alone = [make_map(store, "tsne", options=random, seed=seed) for seed in (1, 2)]
    warm = make_map(store, "tsne", start=first)
    assert moved(first.xy, warm.xy).mean() < 0.5 * moved(alone[0].xy, alone[1].xy).mean()
    assert warm.quality["trustworthiness"] > first.quality["trustworthiness"] - 0.005


def test_perplexity_is_clipped_and_recorded() -> None:
    assert make_map(blobs(31), "tsne").info["perplexity"] == pytest.approx(10)
    assert make_map(blobs(120), "tsne").info["perplexity"] == pytest.approx(30)


def test_affinities_are_symmetric_and_sum_to_one() -> None:
    p = affinities_of(blobs(80).vectors, 10).P
    assert p.sum() == pytest.approx(1)
    assert abs(p - p.T).max() < 1e-12
    assert p.diagonal().max() == 0


def test_the_seed_counts_and_options_are_checked() -> None:
    store = blobs(60)
    random = {"initialization": "random"}
    first, second = (make_map(store, "tsne", options=random, seed=s).xy for s in (0, 1))
    assert not np.array_equal(first, second)
    with pytest.raises(InputError, match=r"perplexity.*Its options are: .*exaggeration"):
        make_map(store, "tsne", options={"perplexity": 0.5})
    with pytest.raises(InputError, match="0 iterations"):
        make_map(store, "tsne", options={"iterations": 0, "exaggeration_iterations": 0})


def test_cosine_ignores_lengths() -> None:
    store = blobs(90)
    vectors = store.vectors * np.linspace(0.1, 20, 90, dtype=np.float32)[:, None]
    stretched = type(store).build(vectors, store.ids, store.labels, classes=store.classes)
    assert make_map(stretched, "tsne", options={"metric": "cosine"}).quality["class_agreement"] > 0.9


def test_small_sets_use_one_thread() -> None:
    assert threads(500) == 1
    assert threads(100_000) >= 1
