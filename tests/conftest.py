"""Shared fixtures: the optional real data, small real images."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the processors; two of them with two spinning threads each would mostly wait for one another.
    # Read when torch is first imported, hence here.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _data_folders() -> list[Path]:
    folders = [Path(os.environ["PHISPACE_TEST_DATA"])] if "PHISPACE_TEST_DATA" in os.environ else []
    return [*folders, Path(__file__).resolve().parents[2] / "shared" / "data"]


def _find(name: str) -> Path:
    for folder in _data_folders():
        if (folder / name).exists():
            return folder / name
    pytest.skip(f"{name} is not here; put it into the folder that PHISPACE_TEST_DATA names")


@pytest.fixture(scope="session")
def cifar_zip() -> Path:
    """The 60,000 CIFAR-10 images as a zip of train/ and test/ class folders of JPEG files."""
    return _find("cifar10-jpeg.zip")


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The four original IDX files of MNIST, gzipped."""
    return _find("mnist")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read from or left in the user's cache."""
    monkeypatch.setenv("PHISPACE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
