"""Maps by name: subsets, options, storage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blobs import blobs
from hypothesis import given
from hypothesis import strategies as st

from phispace.embeddings.store import Embeddings
from phispace.errors import DataError, InputError
from phispace.maps.base import Map, Projection
from phispace.maps.isomap import IsomapProjection
from phispace.maps.make import make_map
from phispace.maps.subset import stratified_subset


def test_an_unknown_map_gets_a_suggestion() -> None:
    with pytest.raises(InputError, match="tsne"):
        make_map(blobs(30), "t-sne")


def test_max_items_maps_a_stratified_subset_that_does_not_depend_on_order() -> None:
    store = blobs(300)
    made = make_map(store, "pca", max_items=60)
    assert len(made.xy) == 60
    assert np.bincount(made.labels).tolist() == [20, 20, 20]
    assert made.info["subset"]["of"] == 300
    shuffled = store.take(np.random.default_rng(0).permutation(300))
    assert set(make_map(shuffled, "pca", max_items=60).ids) == set(made.ids)
    assert "subset" not in make_map(store, "pca", max_items=300).info


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=80), st.integers(1, 90))
def test_subsets_are_proportional_and_nested(labels: list[int], n: int) -> None:
    ids = np.array([f"i{k}" for k in range(len(labels))])
    known = np.array(labels)
    chosen = stratified_subset(ids, known, n)
    assert len(chosen) == min(n, len(labels))
    assert (np.diff(chosen) > 0).all()
    for label in np.unique(known):
        share = len(chosen) * (known == label).sum() / len(labels)
        assert abs((known[chosen] == label).sum() - share) < 1 + len(np.unique(known)) / 2
    assert set(stratified_subset(ids, known, max(1, n // 2))) <= set(chosen)


def test_a_subset_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        make_map(blobs(30), "pca", max_items=0)


def test_too_many_items_come_with_advice() -> None:
    class Small(Projection):
        name, title, reference, max_items = "small", "Small", "none", 20

    with pytest.raises(InputError, match=r"at most 20 items; this store has 30.*max_items=20"):
        Small().fit(blobs(30))


def test_isomap_places_the_rest_among_landmarks() -> None:
    store = blobs(300)
    made = IsomapProjection(IsomapProjection.Config(landmarks=100)).fit(store)
    assert made.info["landmarks"] == 100
    assert len(made.xy) == 300
    assert made.quality["class_agreement"] > 0.98


def test_isomap_unrolls_what_pca_cannot() -> None:
    angle = 1.5 * np.pi * (1 + 2 * np.sort(np.random.default_rng(0).random(500)))
    roll = np.stack([angle * np.cos(angle), np.tile(np.arange(5.0), 100), angle * np.sin(angle)], 1)
    store = Embeddings.build(roll, [str(k) for k in range(500)])
    along = {m: make_map(store, m, options=o).xy[:, 0] for m, o in (("isomap", {"n_neighbors": 8}), ("pca", {}))}
    agreement = {m: abs(np.corrcoef(np.argsort(np.argsort(x)), np.arange(500))[0, 1]) for m, x in along.items()}
    assert agreement["isomap"] > 0.99
    assert agreement["pca"] < 0.9


def test_pca_is_the_plane_of_most_variance() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(200, 6)) * np.array([9, 5, 1, 1, 1, 1])
    made = make_map(Embeddings.build(vectors, [str(k) for k in range(200)]), "pca")
    assert abs(np.corrcoef(made.xy[:, 0], vectors[:, 0])[0, 1]) > 0.99
    assert sum(made.info["explained_variance"]) > 0.9


def test_maps_survive_storage_and_damage_is_seen(tmp_path: Path) -> None:
    made = make_map(blobs(40), "pca")
    path = made.save(tmp_path / "map")
    again = Map.open(path)
    assert np.array_equal(again.xy, made.xy)
    assert again.quality == made.quality
    assert again.info == made.info
    assert again.classes == made.classes
    text = path.with_suffix(".json").read_text()
    path.with_suffix(".json").write_text(text.replace('"quality"', '"qualities"'))
    with pytest.raises(DataError, match="cannot be read as a map"):
        Map.open(path)
    path.with_suffix(".json").write_text(text)
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="changed or is damaged"):
        Map.open(path)
    with pytest.raises(DataError, match="does not exist"):
        Map.open(tmp_path / "other")
