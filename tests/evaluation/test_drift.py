"""Drift on stores whose change is known: nothing, a shift of the look, a shift of the mix."""

from __future__ import annotations

import numpy as np
import pytest

from phispace.embeddings.store import Embeddings
from phispace.evaluation.drift import Drift, DriftConfig

N = 400
SMALL = {"n": N, "reference": 150, "window": 40, "streams": 4, "quiet": 300, "ramp": 4, "after": 2, "permutations": 39,
         "components": 4, "kinds": ("fog",)}  # fmt: skip


def store(vectors: np.ndarray, labels: np.ndarray) -> Embeddings:
    ids = np.array([f"i{k:03}" for k in range(len(vectors))])
    return Embeddings.build(vectors.astype(np.float32), ids, labels, np.full(len(ids), "test"), ("a", "b"))


@pytest.fixture(scope="module")
def made() -> tuple[Embeddings, Embeddings]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, N)
    clean = rng.normal(size=(N, 6)) + 4 * labels[:, None] * np.eye(6)[0]
    return store(clean, labels), store(clean + 3 * np.eye(6)[1], labels)


def test_changes_are_noticed_soon_and_nothing_is_not(made) -> None:
    clean, foggy = made
    found = Drift(DriftConfig(**SMALL)).run(clean, others={"corrupt/fog/3": foggy})
    for test in ("mmd", "ks", "classifier"):
        assert found.metrics[f"false_alarms_{test}"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
        for change in ("look_fog", "mix"):
            assert found.metrics[f"delay_{change}_{test}"] < found.metrics[f"run_length_{test}"]
        assert found.metrics[f"delay_look_fog_{test}"] <= 4
    alarms = found.details["alarms"]
    assert alarms["look_fog_mmd"][-1] == 1.0
    assert found.details["share_changed"] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    again = Drift(DriftConfig(**SMALL)).run(clean, others={"corrupt/fog/3": foggy})
    assert again.metrics == found.metrics


def test_a_representation_that_ignores_the_change_does_not_notice_it(made) -> None:
    clean, _ = made
    found = Drift(DriftConfig(**SMALL, tests=("ks",))).run(clean, others={"corrupt/fog/3": clean})
    assert found.metrics["delay_look_fog_ks"] >= 0.5 * found.metrics["run_length_ks"]
    assert found.details["unnoticed"]["look_fog_ks"] >= 2


def test_what_cannot_be_said(made) -> None:
    clean, _ = made
    alone = Drift(DriftConfig(**SMALL)).run(clean)
    assert any("no stores of corrupted images" in c for c in alone.caveats)
    assert not any("look" in name for name in alone.metrics)
    few = Drift(DriftConfig(**SMALL)).run(clean.take(np.arange(60)))
    assert np.isnan(few.metrics["delay_mean"])
    assert "Undefined" in few.caveats[-1]
    unlabelled = store(np.asarray(clean.vectors), np.full(N, -1))
    nothing = Drift(DriftConfig(**SMALL)).run(unlabelled)
    assert any("mix of classes is left out" in c for c in nothing.caveats)
