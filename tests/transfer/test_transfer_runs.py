"""Runs of transfer: small checkpoints, the same after a crash, refused with other weights; from backbones and runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from pytorch_lightning.callbacks import Callback
from safetensors.torch import save_file

import phispace as ph
from phispace.api.known import known_for
from phispace.data.imageset import ImageSet
from phispace.embeddings import features
from phispace.embeddings.extract import extract, extract_run, extract_untrained
from phispace.errors import DataError, InputError
from phispace.run import Run
from phispace.training.checkpoints import WEIGHTS, tensor_names
from phispace.training.config import RunConfig
from phispace.training.restore import load_method
from phispace.training.train import train

QUIET = ("training.tensorboard=false", "training.health_items=64", "training.precision=float32", "training.threads=1")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file of pretrained weights, which here are random ones of another seed."""
    torch.manual_seed(5)
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "pretrained.safetensors")
    return tmp_path / "pretrained.safetensors"


def moved(digits: ImageSet, weights: Path, out: Path, *more: str, **options) -> Run:
    settings = (*QUIET, f"encoder.weights='{weights}'", "method.batch_size=60", *more)
    return ph.transfer("timm:test_resnet", digits, resolution=32, epochs=2, settings=settings, out=out, **options)


def size(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


class Crash(Exception):
    """Stands for a crash."""


class CrashAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.global_step == self.step:
            raise Crash


def outcome(run: Run) -> dict[str, bytes]:
    place = run.path / "checkpoints" / "last" / WEIGHTS
    return {"weights": place.read_bytes(), "metrics": (run.path / "metrics.csv").read_bytes()}


def test_a_frozen_backbone_is_referred_to_and_not_copied(digits, weights, tmp_path):
    run = moved(digits, weights, tmp_path / "run", freeze="all")
    network = timm.create_model("test_resnet", num_classes=0)
    for place in run.checkpoints():
        assert size(place) < 0.1 * weights.stat().st_size
        assert all(name.startswith(("head.", "encoder.stages.normalise")) for name in tensor_names(place / WEIGHTS))
        told = json.loads((place / "checkpoint.json").read_text())["borrowed"]
        assert told["tensors"] == len(network.state_dict())
    assert run.record["encoder"]["weights"]["name"] == "pretrained.safetensors"
    assert len(run.record["encoder"]["weights"]["sha256"]) == 64
    assert run.record["method"]["frozen"]["parameters"] == sum(p.numel() for p in network.parameters())
    method = load_method(run)
    pretrained = load_weights_of(weights)
    for name, tensor in method.encoder.network.state_dict().items():
        assert torch.equal(tensor, pretrained[name])


def load_weights_of(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def test_what_is_trained_is_kept_and_the_rest_borrowed(digits, weights, tmp_path):
    run = moved(digits, weights, tmp_path / "run", freeze="until:layer2")
    names = set(tensor_names(run.checkpoint("last") / WEIGHTS))
    prefix = "encoder.stages.features."
    assert f"{prefix}layer3.0.conv1.weight" in names
    assert not any(
        n.startswith((f"{prefix}conv1", f"{prefix}bn1", f"{prefix}layer1", f"{prefix}layer2")) for n in names
    )
    fresh = load_weights_of(weights)
    state = load_method(run, "last").encoder.network.state_dict()
    assert torch.equal(state["layer2.0.bn1.running_mean"], fresh["layer2.0.bn1.running_mean"])
    assert not torch.equal(state["layer3.0.bn1.running_mean"], fresh["layer3.0.bn1.running_mean"])


def test_other_weights_under_the_same_name_are_noticed(digits, weights, tmp_path):
    run = moved(digits, weights, tmp_path / "run", freeze="all")
    torch.manual_seed(6)
    save_file(timm.create_model("test_resnet").state_dict(), weights)
    with pytest.raises(DataError, match="not those that the run was trained with"):
        load_method(run)
    with pytest.raises(DataError, match="not those that the run was trained with"):
        ph.transfer(run, digits, out=tmp_path / "second", settings=QUIET)


def test_a_run_that_was_trained_whole_needs_its_file_no_more(digits, weights, tmp_path):
    run = moved(digits, weights, tmp_path / "run", freeze="none")
    weights.unlink()
    store = extract_run(run, digits, splits=("test",))["features"]
    assert len(store) == 100
    second = ph.transfer(run, digits, epochs=1, out=tmp_path / "second", settings=QUIET)
    told = second.record["encoder"]["weights"]
    assert (told["kind"], told["name"]) == ("run", f"run/{second.record['began_with']['checkpoint']}")
    load_method(second)


@pytest.mark.parametrize(
    ("freeze", "more", "steps"),
    [
        ("all", (), (3, 7)),
        ("until:layer2", (), (3,)),
        ("conv1", ("method.probe_epochs=1", "method.dropout=0.2"), (2, 5, 6)),  # in the first turn, at its end, after
    ],
)
def test_a_crash_is_not_seen_afterwards(digits, weights, tmp_path, freeze, more, steps):
    alone = moved(digits, weights, tmp_path / "alone", *more, freeze=freeze)
    tables = RunConfig.build(alone.config).tables()
    often = RunConfig.build({**tables, "training": {**tables["training"], "checkpoint_steps": 1}})
    for step in steps:
        path = tmp_path / f"cut{step}"
        with pytest.raises(Crash):
            train(often, path, images=digits, callbacks=[CrashAt(step)], look_up=known_for)
        run = ph.train(images=digits, out=path, resume=True)
        assert outcome(run) == outcome(alone), f"cut at step {step}"


def test_known_features_give_what_computing_them_at_each_step_gives(digits, weights, tmp_path):
    known = moved(digits, weights, tmp_path / "known", freeze="all")
    assert known.record["choices"]["features"]["precision"] == "float32"
    assert known.record["choices"]["precision"] == "32-true"
    computed = moved(digits, weights, tmp_path / "computed", "training.cache_features=false", freeze="all")
    assert "features" not in computed.record["choices"]
    a, b = (load_method(run, "last").head.state_dict() for run in (known, computed))
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-4)
    assert known.record["health"] == computed.record["health"]


def test_augmented_images_are_not_looked_up(digits, weights, tmp_path):
    run = moved(digits, weights, tmp_path / "run", "method.views=shift-rotate", freeze="all")
    assert "features" not in run.record["choices"]


def test_a_frozen_runs_stores_come_from_the_cache_with_its_predictions(digits, weights, tmp_path, monkeypatch):
    run = moved(digits, weights, tmp_path / "run", freeze="all")
    method = load_method(run)
    plain = extract(method.encoder, digits, predict=method.predict, precision="float32")["features"]
    monkeypatch.setattr(features, "extract", None)  # nothing goes through the network again
    found = extract_run(run, digits)["features"]
    assert np.array_equal(found.vectors, plain.vectors)
    assert np.array_equal(found.column("prediction"), plain.column("prediction"))
    np.testing.assert_allclose(found.column("confidence"), plain.column("confidence"), rtol=1e-4)
    part = extract_run(run, digits, splits=("test",), checkpoint="last")["features"]
    assert set(part.splits) == {"test"}
    assert part.manifest["checkpoint"].startswith("last") or part.manifest["epoch"] == 2


def test_untrained_means_drawn_weights_not_pretrained_ones(digits, weights, tmp_path):
    run = moved(digits, weights, tmp_path / "run", freeze="all")
    pretrained = extract_run(run, digits, splits=("test",))["features"].vectors
    random = extract_untrained(run, digits, splits=("test",))["features"]
    assert random.vectors.shape == pretrained.shape
    assert np.abs(random.vectors - pretrained).max() > 0.01
    assert random.manifest["checkpoint"] == "random"


def test_from_a_run_to_other_images(digits, tmp_path):
    first = ph.train(
        "transfer", digits, encoder="vgg4", epochs=2, out=tmp_path / "first",
        settings=(*QUIET, "encoder.width=4", "encoder.dropout=0.25", "method.dense=[16]"),
    )  # fmt: skip
    second = ph.transfer(f"{first.path}@last", digits, head=(8,), epochs=2, out=tmp_path / "second", settings=QUIET)
    assert second.config["encoder"] == {**first.config["encoder"], "start": f"{first.path}@last"}
    assert second.config["method"]["freeze"] == "all"
    assert second.record["began_with"]["id"] == first.record["id"]
    a, b = (load_method(run, "last").encoder.state_dict() for run in (first, second))
    assert all(torch.equal(a[name], b[name]) for name in a), "frozen"
    assert second.record["choices"]["features"]
    first_vectors = extract_run(first, digits, checkpoint="last")["features"].vectors
    np.testing.assert_allclose(extract_run(second, digits)["features"].vectors, first_vectors, rtol=1e-4, atol=1e-5)
    assert "borrowed" not in json.loads((second.checkpoint("last") / "checkpoint.json").read_text())


def test_turns_end_to_end(digits, weights, tmp_path):
    run = moved(
        digits, weights, tmp_path / "run", freeze="conv1,bn1", probe_epochs=1, layer_decay=0.5, optimizer="rmsprop",
        learning_rate=1e-4,
    )  # fmt: skip
    assert [stage["name"] for stage in run.record["stages"]] == ["head", "all"]
    state, fresh = load_method(run, "last").encoder.network.state_dict(), load_weights_of(weights)
    assert torch.equal(state["conv1.0.weight"], fresh["conv1.0.weight"])
    assert not torch.equal(state["layer1.0.conv1.weight"], fresh["layer1.0.conv1.weight"])


def test_sources_that_are_none_are_refused(digits, tmp_path):
    with pytest.raises(InputError, match="no encoder named 'resnot'"):
        ph.transfer("resnot", digits, out=tmp_path / "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is no run"):
        ph.transfer(str(tmp_path / "folder"), digits, out=tmp_path / "x")
    with pytest.raises(InputError, match="'nowhere' is no part of the encoder"):
        ph.transfer("convnet4", digits, freeze="nowhere", out=tmp_path / "x", settings=QUIET)
    assert not (tmp_path / "x" / "run.json").exists()


def test_the_command(tmp_path, weights, monkeypatch):
    from typer.testing import CliRunner

    from phispace import cli

    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(
        cli.app,
        ["transfer", "timm:test_resnet", "--images", "digits", "--freeze", "but-last:4", "--resolution", "32", "--head",
         "16", "--dropout", "0.2", "--optimizer", "sgd", "--learning-rate", "0.01", "--batch-size", "200", "--epochs",
         "1", "--set", f"encoder.weights='{weights}'", "--precision", "float32", "--threads", "1", "--quiet", "--out",
         "run"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "frozen: " in done.stdout
    method = Run.open(tmp_path / "run").config["method"]
    assert (method["dense"], method["dropout"], method["optimizer"], method["batch_size"]) == ([16], 0.2, "sgd", 200)
    wrong = CliRunner().invoke(cli.app, ["transfer", "convnet4", "--head", "a,b"])
    assert isinstance(wrong.exception, InputError)
