"""Both ways to the eigenvalues give the same."""

from __future__ import annotations

import numpy as np
import pytest

from phispace.metrics import eigen


@pytest.mark.parametrize("large", [1, 1000])
def test_both_libraries_agree_with_the_definition(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eigen, "_LARGE", large)
    x = np.random.default_rng(0).normal(size=(40, 12))
    gram = x.T @ x
    values, vectors = eigen.eigenvectors(gram)
    np.testing.assert_allclose(gram @ vectors, vectors * values, atol=1e-10)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(12), atol=1e-12)
    np.testing.assert_allclose(eigen.eigenvalues(gram), values, atol=1e-10)
    assert (np.diff(values) >= 0).all()
