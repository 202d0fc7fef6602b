"""The sheet of clusters: from stored details, on the store and the images that were scored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phispace.data.imageset import ImageSet
from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.evaluation.evaluate import make_evaluation
from phispace.search.clusters import draw_clusters
from phispace.search.drawing import AGREES, DIFFERS


def scored(classes: int = 3, channels: int = 3) -> tuple[Embeddings, ImageSet]:
    """Items whose colour is that of their cluster; every ninth has another class."""
    n = 30 * classes
    group = np.arange(n) % classes
    labels = np.where(np.arange(n) % 9 == 8, (group + 1) % classes, group)
    ids = np.array([f"{i:03d}" for i in range(n)])
    x = 5 * np.eye(classes)[group] + 0.1 * np.random.default_rng(0).normal(size=(n, classes))
    names = [f"kind {k}" for k in range(classes)]
    pixels = np.broadcast_to((40 + 20 * group)[:, None, None, None], (n, 8, 8, channels)).astype(np.uint8)
    images = ImageSet(pixels, labels.astype(np.int64), ids, tuple(names), np.full(n, "test"))
    order = np.random.default_rng(1).permutation(n)
    return Embeddings.build(x, ids, labels, "test", names).take(order), images


@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_a_cluster(channels: int, tmp_path: Path) -> None:
    store, images = scored(channels=channels)
    scores = make_evaluation("clustering", {"shown": 10}).run(store)
    details = json.loads(json.dumps(scores.as_dict()))["details"]
    path = draw_clusters(store, images, tmp_path / "clusters.png", details, title="Three kinds")
    sheet = np.asarray(Image.open(path).convert("RGB"))
    assert sheet.shape[0] > 3 * 72
    assert sheet.shape[1] > 10 * 72
    for k in range(3):
        shown = (sheet == 40 + 20 * k).all(2).sum()
        assert shown == 10 * 72 * 72, "ten tiles of each cluster's own colour"
    frame = 78**2 - 72**2
    drawn = [(sheet == colour).all(2).sum() for colour in (AGREES, DIFFERS)]
    wrong = sum(
        store.classes[int(store.labels[store.ids == name][0])] != row["majority"]
        for row in details["clusters"]
        for name in row["nearest"]
    )
    assert wrong > 0
    assert drawn[1] >= wrong * frame
    assert drawn[0] >= (30 - wrong) * frame


def test_many_clusters_are_cut(tmp_path: Path) -> None:
    store, images = scored(70)
    scores = make_evaluation("clustering", {"shown": 1}).run(store)
    draw_clusters(store, images, tmp_path / "many.png", scores.details)
    assert Image.open(tmp_path / "many.png").height < 62 * 110


def test_other_images_are_refused(tmp_path: Path) -> None:
    store, images = scored()
    scores = make_evaluation("clustering").run(store)
    with pytest.raises(InputError, match="not in the images"):
        draw_clusters(store, images.take(np.arange(3)), tmp_path / "a.png", scores.details)
    with pytest.raises(InputError, match="not in the store"):
        draw_clusters(store.take(np.arange(3)), images, tmp_path / "a.png", scores.details)
    for nothing in ({}, {"clusters": []}, {"clusters": None}):
        with pytest.raises(InputError, match="no clusters to draw"):
            draw_clusters(store, images, tmp_path / "a.png", nothing)
    assert not list(tmp_path.iterdir())
