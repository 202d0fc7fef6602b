"""Training that is stopped at a collapse: a real one, by a decay of the weights that grows over the epochs."""

from __future__ import annotations

from pathlib import Path

import pytest
import small
import torch
from pytorch_lightning.callbacks import Callback

from phispace.data.imageset import ImageSet
from phispace.errors import CollapsedError, InputError
from phispace.progress import Progress
from phispace.run import Run
from phispace.training.table import read_table
from phispace.training.train import train

COLLAPSING = (
    "method.optimizer=adamw", "method.learning_rate=0.01", "method.weight_decay=30", "method.schedule=triangular",
    "method.warmup=0.99",
)  # fmt: skip
STOP = "training.stop_on_collapse=true"


class Heard(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def named(run: Path) -> list[str]:
    return sorted(p.name.partition("-")[0] for p in (run / "checkpoints").glob("epoch=*"))


def test_a_collapse_stops_with_a_sentence_and_keeps_the_weights_before_it(tmp_path: Path, images: ImageSet) -> None:
    heard = Heard()
    with pytest.raises(CollapsedError, match=r"After epoch 4 \(step 32\) .* kept in epoch=002-val_loss") as caught:
        train(small.config(*COLLAPSING, STOP, epochs=8), tmp_path / "run", images=images, progress=heard)
    assert caught.value.exit_code == 8
    run = Run.open(tmp_path / "run")
    assert run.record["status"] == "collapsed"
    assert run.record["health"].startswith("Collapsed: nearly all images have the same direction")
    assert [line for line in heard.lines if line.startswith("After epoch 3: Collapsed")]
    spread = [row["health_std"] for row in read_table(run.path / "metrics.csv")]
    assert spread[2] > 0.1 > 0.02 > spread[3]
    assert named(run.path) == ["epoch=000", "epoch=001", "epoch=002"]  # 1 has the lowest loss, 2 was the last alive
    assert run.record["best_checkpoint"].startswith("epoch=001")


def test_without_being_asked_it_goes_on_and_says_so(tmp_path: Path, images: ImageSet) -> None:
    heard = Heard()
    run = train(small.config(*COLLAPSING, epochs=4), tmp_path / "run", images=images, progress=heard)
    assert run.record["status"] == "completed"
    assert len([line for line in heard.lines if line.startswith("After epoch")]) == 1
    assert run.record["health"].startswith("Collapsed")


def test_only_the_newest_of_those_kept_for_this_stays(tmp_path: Path, images: ImageSet) -> None:
    """Where nothing collapses: the last epoch's, beside those that the policy keeps, and the same with a cut."""
    settings = ("training.checkpoints=last", STOP, "training.health_every=2")
    run = train(small.config(*settings, epochs=5), tmp_path / "run", images=images)
    assert named(run.path) == ["epoch=000", "epoch=005"]
    assert run.record["best_checkpoint"] is None

    class Cut(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):  # type: ignore[no-untyped-def]
            if trainer.fit_loop.total_batch_idx == 27:
                raise RuntimeError("stands for a crash")

    with pytest.raises(RuntimeError):
        train(small.config(*settings, epochs=5), tmp_path / "cut", images=images, callbacks=[Cut()])
    assert named(tmp_path / "cut") == ["epoch=000", "epoch=002"]
    again = train(None, tmp_path / "cut", images=images, resume=True)
    assert small.outcome(again.path) == small.outcome(run.path)


def test_a_stopped_run_can_go_on_without_the_stop(tmp_path: Path, images: ImageSet) -> None:
    with pytest.raises(CollapsedError):
        train(small.config(*COLLAPSING, STOP, epochs=5), tmp_path / "run", images=images)
    run = train(small.config(*COLLAPSING, epochs=5), tmp_path / "run", images=images, resume=True)
    assert run.record["status"] == "completed"
    alone = train(small.config(*COLLAPSING, epochs=5), tmp_path / "alone", images=images)
    assert (run.path / "metrics.csv").read_bytes() == (alone.path / "metrics.csv").read_bytes()


def test_a_collapse_that_passes_is_forgiven(tmp_path: Path, images: ImageSet) -> None:
    """A single measurement of weights that were taken to nothing and given back."""
    kept: dict[str, torch.Tensor] = {}

    class Passing(Callback):
        def on_validation_end(self, trainer, pl_module):  # type: ignore[no-untyped-def]
            if trainer.current_epoch == 1 and not trainer.sanity_checking:
                norm = pl_module.encoder.stages["features"][0]
                kept.update({name: tensor.clone() for name, tensor in norm.state_dict().items()})
                torch.nn.init.zeros_(norm.weight)
                torch.nn.init.ones_(norm.bias)

        def on_train_epoch_start(self, trainer, pl_module):  # type: ignore[no-untyped-def]
            if trainer.current_epoch == 2:
                pl_module.encoder.stages["features"][0].load_state_dict(kept)

    heard = Heard()
    run = train(small.config(STOP, epochs=4), tmp_path / "run", images=images, callbacks=[Passing()], progress=heard)
    said = [line.partition(".")[0] for line in heard.lines if line.startswith("After epoch")]
    assert [line.partition(":")[0] for line in said] == ["After epoch 2", "After epoch 3"]
    assert "ollapsed" in said[0]
    assert run.record["status"] == "completed"


def test_it_needs_measurements(tmp_path: Path, images: ImageSet) -> None:
    with pytest.raises(InputError, match="health_every is 0; make it 1"):
        train(small.config(STOP, "training.health_every=0"), tmp_path / "run", images=images)
    assert not (tmp_path / "run").exists()
