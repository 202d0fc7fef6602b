"""Pixels and PCA as stores."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from phispace.data import load_images
from phispace.data.imageset import ImageSet
from phispace.embeddings import baselines
from phispace.embeddings.baselines import pca, pixels
from phispace.embeddings.histograms import histograms
from phispace.embeddings.store import Embeddings
from phispace.errors import InputError


@pytest.fixture
def images() -> ImageSet:
    rng = np.random.default_rng(0)
    split = np.array(["train", "val", "test", "unlabelled"])[np.arange(40) % 4]
    return ImageSet(
        images=rng.integers(0, 256, (40, 8, 6, 3)).astype(np.uint8),
        labels=np.where(split == "unlabelled", -1, np.arange(40) % 3),
        ids=np.array([f"i{i}" for i in range(40)]),
        classes=("a", "b", "c"),
        split=split,
        name="noise",
    )


def test_pixels(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "_BLOCK", 7)
    store = pixels(images)
    expected = images.images.transpose(0, 3, 1, 2).reshape(40, -1) / 255
    np.testing.assert_allclose(store.vectors, expected, rtol=1e-6)
    assert store.ids.tolist() == images.ids.tolist()
    assert store.labels.tolist() == images.labels.tolist()
    assert store.splits.tolist() == images.split.tolist()
    assert store.manifest["feature_shape"] == [3, 8, 6]
    assert store.manifest["fingerprint"] == images.fingerprint
    assert store.manifest["name"] == "pixels"


def test_known_factors_go_along() -> None:
    sprites = load_images("sprites", options={"n": 60})
    for store in (pixels(sprites, ["train"]), pca(pixels(sprites), 3), histograms(sprites)):
        rows = store.column("image")
        for k, name in enumerate(sprites.factor_names):
            np.testing.assert_array_equal(store.column(f"factor_{name}"), sprites.factors[rows, k])


def test_pixels_of_some_splits(images: ImageSet) -> None:
    store = pixels(images, splits=("train", "test"))
    assert set(store.splits) == {"train", "test"}
    np.testing.assert_array_equal(store.column("image"), images.where("train", "test"))
    np.testing.assert_allclose(store.vectors[0], pixels(images).vectors[0])
    with pytest.raises(InputError, match="Unknown splits"):
        pixels(images, splits=("dev",))
    with pytest.raises(InputError, match="no images in val"):
        pixels(images.take(images.where("train")), splits=("val",))


def test_smaller_pixels(images: ImageSet) -> None:
    store = pixels(images, max_side=4)
    assert store.manifest["feature_shape"] == [3, 4, 3]
    blocks = images.images.astype(float).reshape(40, 4, 2, 3, 2, 3).mean((2, 4)).transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(store.vectors, blocks.reshape(40, -1), rtol=1e-5)
    assert pixels(images, max_side=8).dim == 3 * 8 * 6
    with pytest.raises(InputError, match="at least 1"):
        pixels(images, max_side=0)


def source(n: int = 300, d: int = 20) -> Embeddings:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(n, d)) * np.linspace(5, 0.5, d) + 3
    return Embeddings.build(
        vectors, [f"{i}" for i in range(n)], np.arange(n) % 3, np.where(np.arange(n) % 3, "train", "test"), layer="fc1"
    )


@pytest.mark.parametrize("dims", [4096, 4], ids=["covariance", "sketch"])
def test_components_of_scikit_learn(dims: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "_COVARIANCE_DIMS", dims)
    monkeypatch.setattr(baselines, "_BLOCK", 50)
    store = source()
    found = pca(store, 5, np.random.default_rng(0))
    reference = PCA(5, svd_solver="full").fit(store.part("train").vectors)
    expected = reference.transform(store.vectors)
    sign = np.sign((expected * found.vectors).sum(0))
    np.testing.assert_allclose(found.vectors, expected * sign, atol=1e-2 if dims == 4 else 1e-3)
    assert found.manifest["explained_variance"] == pytest.approx(reference.explained_variance_ratio_.sum(), abs=1e-3)
    assert found.manifest["name"] == "pca"
    assert found.ids.tolist() == store.ids.tolist()


def test_only_train_is_fitted_and_the_order_does_not_matter() -> None:
    store = source()
    vectors = np.array(store.vectors)
    vectors[store.splits == "test"] *= 100
    moved = Embeddings.build(vectors, store.ids, store.labels, store.splits)
    train = store.splits == "train"
    np.testing.assert_array_equal(pca(moved, 4).vectors[train], pca(store, 4).vectors[train])
    order = np.random.default_rng(2).permutation(len(store))
    np.testing.assert_allclose(pca(store.take(order), 4).vectors, pca(store, 4).vectors[order], atol=1e-3)


def test_no_more_components_than_there_are() -> None:
    assert pca(source(), 500).dim == 20
    few = source().part("train").take(np.arange(6))
    assert pca(few, 500).dim == 5
    assert pca(few, 500).manifest["n_components"] == 5
    with pytest.raises(InputError, match="at least 2 items of split train"):
        pca(source().part("test"), 3)
    with pytest.raises(InputError, match="1 component"):
        pca(source(), 0)


def test_a_store_that_does_not_vary() -> None:
    store = source()
    flat = Embeddings.build(np.full(store.vectors.shape, 0.1), store.ids, store.labels, store.splits)
    found = pca(flat, 3)
    np.testing.assert_allclose(found.vectors, 0, atol=1e-6)


def test_stored_and_opened(tmp_path, images: ImageSet) -> None:
    pca(pixels(images), 3).save(tmp_path / "pca")
    again = Embeddings.open(tmp_path / "pca")
    assert again.manifest["images"] == "noise"
    assert again.classes == ("a", "b", "c")
