"""As many epochs as fit into so many minutes. Nothing here depends on how fast the machine is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from pytorch_lightning.callbacks import Callback

from phispace.data.imageset import ImageSet
from phispace.errors import InputError, RunError
from phispace.methods.base import Method
from phispace.progress import Progress
from phispace.run import Run
from phispace.training.assemble import Plan, make_method, make_plan
from phispace.training.config import RunConfig, make_config
from phispace.training.minutes import Fit, fit_minutes
from phispace.training.train import train

FLOAT32 = "32-true"
PLAIN = (
    "method.batch_size=50", "training.threads=1", "training.precision=float32", "training.accelerator=cpu",
    "training.devices=1", "training.health_items=64",
)  # fmt: skip


class Heard(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


class CrashAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.max_epochs > 0 and trainer.fit_loop.total_batch_idx == self.step:
            raise RuntimeError("stands for a crash")


def ready(config: RunConfig, images: ImageSet) -> tuple[Plan, Method]:
    plan = make_plan(config, images)
    method = make_method(plan)
    return plan.in_stages(method), method


def for_minutes(minutes: float, *settings: str) -> RunConfig:
    """`small.config` names a number of epochs, which who asks for minutes does not."""
    tables = small.config(*settings).tables()
    return RunConfig.build({**tables, "training": {**tables["training"], "minutes": minutes}})


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, images: ImageSet) -> tuple[Run, list[str]]:
    heard = Heard()
    asked = for_minutes(0.04, "encoder.dropout=true", "method.schedule=cosine")
    return train(asked, tmp_path_factory.mktemp("fitted") / "run", images=images, progress=heard), heard.lines


def test_the_number_is_said_recorded_and_in_the_configuration(fitted: tuple[Run, list[str]]) -> None:
    run, lines = fitted
    chosen = run.record["choices"]
    assert chosen["minutes"] == 0.04
    assert chosen["epochs"] == run.config["method"]["epochs"] == run.record["result"]["epochs"] >= 1
    assert run.config["training"]["minutes"] is None
    assert len(chosen["step_seconds"]) == len(chosen["epoch_seconds"]) == 1
    assert 0 < chosen["step_seconds"][0] < chosen["epoch_seconds"][0]
    assert lines[0].startswith("An epoch takes about ")


def test_measuring_leaves_no_trace(tmp_path: Path, images: ImageSet, fitted: tuple[Run, list[str]]) -> None:
    """The run is the one that names the number, bit for bit."""
    run = fitted[0]
    settings = ("encoder.dropout=true", "method.schedule=cosine")
    alone = train(small.config(*settings, epochs=run.config["method"]["epochs"]), tmp_path / "alone", images=images)
    assert small.outcome(alone.path) == small.outcome(run.path)


def test_a_run_that_goes_on_uses_the_number(tmp_path: Path, images: ImageSet) -> None:
    asked = for_minutes(0.04)
    with pytest.raises(RuntimeError, match="stands for a crash"):
        train(asked, tmp_path / "cut", images=images, callbacks=[CrashAt(3)])
    number = Run.open(tmp_path / "cut").config["method"]["epochs"]
    run = train(asked, tmp_path / "cut", images=images, resume=True)
    assert run.record["result"]["epochs"] == number
    alone = train(small.config(epochs=number), tmp_path / "alone", images=images)
    assert small.outcome(run.path) == small.outcome(alone.path)
    with pytest.raises(RunError, match="minutes are for a run that begins"):
        train(for_minutes(7), tmp_path / "cut", images=images, resume=True)


def test_one_more_epoch_would_not_fit(images: ImageSet) -> None:
    plan, method = ready(small.config(), images)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    state = torch.random.get_rng_state()
    fit = fit_minutes(plan, method, FLOAT32, 5.0, time.perf_counter())
    assert fit.expected <= 300 < fit.expected + fit.epoch_seconds[0]
    assert fit.epochs > 1
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert method.pretended_step is None


def test_where_none_fits_one_is_trained(images: ImageSet) -> None:
    fit = fit_minutes(*ready(small.config(), images), FLOAT32, 1e-6, time.perf_counter())
    assert fit.epochs == 1
    assert "not even one fits into 1e-06 minutes; one is trained" in fit.sentence()


def test_steps_are_measured_at_several_places_of_the_training(images: ImageSet) -> None:
    """Images are smaller in the first half: both sides are seen, and each step is of one of them."""
    config = make_config(
        "supervised", "digits", encoder="speednet",
        settings=["encoder.widths=[4,8,8]", "method.resolutions=[[6,1],[8,1]]", *PLAIN],
    )  # fmt: skip
    plan, method = ready(config, images)
    sides: list[int] = []
    method.encoder.register_forward_pre_hook(lambda _, inputs: sides.append(inputs[0].shape[-1]))
    fit_minutes(plan, method, FLOAT32, 1.0, time.perf_counter())
    assert sides[:8] == [6, 6, 6, 6, 8, 8, 8, 8]


def test_stages_before_the_last_have_the_epochs_that_the_method_gives_them() -> None:
    few = small.few_labels()
    plan, method = ready(small.staged(), few)
    fit = fit_minutes(plan, method, FLOAT32, 5.0, time.perf_counter())
    assert len(fit.epoch_seconds) == 3
    last = fit.epochs - 4
    assert last > 1
    assert fit.expected <= 300 < fit.expected + fit.epoch_seconds[-1]
    with pytest.raises(InputError, match=r"leaves no epoch of .* Give more minutes, or make those stages shorter"):
        fit_minutes(plan, method, FLOAT32, 1e-3, time.perf_counter())


def test_the_sentence() -> None:
    one = Fit(10.0, 25, (23.4,), (0.115,), 4.0, 590.0)
    assert one.sentence() == (
        "An epoch takes about 23.4 s, measured on a few steps: 25 epochs fit into 10 minutes and take about 9.83."
    )
    assert "1 s, 2 s in each stage" in Fit(10.0, 25, (1.0, 2.0), (0.1, 0.2), 4.0, 590.0).sentence()


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        (("training.minutes=3", "method.epochs=5"), {}, r"Both 3 minutes and 5 epochs are asked for"),
        (("training.minutes=3",), {"epochs": 5}, r"Both 3 minutes and 5 epochs are asked for"),
        ((), {"epochs": 5, "training": {"minutes": 2.5}}, r"Both 2.5 minutes and 5 epochs are asked for"),
        (("training.minutes=0",), {}, r"'training.minutes' cannot be 0: input should be greater than 0"),
    ],
)
def test_minutes_and_epochs_exclude_each_other(settings: Any, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_config("supervised", "digits", settings=settings, **options)


def test_what_cannot_be_measured_is_refused(tmp_path: Path, images: ImageSet) -> None:
    passes = make_config("patch-kmeans", "digits", encoder="patch-dictionary", settings=["training.minutes=1"])
    with pytest.raises(InputError, match="not for the method 'patch-kmeans'"):
        train(passes, tmp_path / "run", images=images)
    with pytest.raises(InputError, match="Both minutes and 3 epochs"):
        train(make_config(settings=["training.minutes=1"]), tmp_path / "run", images=images, epochs=3)
    assert not (tmp_path / "run").exists()
