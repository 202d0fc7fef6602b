"""Each meta-prior's measure: a constructed store that must score low, one that must score high."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.base import Scores
from phispace.evaluation.evaluate import make_evaluation, score_entry
from phispace.evaluation.priors import PRIORS
from phispace.metrics.partners import partners

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
VEHICLES = np.isin(CIFAR10, ("airplane", "automobile", "ship", "truck"))
N = 600
LABELS = np.arange(N) % 10
IDS = np.array([f"{i:04d}" for i in range(N)])


def noise(d: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N, d)).astype(np.float32)


def store(vectors: np.ndarray, split: str | np.ndarray = "test", labels: np.ndarray = LABELS) -> Embeddings:
    return Embeddings.build(vectors, IDS, labels, split, CIFAR10)


def run(name: str, vectors: np.ndarray, others: Mapping[str, Embeddings] | None = None, **options: Any) -> Scores:
    return make_evaluation(name, options).run(store(vectors), others=others)


def position(title: str, scores: Scores) -> float:
    """On the scorecard's scale: 0 the low control, 1 the high one."""
    prior = next(p for p in PRIORS if p.title == title)
    assert prior.metric in scores.metrics
    return prior.position(score_entry(prior.evaluation, scores, store="mine", options={}))


CHANGES = ("shift/1,0", "shift/0,1", "corrupt/gaussian-noise/1", "corrupt/brightness/1")


def test_smoothness_controls() -> None:
    x = noise()
    low = run("smoothness", x, {name: store(noise(seed=1 + i)) for i, name in enumerate(CHANGES)})
    high = run("smoothness", x, dict.fromkeys(CHANGES, store(x)))
    assert position("Smoothness", low) == pytest.approx(0, abs=0.02)
    assert position("Smoothness", high) == 1


def test_smoothness_is_the_mean_change_over_the_mean_distance() -> None:
    x, small = noise(), 0.1 * noise(seed=1)
    found = run("smoothness", x, {"shift/1,0": store(x + small), "shift/0,1": store(x + 2 * small)})
    apart = np.mean([np.linalg.norm(x[i] - x[j]) for i in range(200) for j in range(i)])
    expected = 1.5 * np.linalg.norm(small, axis=1).mean() / apart
    assert found.metrics["change"] == pytest.approx(expected, rel=0.02)
    assert found.metrics["smoothness"] == pytest.approx(1 - found.metrics["change"])
    assert found.items is not None
    assert found.items.values["smoothness"].mean() == pytest.approx(found.metrics["smoothness"])
    assert any("Without corrupt/gaussian-noise/1" in c for c in found.caveats)
    scaled = run(
        "smoothness", 1e3 * x, {"shift/1,0": store(1e3 * (x + small)), "shift/0,1": store(1e3 * (x + 2 * small))}
    )
    assert scaled.metrics["change"] == pytest.approx(found.metrics["change"], rel=1e-5)


def mixes(codes: np.ndarray) -> dict[str, Embeddings]:
    return {f"mix/{t}": store(codes) for t in (0.25, 0.5, 0.75)}


def test_controls_of_the_way_between_two_images() -> None:
    apart = 20 * np.eye(10)[LABELS] @ np.ones((10, 32)) + 0.1 * noise()
    apart[:, :10] += 50 * np.eye(10)[LABELS]
    partner = partners(IDS)
    between = 0.5 * (apart + apart[partner])
    nearer = np.where(np.arange(N)[:, None] % 2 == 0, 0.6 * apart + 0.4 * apart[partner], between)
    high = run("smoothness", apart, mixes(nearer))
    low = run("smoothness", noise(), mixes(noise(seed=1)))
    assert position("Smoothness on the way", high) > 0.95
    assert position("Smoothness on the way", low) == pytest.approx(0, abs=0.05)
    assert low.metrics["path_chance"] == pytest.approx(0.19, abs=0.01)  # 2 of 10 classes, or 1 where they are the same
    strange = 50 * np.eye(10)[(LABELS + LABELS[partner] + 5) % 10] @ np.eye(10, 32)
    elsewhere = run("smoothness", apart, mixes(strange))
    assert elsewhere.metrics["path"] < 0.5 * elsewhere.metrics["path_ends"]


def test_the_two_images_themselves_are_not_asked() -> None:
    x = np.eye(10, 32)[LABELS] + 0.01 * noise()
    lonely = np.where((np.arange(N) < 300)[:, None], x, -x)
    found = run("smoothness", lonely, mixes(lonely), k=1)
    assert found.metrics["path_ends"] == found.metrics["path"]
    # Each class has two far groups of 30: the nearest other item has the class.
    assert found.metrics["path"] == 1


