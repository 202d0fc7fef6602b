"""A cache of its own for each test, one thread, and a few real digits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from phispace.data.imageset import ImageSet
from phispace.data.loading import load_images
from phispace.studies.study import images_subset


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PHISPACE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def digits() -> ImageSet:
    """300 digits to train on, 60 for validation, 100 for testing."""
    return images_subset(load_images("digits"), train=300, val=60, test=100)
