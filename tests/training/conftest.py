"""Fixtures of the training tests: the digits, and one finished run that tests only read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import small

from phispace.data.imageset import ImageSet
from phispace.run import Run
from phispace.training.train import train


@pytest.fixture(scope="session")
def images() -> ImageSet:
    return small.digits()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, images: ImageSet) -> Run:
    """Two epochs with TensorBoard; not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    return train(small.config("training.tensorboard=true", "training.log_every=3"), out, images=images)
