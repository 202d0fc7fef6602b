"""Extraction: what is stored is what the network gives, in order, whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_run import digits

from phispace.data.imageset import ImageSet
from phispace.embeddings.extract import extract, weights_digest
from phispace.embeddings.store import Embeddings, is_store
from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.build import build_encoder
from phispace.errors import DataError, InputError, StorageError

IMAGES = digits(230)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return build_encoder("convnet4", 1, 8, width=4, dense=16).eval()


def floats(images: ImageSet) -> torch.Tensor:
    return torch.from_numpy(images.images).permute(0, 3, 1, 2).float() / 255


def test_every_layer_is_what_the_encoder_gives(encoder: Encoder) -> None:
    stores = extract(encoder, IMAGES, encoder.layers, batch_size=64)
    encoder.eval()
    with torch.no_grad():
        for layer in encoder.layers:
            expected = encoder(floats(IMAGES), layer).flatten(1).numpy()
            np.testing.assert_allclose(stores[layer].vectors, expected, atol=1e-5)
            assert stores[layer].manifest["feature_shape"] == list(encoder.shapes()[layer])
            assert stores[layer].dim == np.prod(stores[layer].manifest["feature_shape"])


def test_maps_are_flattened_channels_first(encoder: Encoder) -> None:
    store = extract(encoder, IMAGES, ("block1",))["block1"]
    maps = np.asarray(store.vectors).reshape(len(IMAGES), *store.manifest["feature_shape"])
    with torch.no_grad():
        expected = encoder.eval()(floats(IMAGES), "block1").numpy()
    np.testing.assert_allclose(maps, expected, atol=1e-5)


def test_items_follow_the_set_and_the_manifest_says_whence(encoder: Encoder, tmp_path: Path) -> None:
    store = extract(encoder, IMAGES, out=tmp_path / "s", manifest={"run": "r1"})["features"]
    again = Embeddings.open(tmp_path / "s")
    assert again.ids.tolist() == IMAGES.ids.tolist()
    assert again.labels.tolist() == IMAGES.labels.tolist()
    assert again.splits.tolist() == IMAGES.split.tolist()
    assert again.column("image").tolist() == list(range(len(IMAGES)))
    expected = {"images": "digits", "fingerprint": IMAGES.fingerprint, "layer": "features", "run": "r1"}
    assert {k: again.manifest[k] for k in expected} == expected
    assert again.manifest["weights_sha256"] == weights_digest(encoder)
    assert again.manifest["n_parameters"] == sum(p.numel() for p in encoder.parameters())
    assert again.classes == IMAGES.classes
    assert isinstance(store.vectors, np.memmap)


def test_splits_choose_the_items_and_keep_their_order(encoder: Encoder) -> None:
    store = extract(encoder, IMAGES, splits=("test", "val"))["features"]
    where = IMAGES.where("test", "val")
    assert store.ids.tolist() == IMAGES.ids[where].tolist()
    assert store.column("image").tolist() == where.tolist()
    whole = extract(encoder, IMAGES)["features"]
    np.testing.assert_allclose(store.vectors, whole.vectors[where], atol=1e-6)


def test_the_encoder_comes_back_in_the_mode_it_was_in(encoder: Encoder) -> None:
    encoder.train()
    frozen = encoder.stages["block1"]
    frozen.eval()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    extract(encoder, IMAGES)
    assert encoder.training
    assert not frozen.training
    assert encoder.stages["block2"].training
    assert all(torch.equal(before[k], v) for k, v in encoder.state_dict().items()), "statistics moved"
    encoder.eval()


def test_predictions_are_the_softmax_of_the_logits_and_share_the_pass(encoder: Encoder) -> None:
    torch.manual_seed(1)
    head = torch.nn.Linear(16, 10)
    passes = []
    hook = encoder.stages["conv1"].register_forward_hook(lambda *_: passes.append(1))
    try:
        with torch.no_grad():
            store = extract(encoder, IMAGES, ("fc1",), batch_size=100, predict=lambda x: head(encoder(x)))["fc1"]
    finally:
        hook.remove()
    assert len(passes) == 3 + 1, "three batches and the measurement of the shapes; none for the prediction"
    assert "taps" not in encoder.__dict__
    with torch.no_grad():
        expected = head(encoder(floats(IMAGES))).softmax(1).numpy()
    assert store.column("prediction").tolist() == expected.argmax(1).tolist()
    np.testing.assert_allclose(store.column("confidence"), expected.max(1), atol=1e-5)


def test_a_prediction_from_other_images_runs_the_network_anew(encoder: Encoder) -> None:
    store = extract(encoder, IMAGES, predict=lambda x: encoder(x.flip(-1)))["features"]
    with torch.no_grad():
        expected = encoder(floats(IMAGES).flip(-1)).argmax(1)
    assert store.column("prediction").tolist() == expected.tolist()


def test_no_prediction_no_columns(encoder: Encoder) -> None:
    store = extract(encoder, IMAGES, predict=lambda x: None)["features"]
    assert store.column("prediction") is None


def test_known_factors_become_columns(encoder: Encoder) -> None:
    factors = np.random.default_rng(0).random((len(IMAGES), 2))
    images = replace(IMAGES, factors=factors, factor_names=("scale", "x"))
    store = extract(encoder, images, splits=("val",))["features"]
    np.testing.assert_array_equal(store.column("factor_x"), factors[images.where("val"), 1])


def test_half_precision_halves_the_store_and_agrees(encoder: Encoder, tmp_path: Path) -> None:
    full = extract(encoder, IMAGES, out=tmp_path / "32")["features"]
    half = extract(encoder, IMAGES, out=tmp_path / "16", dtype="float16")["features"]
    assert half.vectors.dtype == np.float16
    assert half.manifest["bytes"] < 0.55 * full.manifest["bytes"]
    np.testing.assert_array_equal(half.vectors, full.vectors.astype(np.float16))


def test_bf16_only_on_request_here_and_states_its_agreement(encoder: Encoder) -> None:
    auto = extract(encoder, IMAGES)["features"]
    assert auto.manifest["precision"] == "float32"
    assert "bf16_agreement" not in auto.manifest
    coarse = extract(encoder, IMAGES, precision="bf16")["features"]
    assert coarse.manifest["precision"] == "bf16"
    agreement = coarse.manifest["bf16_agreement"]
    a, b = np.asarray(auto.vectors, float), np.asarray(coarse.vectors, float)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert agreement["min_cosine"] <= agreement["mean_cosine"] <= 1 + 1e-9
    assert agreement["mean_cosine"] == pytest.approx(cosine.mean(), abs=1e-4)
    assert not np.array_equal(auto.vectors, coarse.vectors)


def test_several_layers_go_below_one_folder_or_where_a_function_says(encoder: Encoder, tmp_path: Path) -> None:
    extract(encoder, IMAGES, ("fc1", "features"), out=tmp_path / "a")
    assert is_store(tmp_path / "a" / "fc1")
    assert is_store(tmp_path / "a" / "features")
    extract(encoder, IMAGES, ("fc1", "features"), out=lambda layer: tmp_path / "b" / f"x-{layer}")
    assert is_store(tmp_path / "b" / "x-fc1")
    with pytest.raises(InputError, match="different stores"):
        extract(encoder, IMAGES, ("fc1", "features"), out=lambda layer: tmp_path / "c")


def test_an_older_store_is_replaced_anything_else_is_not(encoder: Encoder, tmp_path: Path) -> None:
    extract(encoder, IMAGES, splits=("val",), out=tmp_path / "s")
    assert len(extract(encoder, IMAGES, out=tmp_path / "s")["features"]) == len(IMAGES)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not touch")
    with pytest.raises(InputError, match="not an embeddings store"):
        extract(encoder, IMAGES, out=tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "do not touch"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": ("fc9",)}, "no layer 'fc9'"),
        ({"layers": ()}, "at least one layer"),
        ({"batch_size": 0}, "at least 1"),
        ({"dtype": "float64"}, "float32 or float16"),
        ({"precision": "int8"}, "int8"),
        ({"splits": ("unlabelled",)}, "no images in unlabelled"),
        ({"splits": ("tset",)}, "tset"),
        ({"shard": (2, 2)}, "rank, world"),
        ({"shard": (0, 2)}, "give `out`"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(encoder: Encoder, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        extract(encoder, IMAGES, **change)


def test_images_of_another_shape_say_how_to_load_them(encoder: Encoder) -> None:
    big = replace(IMAGES, images=np.zeros((len(IMAGES), 16, 16, 1), np.uint8))
    with pytest.raises(InputError, match=r"\(1, 8, 8\).*\(1, 16, 16\).*--size 8"):
        extract(encoder, big)
    colour = replace(IMAGES, images=np.zeros((len(IMAGES), 8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="in grey"):
        extract(encoder, colour)


class Overflowing(Encoder):
    """Gives what its last pixel says, times a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__(1, 8)
        self.stages["normalise"] = Normalise(1)
        self.factor = factor

    @property
    def layers(self) -> tuple[str, ...]:
        return ("features",)

    def _taps(self, x, layers):
        return {"features": x.flatten(1)[:, -8:] * self.factor}