def test_sparsity_controls() -> None:
    signs = np.where(noise() > 0, 2.0, -2.0)
    one_hot = np.eye(32)[np.arange(N) % 32] * noise()[:, :1]
    low, high = run("sparsity", signs), run("sparsity", one_hot)
    assert position("Sparsity", low) == pytest.approx(0, abs=1e-6)
    assert position("Sparsity", high) == pytest.approx(1, abs=1e-6)
    for metric in ("hoyer", "population", "lifetime"):
        assert low.metrics[metric] < 0.01
    assert high.metrics["population"] == pytest.approx(1)
    assert 0 < high.metrics["negative_share"] < high.metrics["zero_share"] == pytest.approx(31 / 32)


def test_silent_dimensions_do_not_make_a_code_sparse() -> None:
    dense = np.where(noise() > 0, 1.0, -1.0)
    padded = np.concatenate([dense, np.zeros((N, 96))], axis=1)
    found = run("sparsity", padded)
    assert found.metrics["hoyer"] == pytest.approx(0, abs=1e-6)
    assert found.metrics["silent_share"] == 0.75
    assert any("96 of 128 dimensions are zero" in c for c in found.caveats)


def test_manifold_controls() -> None:
    t = np.random.default_rng(1).uniform(0, 6, N)
    curve = np.stack([np.sin((k + 1) * t / 3 + k) for k in range(32)], axis=1)
    low, high = run("manifold", noise()), run("manifold", curve)
    assert position("Manifold", low) == pytest.approx(0, abs=0.08)
    assert position("Manifold", high) > 0.9
    assert high.metrics["intrinsic"] == pytest.approx(1, abs=0.15)


def test_a_flat_sheet_is_not_curved_and_a_rolled_one_is() -> None:
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(32, 32)))[0]
    flat = rng.normal(size=(N, 3)) @ turn[:3]
    angle = 4 * rng.uniform(1, 4, N)
    rolled = np.stack([angle * np.cos(angle), 20 * rng.uniform(size=N), angle * np.sin(angle)], axis=1) @ turn[:3]
    sheet, roll = run("manifold", flat), run("manifold", rolled)
    assert abs(sheet.metrics["curvature"]) < 0.12
    assert roll.metrics["curvature"] > 0.2
    assert sheet.metrics["concentration"] > 0.8


def centroids(places: np.ndarray) -> np.ndarray:
    """Items around class centroids (10, D)."""
    return places[LABELS] + 0.05 * noise(places.shape[1])


def test_hierarchy_controls() -> None:
    rng = np.random.default_rng(0)
    side = np.where(VEHICLES, 10.0, -10.0)[:, None]
    tree = np.concatenate([side, rng.normal(size=(10, 5))], axis=1)
    # Vehicles and animals in pairs that are far from each other: no group is a subtree.
    pairs = np.array([0, 1, 0, 1, 2, 4, 3, 4, 2, 3])[:, None] * 100.0 + rng.normal(size=(10, 1))
    high, low = run("hierarchy", centroids(tree)), run("hierarchy", centroids(pairs))
    assert position("Hierarchy", high) == 1
    assert high.metrics["purity_p"] < 0.05
    assert high.metrics["cophenetic_correlation"] > 0.95
    assert position("Hierarchy", low) < 0.1
    assert low.metrics["cophenetic_correlation"] < 0.2
    assert low.metrics["purity_p"] > 0.05
    assert not high.caveats


def test_hierarchy_of_noise_is_chance() -> None:
    found = [run("hierarchy", np.random.default_rng(s).normal(size=(N, 16))) for s in range(8)]
    assert np.mean([position("Hierarchy", f) for f in found]) == pytest.approx(0, abs=0.1)
    assert np.mean([f.metrics["purity_p"] for f in found]) > 0.2


def test_a_deeper_tree_and_strange_classes() -> None:
    side = np.where(VEHICLES, 10.0, -10.0)[:, None] * np.ones(4)
    tree = {
        "vehicles": {"air": ["airplane"], "land": ["automobile", "truck"], "water": ["ship"]},
        "animals": {"mammals": ["cat", "deer", "dog", "horse"], "others": ["bird", "frog", "unicorn"]},
    }
    places = (
        side + 3 * np.eye(10, 4)[[0, 1, 2, 3, 3, 3, 2, 3, 2, 1]] + 0.1 * np.random.default_rng(0).normal(size=(10, 4))
    )
    found = run("hierarchy", centroids(places), tree=tree)
    assert found.metrics["dendrogram_purity"] == 1
    assert any("unicorn" in c for c in found.caveats)
    part = run("hierarchy", centroids(places), tree={"a": ["airplane", "ship"], "b": ["cat", "dog"]})
    assert part.details["classes"] == ["airplane", "cat", "dog", "ship"]
    assert any("6 classes do not stand in the tree" in c for c in part.caveats)
    alone = run("hierarchy", centroids(places), tree={"a": ["airplane"], "b": ["cat"]})
    assert np.isnan(alone.metrics["dendrogram_purity"])
    for wrong in ({"a": 3}, {"a": ["cat"], "b": ["cat"]}, {"a": {"b": "cat"}}):
        with pytest.raises(InputError, match="tree"):
            make_evaluation("hierarchy", {"tree": wrong})


