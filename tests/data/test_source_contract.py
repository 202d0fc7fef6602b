"""What every registered source of images promises. What is registered is tested by being registered."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from phispace.data import REGISTRY, load_images
from phispace.data.imageset import SPLITS, ImageSet
from phispace.data.origin import Origin, Request
from phispace.data.source import Source
from phispace.data.splits import VAL_SHARE
from phispace.errors import DataError

_NAMES = REGISTRY.names()
_SLOW = {"cifar10"}  # 60,000 JPEG files, where they are there


_LOADED: dict[str, ImageSet] = {}


@pytest.fixture
def images(request: pytest.FixtureRequest, name: str) -> ImageSet:
    """The set, where it is there without a network."""
    data_dir: Path | None = None
    if name == "cifar10":
        data_dir = request.getfixturevalue("cifar_zip").parent
    elif name == "mnist":
        data_dir = request.getfixturevalue("mnist_dir").parent
    try:
        if name not in _LOADED:
            _LOADED[name] = load_images(name, data_dir=data_dir, download=False)
        return _LOADED[name]
    except DataError as error:
        if REGISTRY.get(name).offline:
            raise
        pytest.skip(str(error).partition(";")[0])


all_names = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in _SLOW else n for n in _NAMES]
)


@pytest.mark.parametrize("name", _NAMES)
def test_a_source_says_what_it_is(name: str) -> None:
    source = REGISTRY.get(name)
    assert issubclass(source, Source)
    assert source.name == name
    assert source.title
    assert source.reference
    assert source.__doc__
    assert issubclass(source.Config, BaseModel)
    assert all(field.description for field in source.Config.model_fields.values())


@pytest.mark.parametrize("name", _NAMES)
def test_options_are_checked_and_default(name: str) -> None:
    kind = REGISTRY.get(name)
    assert kind().config == kind.Config()
    with pytest.raises(ValueError, match="no_such_option"):
        kind.Config(no_such_option=1)


@pytest.mark.parametrize("name", [n for n in _NAMES if REGISTRY.get(n).offline])
def test_an_offline_source_needs_nothing(name: str) -> None:
    assert isinstance(REGISTRY.get(name)().origin(Request(download=False)), Origin)


@all_names
def test_the_sets_invariants(images: ImageSet, name: str) -> None:
    assert images.name == name
    assert images.images.dtype == np.uint8
    assert images.shape[0] in (1, 3)
    assert images.shape[1] == images.shape[2] <= 64
    assert images.images[: min(2000, len(images))].std() > 10
    assert len(images.classes) >= 2
    assert set(np.unique(images.labels)) - {-1} == set(range(len(images.classes)))
    assert all(i.isprintable() for i in images.ids.tolist())
    assert set(images.split.tolist()) <= set(SPLITS)
    assert images.source["sizes"]


@all_names
def test_train_val_and_test_are_there_and_stratified(images: ImageSet, name: str) -> None:
    counts = images.counts()
    assert {"train", "val", "test"} <= set(counts)
    for label in images.classes:
        share = counts["val"][label] / (counts["val"][label] + counts["train"][label])
        assert abs(share - VAL_SHARE) < 0.03


@all_names
def test_it_is_the_same_each_time(images: ImageSet, name: str, request: pytest.FixtureRequest) -> None:
    data_dir = {"cifar10": "cifar_zip", "mnist": "mnist_dir"}.get(name)
    folder = request.getfixturevalue(data_dir).parent if data_dir else None
    again = load_images(name, data_dir=folder, download=False)
    assert again.fingerprint == images.fingerprint
    assert again.split.tolist() == images.split.tolist()


@pytest.mark.parametrize("name", [n for n in _NAMES if REGISTRY.get(n).offline])
def test_another_size(name: str) -> None:
    options = {"n": 60} if name == "sprites" else {}
    assert load_images(name, size=16, options=options).images.shape[1:3] == (16, 16)


def test_val_is_the_same_for_ever() -> None:
    """val depends on the ids and labels alone. If this changes, no score compares with an earlier one."""
    images = load_images("digits")
    chosen = "\n".join(images.ids[images.split == "val"].tolist())
    assert hashlib.sha256(chosen.encode()).hexdigest()[:16] == "e7537895b7c1dd54"


@pytest.mark.slow
def test_the_jpeg_copy_of_cifar10(cifar_zip: Path) -> None:
    images = load_images("cifar10", data_dir=cifar_zip.parent)
    assert images.shape == (3, 32, 32)
    assert {k: sum(v.values()) for k, v in images.counts().items()} == {"train": 45000, "val": 5000, "test": 10000}
    assert "JPEG" in images.source["caveats"][0]
    assert images.quarantine == ()


def test_mnist(mnist_dir: Path) -> None:
    images = load_images("mnist", data_dir=mnist_dir.parent)
    assert images.images.shape == (70000, 28, 28, 1)
    assert images.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert images.images[0].sum() == 27525
