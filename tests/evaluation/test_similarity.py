"""Representations held against each other: what is the same, what is unrelated, and what cannot be compared."""

from __future__ import annotations

import numpy as np
import pytest
from poor_stores import changed
from scipy.linalg import orthogonal_procrustes
from scipy.stats import ortho_group

from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.base import Scores
from phispace.evaluation.evaluate import make_evaluation, score_table
from phispace.evaluation.similarity import MEASURES, similarities


def said(scores: Scores, words: str) -> bool:
    return any(words in caveat for caveat in scores.caveats)


def store(x: np.ndarray, split: str = "test") -> Embeddings:
    return Embeddings.build(x.astype(np.float32), [f"i{k:05d}" for k in range(len(x))], split=split)


def normal(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


@pytest.fixture(scope="module")
def four() -> dict[str, Embeddings]:
    """The same turned, scaled and in another order; half of it replaced; and nothing to do with it."""
    x = normal(600, 16, 0) * np.geomspace(3, 0.3, 16)
    half = np.concatenate([x[:, ::2], normal(600, 8, 1) * np.geomspace(3, 0.3, 8)], axis=1)
    turned = store(40 * x @ ortho_group.rvs(16, random_state=0) + 2)
    return {
        "x": store(x),
        "turned": turned.take(np.random.default_rng(0).permutation(600)),
        "half": store(half),
        "other": store(normal(600, 9, 2)),
    }


def test_every_measure_orders_them(four: dict[str, Embeddings]) -> None:
    found = similarities(four)
    assert found.labels == tuple(four)
    assert found.n == {"test": 600}
    for measure in MEASURES:
        table = found.matrices[measure]
        assert np.allclose(table, table.T)
        assert np.allclose(np.diagonal(table), 1, atol=1e-6)
        if measure != "mutual_knn":  # by cosine, to which the shift of the origin matters
            assert table[0, 1] == pytest.approx(1, abs=1e-4)
        assert 0.1 < table[0, 2] < 0.95
        assert table[0, 3] < min(0.25, table[0, 2])
    assert abs(found.matrices["cka"][0, 3]) < 0.03
    same = similarities({"x": four["x"], "scaled": changed(four["x"], vectors=7 * np.asarray(four["x"].vectors))})
    assert same.matrices["mutual_knn"][0, 1] == 1


def test_minibatches_agree_with_all_items_at_once(four: dict[str, Embeddings]) -> None:
    whole, batched = (similarities(four, measures=("cka",), batch_size=b).matrices["cka"] for b in (600, 150))
    assert np.abs(whole - batched).max() < 0.05
    again = similarities(four, measures=("cka",), batch_size=150).matrices["cka"]
    assert np.array_equal(batched, again)
    # a remainder too small to count is dealt out among the others
    assert np.isfinite(similarities(four, measures=("cka",), batch_size=599).matrices["cka"]).all()


def test_batches_are_not_classes() -> None:
    """Ids in the order of the classes: within one class the two have nothing in common, between classes everything."""
    y = np.repeat(np.arange(4), 100)
    centres = 5 * np.eye(4)[y]
    a, b = (store(centres + normal(400, 4, seed)) for seed in (0, 1))
    whole, batched = (
        similarities({"a": a, "b": b}, measures=("cka",), batch_size=size).matrices["cka"][0, 1] for size in (400, 100)
    )
    assert whole > 0.6
    assert batched == pytest.approx(whole, abs=0.05)


def test_a_sample_of_the_items_and_only_those_in_common(four: dict[str, Embeddings]) -> None:
    found = similarities({"x": four["x"], "half": four["half"].take(np.arange(100, 500))}, max_items=200)
    assert found.n == {"test": 400, "sample": 200}
    assert any("x has more" in c for c in found.caveats)
    x = np.asarray(four["x"].vectors)[:300].astype(np.float64)
    y = np.asarray(four["half"].vectors)[:300].astype(np.float64)
    value = similarities({"x": store(x), "y": store(y)}, measures=("procrustes",)).matrices["procrustes"][0, 1]
    x, y = (z - z.mean(0) for z in (x, y))
    turn, scale = orthogonal_procrustes(x / np.linalg.norm(x), y / np.linalg.norm(y))
    assert turn.shape == (16, 16)
    assert value == pytest.approx(scale, abs=1e-5)


def test_wide_representations_of_few_items() -> None:
    a, b = store(normal(30, 500, 0)), store(normal(30, 400, 1))
    found = similarities({"a": a, "b": b})
    assert abs(found.matrices["cka"][0, 1]) < 0.2
    assert found.matrices["cka_biased"][0, 1] > 0.8, "the bias that the debiased one does not have"
    assert found.matrices["procrustes"][0, 1] > 0.8
    assert any("as many dimensions as items" in c for c in found.caveats)


def test_large_small_constant_and_zero(four: dict[str, Embeddings]) -> None:
    x = np.asarray(four["x"].vectors)
    for factor in (1e18, 1e-18):
        value = similarities({"x": four["x"], "f": store(x * np.float32(factor))})
        assert all(table[0, 1] == pytest.approx(1, abs=1e-4) for table in value.matrices.values())
    for still in (np.zeros((600, 3)), np.full((600, 3), 0.1)):
        found = similarities({"x": four["x"], "still": store(still)})
        assert all(np.isnan(table[1]).all() for table in found.matrices.values())
        assert any(c.startswith("Undefined for still") for c in found.caveats)


def test_wrong_requests(four: dict[str, Embeddings]) -> None:
    x = four["x"]
    for stores, options, words in (
        ({"x": x}, {}, "Two stores or more"),
        ({"x": x, "y": x}, {"measures": ("cca",)}, "got cca"),
        ({"x": x, "y": x.take(np.arange(3))}, {}, "3 test items in common"),
        ({"x": x, "y": store(normal(600, 3, 0), "train")}, {}, "0 test items in common"),
        ({"x": x, "y": x}, {"split": "val"}, "no items in split val"),
    ):
        with pytest.raises(InputError, match=words):
            similarities(stores, **options)


def test_the_evaluation(digits: Embeddings) -> None:
    noise = changed(digits, vectors=normal(len(digits), 20, 5).astype(np.float32))
    evaluation = make_evaluation("cka")
    alone = evaluation.run(digits)
    assert np.isnan(alone.metrics["cka"])
    assert said(alone, "there is no other store")
    scores = evaluation.run(digits, others={"noise": noise, "same": digits, "few": digits.part("train")})
    each = scores.details["others"]
    assert list(each) == ["noise", "same"]
    assert said(scores, "Undefined with few")
    assert each["same"]["cka"] == pytest.approx(1, abs=1e-6)
    assert abs(each["noise"]["cka"]) < 0.1
    assert scores.metrics["cka"] == pytest.approx((each["noise"]["cka"] + each["same"]["cka"]) / 2)
    rows = score_table({"a": digits, "b": noise}, ["cka"])
    assert [list(row["details"]["others"]) for row in rows] == [["b"], ["a"]]
    assert rows[0]["metrics"]["cka"] == pytest.approx(rows[1]["metrics"]["cka"], abs=1e-9)
