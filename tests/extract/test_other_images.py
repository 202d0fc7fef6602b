"""Stores of other images under the same encoder, and what an evaluation makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_run import digits, make_run

from phispace.data.imageset import ImageSet
from phispace.embeddings.baselines import fit_pca, pixels
from phispace.embeddings.other_images import other_image_stores
from phispace.errors import InputError
from phispace.evaluation.evaluate import score_table, wanted_images
from phispace.run import Run
from phispace.training.restore import load_method

OWN = digits(300)
LABELS = ("features @ best", "pixels", "pca", "untrained")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("others") / "r", OWN, epochs=2)


def coloured() -> ImageSet:
    """Digits upside down and in colour, asked whether they are even."""
    images = digits(400)
    pixel = np.repeat(images.images[:, ::-1], 3, axis=3)
    return replace(images, images=pixel, labels=images.labels % 2, classes=("even", "odd"), name="parity")


def test_each_source_embeds_the_same_part_of_the_other_images(run: Run) -> None:
    made = other_image_stores(
        run, OWN, wanted={"parity": "train:100+test:40"}, load=lambda name: coloured(), labels=LABELS
    )
    assert set(made) == set(LABELS)
    stores = {label: stores["images/parity"] for label, stores in made.items()}
    ids = stores["pixels"].ids
    assert all(np.array_equal(s.ids, ids) and s.classes == ("even", "odd") for s in stores.values())
    assert [(s.splits == "train").sum() for s in stores.values()] == [100] * 4
    whole = coloured()
    at = [int(np.flatnonzero(whole.ids == i)[0]) for i in ids]
    grey = torch.from_numpy(whole.images[at][..., :1].copy()).permute(0, 3, 1, 2).float() / 255
    for label, checkpoint in (("features @ best", "best"), ("untrained", "epoch=000")):
        with torch.no_grad():
            expected = load_method(run, checkpoint).encoder(grey).numpy()
        assert np.allclose(stores[label].vectors, expected, atol=1e-4)
    components = fit_pca(pixels(OWN, ("train",)), stores["pca"].dim)
    assert np.allclose(stores["pca"].vectors, components.project(grey.flatten(1).numpy()), atol=1e-4)
    assert run.embeddings_path("parity.part", "epoch=002", "features").is_dir()


def test_shared_factors_of_a_run(run: Run) -> None:
    options = {"shared-factors": {"images": ["parity"], "train_items": 150, "test_items": 60, "classifier": "knn"}}
    wanted = wanted_images(["shared-factors", "knn"], options)
    assert wanted == {"parity": "train:150+val:30+test:60"}
    others = other_image_stores(run, OWN, wanted=wanted, load=lambda name: coloured(), labels=LABELS)
    clean = {label: stores["images/parity"] for label, stores in others.items()}
    rows = score_table(clean, ["shared-factors"], options=options, others=others)
    found = {row["store"]: row for row in rows}
    assert found["pixels"]["metrics"]["gain"] > 0.5
    assert found["features @ best"]["n"] == {"train_parity": 150, "val_parity": 30, "test_parity": 60}


def test_sets_that_do_not_fit_are_named(run: Run) -> None:
    large = replace(coloured(), images=np.zeros((400, 9, 9, 1), np.uint8))
    with pytest.raises(InputError, match="9"):
        other_image_stores(run, OWN, wanted={"x": "test:5"}, load=lambda name: large, labels=LABELS)
    with pytest.raises(InputError, match="unlabelled"):
        other_image_stores(run, OWN, wanted={"x": "unlabelled"}, load=lambda name: coloured(), labels=LABELS)
