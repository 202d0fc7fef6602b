"""Collapse is named in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small
import torch

from phispace.data.batches import gather
from phispace.data.imageset import ImageSet
from phispace.data.views.named import make_views
from phispace.metrics.collapse import judge
from phispace.randomness import torch_rng
from phispace.run import Run
from phispace.training.assemble import make_method, make_plan
from phispace.training.config import make_config
from phispace.training.health import Health, judge_found, measure, measure_alignment
from phispace.training.table import read_table
from phispace.training.train import train


def test_a_collapsed_encoder_is_called_so(images: ImageSet) -> None:
    plan = make_plan(small.config(), images)
    method, health = make_method(plan).eval(), Health(plan)
    alive = measure(method, images, health.train, health.val)
    assert judge_found(alive, 16).words.startswith("No sign of collapse")
    with torch.no_grad():
        for parameter in method.encoder.stages["fc1"].parameters():
            parameter.mul_(1e-12)
        for parameter in method.encoder.stages["features"].parameters():
            parameter.fill_(1.0)
    flat = measure(method, images, health.train, health.val)
    assert judge_found(flat, 16).words.startswith("Collapsed")
    assert flat["health_std"] < 0.01 < alive["health_std"]
    assert flat["health_uniformity"] == pytest.approx(0, abs=1e-3)


def test_the_words_are_those_of_the_evaluation() -> None:
    found = {"health_std": 0.9, "health_effective_rank": 300.0, "health_centred_rank": 5.0}
    assert judge_found(found, 512).words == judge(0.9, 5.0, 512).words


def test_the_verdict_is_in_the_record_and_the_numbers_in_the_metrics(finished: Run) -> None:
    assert finished.record["health"].startswith(("No sign of collapse", "The vectors vary in about"))
    rows = read_table(finished.path / "metrics.csv")
    assert all(1 <= row["health_effective_rank"] <= 16 for row in rows)
    assert rows[2]["health_knn"] > 0.3


def test_measuring_leaves_batch_statistics_alone(images: ImageSet) -> None:
    plan = make_plan(small.config(), images)
    method, health = make_method(plan).train(), Health(plan)
    before = {name: buffer.clone() for name, buffer in method.named_buffers()}
    measure(method, images, health.train, health.val)
    assert all(torch.equal(buffer, before[name]) for name, buffer in method.named_buffers())
    assert all(module.training for module in method.modules())


def test_health_can_be_rare_or_off(tmp_path: Path, images: ImageSet) -> None:
    rare = train(small.config("training.health_every=2", epochs=3), tmp_path / "rare", images=images)
    measured = [row["epoch"] for row in read_table(rare.path / "metrics.csv") if "health_std" in row]
    assert measured == [0, 2, 3]
    off = train(small.config("training.health_every=0", epochs=1), tmp_path / "off", images=images)
    assert not any("health_std" in row for row in read_table(off.path / "metrics.csv"))
    assert off.record["health"] is None


def test_without_labels_there_is_no_knn(images: ImageSet) -> None:
    from dataclasses import replace

    plan = make_plan(small.config(), images)
    blind = replace(images, labels=np.full(len(images), -1))
    health = Health(plan)
    assert "health_knn" not in measure(make_method(plan).eval(), blind, health.train, health.val)


def test_a_method_that_compares_views_has_its_collapse_named_in_the_record(tmp_path: Path) -> None:
    """SimSiam without its stopped gradient; the encoder's own features still vary in many directions."""
    settings = (
        "encoder.width=8", "encoder.dense=64", "method.projector_hidden=64", "method.projection=64",
        "method.stop_gradient=false", "method.optimizer=adamw", "method.learning_rate=0.01", "method.batch_size=40",
        "method.views='crop(flip=0.0)'", "training.threads=1", "training.precision=float32", "training.accelerator=cpu",
        "training.devices=1", "training.tensorboard=false", "training.health_every=24",
    )  # fmt: skip
    config = make_config("simsiam", "digits", encoder="convnet4", epochs=24, settings=settings)
    run = train(config, tmp_path / "run", images=small.digits())
    last = read_table(run.path / "metrics.csv")[-1]
    assert "have collapsed to few directions" in run.record["health"], last
    assert last["health_projection_rank"] < 3.2
    assert 0 < last["health_alignment"] < 2
    assert last["health_centred_rank"] > 6.4


def test_the_images_are_fixed_and_none_is_of_the_test_split(images: ImageSet) -> None:
    plan = make_plan(small.config(), images)
    health, again = Health(plan), Health(plan)
    assert set(images.split[health.train]) == {"train"}
    assert set(images.split[health.val]) == {"val"}
    assert np.array_equal(health.train, again.train)
    assert np.array_equal(health.val, again.val)


def test_alignment_is_the_mean_squared_distance_of_two_views(images: ImageSet) -> None:
    plan = make_plan(small.config(), images)
    method, index = make_method(plan).train(), Health(plan).train[::2]
    views = make_views("simclr", 2, 8)
    before = {name: buffer.clone() for name, buffer in method.named_buffers()}
    found = measure_alignment(method, images, index, views, seed=3)
    assert found == measure_alignment(method, images, index, views, seed=3)
    assert found != measure_alignment(method, images, index, views, seed=4)
    assert all(torch.equal(buffer, before[name]) for name, buffer in method.named_buffers())
    method.eval()
    pixels = gather(images.images, index)
    with torch.no_grad():
        one, two = (
            torch.nn.functional.normalize(
                method.encoder(v(pixels, torch_rng(3, "health-views", k))).double().flatten(1)
            )
            for k, v in enumerate(views)
        )
    assert found == pytest.approx(float((one - two).square().sum(1).mean()), abs=1e-6)
    assert measure_alignment(method, images, index, make_views("none", 2, 8), seed=3) == 0
