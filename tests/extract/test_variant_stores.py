"""Stores of changed images: of a run's layer and its baselines, kept below the run and used again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_run import digits, make_run

from phispace.data.changed import ChangedPixels
from phispace.data.imageset import ImageSet
from phispace.data.variants import make_variant
from phispace.embeddings.baselines import fit_pca, pca, pixels
from phispace.embeddings.extract import extract_run, extract_untrained
from phispace.embeddings.store import Embeddings
from phispace.embeddings.variants import variant_stores, wanted_items
from phispace.errors import InputError
from phispace.progress import Progress
from phispace.run import Run
from phispace.training.restore import load_method

IMAGES = digits(400)
LABELS = ("features @ best", "pixels", "pca", "untrained")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("variants") / "r", IMAGES, epochs=2)


def clean(run: Run) -> dict[str, Embeddings]:
    own = extract_run(run, IMAGES)["features"]
    raw = pixels(IMAGES)
    return dict(zip(LABELS, (own, raw, pca(raw, own.dim), extract_untrained(run, IMAGES)["features"]), strict=True))


def test_a_change_that_changes_nothing_gives_the_clean_vectors(run: Run) -> None:
    made = variant_stores(run, IMAGES, wanted={"mix/0": "test"}, labels=LABELS)
    for label, store in clean(run).items():
        same = made[label]["mix/0"]
        test = store.part("test")
        assert np.array_equal(same.ids, test.ids)
        assert np.array_equal(same.labels, test.labels)
        assert np.array_equal(same.column("image"), test.column("image"))
        assert same.classes == test.classes
        assert np.abs(same.vectors - test.vectors).max() < (3e-4 if label == "pixels" else 1e-6)


def test_stores_hold_what_the_encoder_makes_of_the_changed_images(run: Run) -> None:
    name = "corrupt/gaussian-noise/4"
    made = variant_stores(run, IMAGES, wanted={name: "val"}, labels=LABELS, seed=3)
    changed = make_variant(IMAGES, name, seed=3)
    val = IMAGES.where("val")
    batch = torch.from_numpy(changed.images[val]).permute(0, 3, 1, 2).float() / 255
    for label, checkpoint in (("features @ best", "best"), ("untrained", "epoch=000")):
        with torch.no_grad():
            expected = load_method(run, checkpoint).encoder(batch).numpy()
        assert np.allclose(made[label][name].vectors, expected, atol=1e-5)
    flat = batch.flatten(1).numpy()
    assert np.allclose(made["pixels"][name].vectors, flat, atol=3e-4)
    components = fit_pca(pixels(IMAGES), made["pca"][name].dim)
    assert np.allclose(made["pca"][name].vectors, (flat - components.mean) @ components.weights, atol=1e-4)
    manifest = made["untrained"][name].manifest
    assert (manifest["variant"], manifest["fingerprint"]) == (name, changed.fingerprint)


def test_the_network_is_not_loaded_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"shift/1,0": "test", "corrupt/fog/2": "test:30"}
    labels = ("features @ best", "pixels", "untrained")
    first = variant_stores(run, IMAGES, wanted=wanted, labels=labels)
    monkeypatch.setattr("phispace.training.restore.load_method", None)
    monkeypatch.setattr("phispace.embeddings.variants.pixel_rows", None)
    again = variant_stores(run, IMAGES, wanted=wanted | {"corrupt/fog/2": "test:20"}, labels=labels)
    for label in labels:
        assert np.array_equal(again[label]["shift/1,0"].vectors, first[label]["shift/1,0"].vectors)
        fewer, more = again[label]["corrupt/fog/2"], first[label]["corrupt/fog/2"]
        assert len(fewer) == 20
        assert set(fewer.ids) < set(more.ids)
        assert np.array_equal(fewer.vectors, more.vectors[np.isin(more.ids, fewer.ids)])


@pytest.mark.parametrize("what", ["pixels", "seed", "items", "damage"])
def test_other_images_seeds_or_damage_make_it_again(run: Run, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, images, more = "corrupt/impulse-noise/3", IMAGES, {}
    first = variant_stores(run, images, wanted={name: "test:25"}, labels=("features",))["features"][name]
    vectors, path = np.array(first.vectors), first.path
    if what == "pixels":
        images = replace(images, images=255 - images.images)
    elif what == "seed":
        more = {"seed": 1}
    elif what == "damage":
        assert path is not None
        with (path / "vectors.npy").open("r+b") as file:
            file.seek(-4, 2)
            file.write(b"\1\2\3\4")
    splits = "test:26" if what == "items" else "test:25"
    again = variant_stores(run, images, wanted={name: splits}, labels=("features",), **more)["features"][name]
    assert len(again) == (26 if what == "items" else 25)
    assert (what == "damage") == (again.vectors.shape == vectors.shape and np.array_equal(again.vectors, vectors))
    if what == "seed":
        assert again.path != path
        assert path is not None
        assert Embeddings.open(path)


def test_changes_that_do_not_fit_are_left_out_and_said(run: Run) -> None:
    said: list[str] = []

    class Told(Progress):
        def say(self, text: str) -> None:
            said.append(text)

    wanted = {"corrupt/saturate/1": "test", "shift/9,0": "test", "shift/1,0": "test"}
    made = variant_stores(run, IMAGES, wanted=wanted, labels=("features", "pixels"), progress=Told())
    assert [list(stores) for stores in made.values()] == [["shift/1,0"], ["shift/1,0"]]
    assert [text.split(" ")[0] for text in said] == ["corrupt/saturate/1", "shift/9,0"]
    with pytest.raises(InputError, match="There is no corruption"):
        variant_stores(run, IMAGES, wanted={"corrupt/rain/1": "test"}, labels=("pixels",))


def test_which_items() -> None:
    assert np.array_equal(wanted_items(IMAGES, "test+val"), IMAGES.where("test", "val"))
    assert np.array_equal(wanted_items(IMAGES, "test+test:5"), IMAGES.where("test"))
    few, more = (set(wanted_items(IMAGES, f"test:{n}")) for n in (10, 20))
    assert len(few) == 10
    assert few < more < set(IMAGES.where("test"))
    assert np.array_equal(wanted_items(IMAGES, "test:9999"), IMAGES.where("test"))
    shuffled = IMAGES.take(np.random.default_rng(0).permutation(len(IMAGES)))
    assert set(shuffled.ids[wanted_items(shuffled, "test:10")]) == set(IMAGES.ids[list(few)])
    # a draw at random: about every class is among 60 of them
    assert len(np.unique(IMAGES.labels[wanted_items(IMAGES, "test:60")])) >= 9
    for wrong, words in (("test:x", "SPLIT:NUMBER"), ("unlabelled", "no items of split"), ("tset", "Unknown splits")):
        with pytest.raises(InputError, match=words):
            wanted_items(IMAGES, wrong)


def watch(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many changed images are made at a time."""
    asked: list[int] = []
    real = ImageSet.__post_init__

    def watched(self: ImageSet) -> None:
        real(self)
        if isinstance(self.images, ChangedPixels):
            make = self.images._change
            self.images._change = lambda at: asked.append(len(at)) or make(at)

    monkeypatch.setattr(ImageSet, "__post_init__", watched)
    return asked


def test_memory_holds_a_block_and_not_all_images(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = watch(monkeypatch)
    monkeypatch.setattr("phispace.embeddings.baselines._BLOCK", 50)
    monkeypatch.setattr("phispace.embeddings.variants._REMEMBERED", 0)
    variant_stores(run, IMAGES, wanted={"shift/0,2": "train+val+test"}, labels=("pixels",))
    assert max(asked) <= 50
    assert sum(asked) == len(IMAGES)


def test_images_are_changed_once_for_all_stores(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = watch(monkeypatch)
    wanted = {"corrupt/elastic/2": "test", "corrupt/elastic/3": "test:10"}
    variant_stores(run, IMAGES, wanted=wanted, labels=LABELS)
    assert asked == [len(IMAGES.where("test")), 10]
    variant_stores(run, IMAGES, wanted=wanted, labels=LABELS)
    assert len(asked) == 2, "nothing is made that no store needs"