def test_shared_factors_controls() -> None:
    split = np.where(np.arange(N) % 2 == 0, "train", "test")
    labels = (np.arange(N) // 2) % 4
    known = store(np.eye(4, 32)[labels] + 0.05 * noise(), split, labels)
    unknown = store(noise(), split, labels)
    high = run("shared-factors", noise(), {"images/other": known})
    low = run("shared-factors", noise(), {"images/other": unknown})
    assert position("Shared factors", high) == 1
    assert abs(position("Shared factors", low)) < 0.1
    both = run(
        "shared-factors", noise(), {"images/a": known, "images/b": unknown, "shift/1,0": unknown}, classifier="knn"
    )
    assert both.metrics["accuracy"] == pytest.approx((both.metrics["accuracy_a"] + both.metrics["accuracy_b"]) / 2)
    assert both.n["test_a"] == N // 2
    with pytest.raises(InputError, match="32"):
        run("shared-factors", noise(16), {"images/other": known})


def test_what_has_no_further_stores_says_so() -> None:
    for name in ("smoothness", "lidar", "shared-factors"):
        found = run(name, noise())
        assert all(np.isnan(v) for v in found.metrics.values())
        assert found.caveats[0].split(":")[0].endswith(("ndefined", "Smoothness is undefined"))


def test_lidar_of_stores() -> None:
    from phispace.metrics.lidar import lidar

    items = noise(8)
    views = [store(items + 0.3 * noise(8, seed=1 + k)) for k in range(3)]
    found = run("lidar", items, {f"view/crop-flip/{k}": v for k, v in enumerate(views)}, views=3)
    expected = lidar([np.asarray(v.vectors) for v in views])
    assert found.metrics["lidar"] == pytest.approx(expected.lidar)
    assert found.metrics["lidar_corrected"] == pytest.approx(expected.corrected)
    unit = [np.asarray(v.vectors) / np.linalg.norm(v.vectors, axis=1, keepdims=True) for v in views]
    pairs = [((unit[a] - unit[b]) ** 2).sum(1).mean() for a, b in ((0, 1), (0, 2), (1, 2))]
    assert found.metrics["alignment"] == pytest.approx(np.mean(pairs), rel=1e-5)
    with pytest.raises(InputError, match="dimensions"):
        run("lidar", items, {"view/crop-flip/0": views[0], "view/crop-flip/1": store(noise(9))})


def test_health_aligns_two_draws_of_a_view() -> None:
    x = noise(8)
    views = [store(x + 0.3 * noise(8, seed=1 + k)) for k in range(2)]
    found = run("health", x, {f"view/flip/{k}": v for k, v in enumerate(views)}, view="flip")
    unit = [np.asarray(v.vectors) / np.linalg.norm(v.vectors, axis=1, keepdims=True) for v in views]
    assert found.metrics["alignment"] == pytest.approx(((unit[0] - unit[1]) ** 2).sum(1).mean(), rel=1e-5)
    missing = run("health", x, view="flip")
    assert np.isnan(missing.metrics["alignment"])
    assert any("alignment is undefined" in c for c in missing.caveats)


def test_intrinsic_dimension_of_a_store() -> None:
    from phispace.metrics.intrinsic_dimension import levina_bickel, two_nn

    flat = noise(3) @ noise(40)[:3]
    found = run("intrinsic-dimension", flat)
    assert found.metrics["two_nn"] == pytest.approx(two_nn(flat), rel=1e-6)
    assert found.metrics["mle"] == pytest.approx(levina_bickel(flat), rel=1e-6)
    low, high = found.interval["two_nn"]
    assert low < 3.2
    assert high > 2.7
    few = run("intrinsic-dimension", flat, max_items=300)
    assert few.n == {"test": 300}
    assert any("drawn from 600" in c for c in few.caveats)
    with pytest.raises(InputError, match="first"):
        make_evaluation("intrinsic-dimension", {"first": 30})
