"""Zero-shot on constructed worlds: where names tell all, where they tell nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from phispace.embeddings.store import Embeddings
from phispace.evaluation.protocol import Part
from phispace.evaluation.zero_shot import ZeroShot, ZeroShotConfig, fit

K, D = 7, 24
NAMES = tuple("abcdefg")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = np.random.default_rng(0).normal(size=(K, 4))
    path = tmp_path_factory.mktemp("words") / "w.txt"
    rows = [f"{n} {' '.join(f'{v:.6f}' for v in row)}" for n, row in zip(NAMES, words, strict=True)]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def world(noise: float, shuffled: bool = False, per_class: int = 60) -> Embeddings:
    """Images are a linear function of the text vectors of their classes, or of those of other classes."""
    rng = np.random.default_rng(1)
    words = np.random.default_rng(0).normal(size=(K, 4))
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    if shuffled:
        words = np.random.default_rng(5).normal(size=(K, 4))
    y = np.arange(K * per_class) % K
    x = words[y] @ rng.normal(size=(4, D)) + noise * rng.normal(size=(len(y), D))
    split = np.array(["train", "train", "train", "val", "test", "test"])[(np.arange(len(y)) // K) % 6]
    return Embeddings.build(x.astype(np.float32), np.array([f"i{k:04}" for k in range(len(y))]), y, split, NAMES)


def test_names_that_tell_all(text: Path) -> None:
    found = ZeroShot(ZeroShotConfig(text=str(text))).run(world(0.05))
    assert found.metrics["unseen_pairs"] > 0.95
    assert found.metrics["unseen_pairs"] > found.metrics["nearest_seen"]
    assert found.n["pairs"] == 21
    assert len(found.details["pairs"]) == 21
    for kind in ("none", "gaussian", "loop"):
        assert found.metrics[f"seen_{kind}"] > 0.5
        seen, unseen = (np.array([row[f"{w}_{kind}"] for row in found.details["pairs"]]) for w in ("seen", "unseen"))
        whole = np.where(seen + unseen > 0, 2 * seen * unseen / np.maximum(seen + unseen, 1e-9), 0)
        assert found.metrics[f"harmonic_{kind}"] == pytest.approx(whole.mean())
    assert any("this is transfer" in c for c in found.caveats)


def test_names_that_tell_nothing(text: Path) -> None:
    found = ZeroShot(ZeroShotConfig(text=str(text))).run(world(0.05, shuffled=True))
    assert 0.2 < found.metrics["unseen_pairs"] < 0.8
    assert found.metrics["worst_pair"] <= found.metrics["unseen_pairs"] <= found.metrics["best_pair"]


@pytest.mark.parametrize("n", [10, 200])
def test_the_map_is_ridge_regression(n: int) -> None:
    """Against scikit-learn's, with more dimensions than items and with fewer."""
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(2)
    words = rng.normal(size=(4, 3))
    x, y = rng.normal(size=(n, D)), np.arange(n) % 4
    send, classify = fit(Part(x, y, np.arange(n).astype(str)), np.arange(4), words, 0.3)
    asked = rng.normal(size=(9, D))
    expected = Ridge(alpha=0.3 * n).fit(x, words[y]).predict(asked)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(send(asked), expected, atol=1e-8)
    scores = Ridge(alpha=0.3 * n).fit(x, np.eye(4)[y]).predict(asked)
    np.testing.assert_array_equal(classify(asked), scores.argmax(1))


def test_too_few_classes(text: Path) -> None:
    store = world(0.1)
    few = store.take(np.flatnonzero(np.asarray(store.labels) < 4))
    found = ZeroShot(ZeroShotConfig(text=str(text))).run(few)
    assert np.isnan(found.metrics["unseen_pairs"])
    assert "4 classes" in found.caveats[-1]


def test_names_without_a_vector_are_a_reason_not_a_crash(text: Path) -> None:
    store = world(0.1)
    renamed = Embeddings.build(store.vectors, store.ids, store.labels, store.splits, ("unicorn", *NAMES[1:]))
    found = ZeroShot(ZeroShotConfig(text=str(text))).run(renamed)
    assert np.isnan(found.metrics["unseen_pairs"])
    assert "'unicorn'" in found.caveats[-1]