def test_values_that_are_not_finite_name_the_image_and_leave_nothing(tmp_path: Path) -> None:
    images = replace(IMAGES, images=np.zeros_like(IMAGES.images))
    images.images[77] = 255
    with pytest.raises(DataError, match="digits/0077"):
        extract(Overflowing(float("inf")).eval(), images.take(np.array([77])), out=tmp_path / "s")
    with pytest.raises(DataError, match=r"digits/0077.*float16.*65504"):
        extract(Overflowing(1e6), images, out=tmp_path / "s", dtype="float16", batch_size=50)
    assert list(tmp_path.iterdir()) == []
    extract(Overflowing(1e6), images, out=tmp_path / "s", batch_size=50)
    assert is_store(tmp_path / "s")


def test_a_full_disk_leaves_the_old_store_whole(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(encoder, IMAGES, splits=("val",), out=tmp_path / "s")
    before = Embeddings.open(tmp_path / "s").digest

    def full(self, vectors):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("phispace.embeddings.writer.StoreWriter.append", full)
    with pytest.raises(StorageError, match="full"):
        extract(encoder, IMAGES, out=tmp_path / "s")
    assert Embeddings.open(tmp_path / "s").digest == before
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_training_images_are_predicted_from_one_pass_where_prediction_averages() -> None:
    torch.manual_seed(2)
    network, head = build_encoder("convnet4", 1, 8, width=4, dense=16).eval(), torch.nn.Linear(16, 10)
    seen: list[int] = []

    def averaged(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return head(network(x)) + head(network(x.flip(-1)))

    def once(x: torch.Tensor) -> torch.Tensor:
        return head(network(x))

    with torch.no_grad():
        store = extract(network, IMAGES, batch_size=50, predict=averaged, predict_once=once)["features"]
        x = floats(IMAGES)
        train = torch.from_numpy(store.splits == "train")[:, None]
        expected = torch.where(train, once(x), averaged(x)).softmax(1)
    assert sum(seen[:-1]) == int((store.splits != "train").sum())
    assert store.column("prediction").tolist() == expected.argmax(1).tolist()
    np.testing.assert_allclose(store.column("confidence"), expected.max(1).values.numpy(), atol=1e-5)
