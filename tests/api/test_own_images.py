"""A run finds its own images again, also the part of a set that a study took."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import phispace as ph
from phispace.api.learn import images_of
from phispace.data import load_images
from phispace.errors import DataError
from phispace.studies.study import images_subset


def _run(images, out: Path):
    settings = ("encoder.hidden=[8]", "training.health_every=0", "training.tensorboard=false")
    return ph.train("autoencoder", images, encoder="mlp", epochs=1, settings=settings, out=out, training={"threads": 1})


def test_a_part_that_a_study_took_is_found_again(tmp_path: Path) -> None:
    part = images_subset(load_images("digits"), train=60, val=20, test=30)
    found = images_of(_run(part, tmp_path / "run"))
    assert found.fingerprint == part.fingerprint
    np.testing.assert_array_equal(found.ids, part.ids)


def test_another_part_is_refused(tmp_path: Path) -> None:
    """As many images, but not those that a study takes."""
    images = load_images("digits")
    chosen = np.concatenate([images.where(s)[:20] for s in ("train", "val", "test")])
    run = _run(images.take(np.sort(chosen)), tmp_path / "run")
    with pytest.raises(DataError, match=r"are not those that .* was trained on"):
        images_of(run)
