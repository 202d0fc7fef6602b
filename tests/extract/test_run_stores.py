"""A run's stores: where they lie, when they are reused, and when they are made again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_run import digits, make_run

from phispace.embeddings.extract import embed_pixels, extract_run, extract_untrained
from phispace.embeddings.shards import merge_shards
from phispace.embeddings.store import Embeddings
from phispace.errors import InputError, RunError
from phispace.run import Run
from phispace.training.restore import load_method

IMAGES = digits(400)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "r", IMAGES, epochs=2)


def stamp(store: Embeddings) -> int:
    return (store.path / "manifest.json").stat().st_mtime_ns


def test_stores_lie_below_the_run_and_say_what_made_them(run: Run) -> None:
    stores = extract_run(run, IMAGES, ("fc1", "features"))
    for layer, store in stores.items():
        assert store.path == run.path / "embeddings" / "digits" / "epoch=002" / layer
        assert store.manifest["run"] == "r"
        assert store.manifest["checkpoint"] == "epoch=002"
        assert store.manifest["epoch"] == 2
        assert store.manifest["encoder"] == "convnet4"
        assert store.manifest["method"] == "supervised"
        assert store.manifest["prediction_classes"] == list(IMAGES.classes)
    accuracy = (stores["fc1"].column("prediction") == IMAGES.labels).mean()
    assert accuracy > 0.4, "two epochs on digits; chance is 0.1"


def test_a_matching_store_is_used_as_it_is_without_loading_the_network(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = extract_run(run, IMAGES)["features"]
    monkeypatch.setattr("phispace.training.restore.load_method", None)
    again = extract_run(run, IMAGES)["features"]
    assert stamp(again) == stamp(first)
    part = extract_run(run, IMAGES, splits=("test",))["features"]
    assert part.ids.tolist() == IMAGES.ids[IMAGES.where("test")].tolist()
    assert stamp(part) == stamp(first)


def test_asking_for_more_splits_keeps_those_that_were_there(run: Run) -> None:
    extract_run(run, IMAGES, splits=("test",))
    val = extract_run(run, IMAGES, splits=("val",))["features"]
    assert set(val.splits) == {"val"}
    assert set(Embeddings.open(val.path).splits) == {"test", "val"}
    both = stamp(val)
    assert stamp(extract_run(run, IMAGES, splits=("test", "val"))["features"]) == both
    assert set(extract_run(run, IMAGES)["features"].splits) == {"train", "val", "test"}


@pytest.mark.parametrize("change", ["labels", "split", "dtype", "damage", "precision"])
def test_what_changed_is_made_again(run: Run, change: str) -> None:
    first = extract_run(run, IMAGES)["features"]
    before, images, options = stamp(first), IMAGES, {}
    if change == "labels":
        images = replace(IMAGES, labels=np.roll(IMAGES.labels, 1))
    if change == "split":
        images = replace(IMAGES, split=np.full(len(IMAGES), "train"))
    if change == "dtype":
        options = {"dtype": "float16"}
    if change == "precision":
        options = {"precision": "bf16"}
    if change == "damage":
        with (first.path / "vectors.npy").open("r+b") as stream:
            stream.seek(500)
            stream.write(b"\x00\x01\x02\x03")
    again = extract_run(run, images, **options)["features"]
    assert stamp(again) != before
    assert again.labels.tolist() == images.labels.tolist()
    assert again.splits.tolist() == images.split.tolist()


def test_other_weights_under_the_same_name_are_noticed(run: Run, tmp_path: Path) -> None:
    before = stamp(extract_run(run, IMAGES)["features"])
    other = make_run(tmp_path / "other", IMAGES, epochs=1)
    source, target = other.path / "checkpoints" / "epoch=001", run.path / "checkpoints" / "epoch=002"
    for name in ("weights.safetensors", "checkpoint.json"):
        (target / name).write_bytes((source / name).read_bytes())
    assert stamp(extract_run(run, IMAGES)["features"]) != before


def test_the_untrained_encoder_is_the_first_checkpoint(run: Run) -> None:
    fresh = extract_untrained(run, IMAGES, splits=("test",))["features"]
    assert fresh.manifest["checkpoint"] == "epoch=000"
    assert fresh.manifest["epoch"] == 0
    trained = extract_run(run, IMAGES, splits=("test",))["features"]
    assert not np.allclose(fresh.vectors, trained.vectors)


def test_shards_of_a_run_merge_into_its_store(run: Run) -> None:
    for rank in range(2):
        extract_run(run, IMAGES, batch_size=64, shard=(rank, 2))
    merged = merge_shards(run.embeddings_path("digits", "epoch=002", "features"))
    assert merged.ids.tolist() == IMAGES.ids.tolist()
    before = stamp(merged)
    assert stamp(extract_run(run, IMAGES, batch_size=64)["features"]) == before


def test_a_finished_shard_is_not_made_twice(run: Run) -> None:
    first = extract_run(run, IMAGES, batch_size=64, shard=(0, 2))["features"]
    assert stamp(extract_run(run, IMAGES, batch_size=64, shard=(0, 2))["features"]) == stamp(first)
    other = extract_run(run, IMAGES, batch_size=64, splits=("test",), shard=(0, 2))["features"]
    assert len(other) == 64
    assert set(other.splits) == {"test"}


def test_a_few_pixels_are_embedded_as_the_stored_ones(run: Run) -> None:
    store = extract_run(run, IMAGES)["features"]
    vectors, digest = embed_pixels(run, IMAGES.images[10:13])
    np.testing.assert_allclose(vectors, store.vectors[10:13], atol=1e-5)
    assert digest == store.manifest["weights_sha256"]


def test_unknown_layer_checkpoint_or_shape(run: Run) -> None:
    with pytest.raises(InputError, match="fc9"):
        extract_run(run, IMAGES, ("fc9",))
    with pytest.raises(RunError, match="epoch=002"):
        extract_run(run, IMAGES, checkpoint="epoch=077")
    with pytest.raises(InputError, match="--size 8"):
        extract_run(run, replace(IMAGES, images=np.zeros((len(IMAGES), 9, 9, 1), np.uint8)))


def test_predictions_match_the_methods_own(run: Run) -> None:
    import torch

    store = extract_run(run, IMAGES, splits=("val",))["features"]
    method = load_method(run)
    x = torch.from_numpy(IMAGES.images[IMAGES.where("val")]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        assert store.column("prediction").tolist() == method.predict(x).argmax(1).tolist()
