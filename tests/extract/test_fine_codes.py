"""Codes of few dimensions are embedded in full precision, whatever is faster."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phispace.data.imageset import ImageSet
from phispace.embeddings import autocast
from phispace.embeddings.extract import LEAST_BF16, extract
from phispace.encoders.build import build_encoder


@pytest.mark.parametrize(("code", "expected"), [(2, "float32"), (LEAST_BF16, "bf16")])
def test_auto_keeps_float32_for_few_dimensions(monkeypatch: pytest.MonkeyPatch, code: int, expected: str) -> None:
    """The clock says bf16; two dimensions of it would lie on a coarse grid."""
    monkeypatch.setattr(autocast, "choose", lambda *_: ("bf16", {}))
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (300, 8, 8, 1)).astype(np.uint8)
    ids = np.array([f"i{i}" for i in range(300)])
    images = ImageSet(pixels, np.full(300, -1, np.int64), ids, (), np.full(300, "train"), name="noise")
    torch.manual_seed(0)
    store = extract(build_encoder("mlp", 1, 8, hidden=(16,), code=code), images)["features"]
    assert store.manifest["precision"] == expected
    if code == 2:
        assert len(np.unique(np.asarray(store.vectors), axis=0)) == 300
