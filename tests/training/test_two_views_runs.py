"""Runs of methods that compare two views: how a teacher begins, which images are seen, which checkpoint is best."""

from __future__ import annotations

from pathlib import Path

import pytest
import small
import torch

from phispace.data.imageset import ImageSet
from phispace.training.checkpoints import UNTRAINED, load_weights
from phispace.training.config import RunConfig, make_config
from phispace.training.table import read_table
from phispace.training.train import train


def config(method: str, *settings: str, encoder: str = "mlp") -> RunConfig:
    common = (
        "method.batch_size=50", "method.views='crop(flip=0.0)'", "training.threads=1", "training.precision=float32",
        "training.accelerator=cpu", "training.devices=1", "training.tensorboard=false", "training.health_items=64",
    )  # fmt: skip
    return make_config(method, "digits", encoder=encoder, epochs=2, settings=(*common, *settings))


def test_a_teacher_begins_as_the_network_with_what_was_measured_on_the_images(tmp_path: Path, images: ImageSet) -> None:
    run = train(config("byol", "encoder.widths=[8,16]", encoder="speednet"), tmp_path / "run", images=images)
    weights = load_weights(run.path / "checkpoints" / UNTRAINED)
    shared = [name for name in weights if name.startswith(("encoder.", "projector."))]
    assert any("whiten" in name for name in shared)
    for name in shared:
        assert torch.equal(weights[name], weights[f"teacher.{name}"]), name
    trained = load_weights(run.path / "checkpoints" / "last")
    assert any(not torch.equal(trained[name], trained[f"teacher.{name}"]) for name in shared)
    assert run.record["best_checkpoint"] is None
    assert run.checkpoint("best").name == "last"


@pytest.mark.parametrize(("unlabelled", "seen"), [("leave-out", 130), ("own-class", 400)])
def test_images_without_a_label_are_seen_where_they_are_classes_of_their_own(
    tmp_path: Path, unlabelled: str, seen: int
) -> None:
    asked = config("supcon", "encoder.hidden=[16]", f"method.unlabelled={unlabelled}")
    run = train(asked, tmp_path / "run", images=small.few_labels())
    assert [row["images_seen"] for row in read_table(run.path / "metrics.csv")] == [0, seen, 2 * seen]
