"""Two gloo processes on the processor see, together, what one process sees, and reach its loss."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import small
import torch

from phispace.data.imageset import ImageSet
from phispace.training.checkpoints import load_weights
from phispace.training.table import read_table
from phispace.training.train import train

CHILD = Path(__file__).parent / "ddp_child.py"
#: Without batch normalisation, whose statistics are each process's own; gradients are averaged in another order.
SETTINGS = ("encoder.batch_norm=false", "training.drop_last=false", "method.learning_rate=0.01")
TOLERANCE = 1e-4


def launch(out: Path, *words: str, settings: Sequence[str] = SETTINGS) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    return subprocess.run(
        [sys.executable, str(CHILD), str(out), *settings, *words],
        capture_output=True, text=True, timeout=280, env={**environment, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_stopped_and_resumed_reach_the_loss_of_one(tmp_path: Path, images: ImageSet) -> None:
    alone = train(small.config(*SETTINGS), tmp_path / "alone", images=images)
    out = tmp_path / "two"
    stopped = launch(out, "--stop-at", "3")
    assert stopped.returncode == 143, stopped.stderr[-3000:]
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "interrupted"
    assert json.loads((out / "checkpoints" / "last" / "checkpoint.json").read_text())["step"] == 4
    resumed = launch(out, "--resume")
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert "0 completed" in resumed.stdout
    rows, expected = read_table(out / "metrics.csv"), read_table(alone.path / "metrics.csv")
    assert [row["step"] for row in rows] == [row["step"] for row in expected]
    for name in ("train_loss", "val_loss", "val_accuracy"):
        for row, wanted in zip(rows[1:], expected[1:], strict=True):
            assert row[name] == pytest.approx(wanted[name], abs=TOLERANCE), (name, row["epoch"])
    assert rows[2]["train_loss"] < rows[1]["train_loss"]
    weights, wanted_weights = (load_weights(path / "checkpoints" / "last") for path in (out, alone.path))
    assert all(torch.allclose(weights[name], wanted_weights[name], atol=1e-3) for name in wanted_weights)
    assert json.loads((out / "run.json").read_text())["status"] == "completed"


@pytest.mark.slow
def test_views_are_compared_over_both_processes(tmp_path: Path, images: ImageSet) -> None:
    """Without the rows of the other process each view would have half as many others, and another loss."""
    alone = train(small.compared("training.drop_last=true"), tmp_path / "alone", images=images)
    out = tmp_path / "two"
    done = launch(out, "--compared", "training.drop_last=true", settings=())
    assert done.returncode == 0, done.stderr[-3000:]
    rows, expected = read_table(out / "metrics.csv"), read_table(alone.path / "metrics.csv")
    for row, wanted in zip(rows[1:], expected[1:], strict=True):
        assert row["train_loss"] == pytest.approx(wanted["train_loss"], abs=TOLERANCE), row["epoch"]
    weights, wanted_weights = (load_weights(path / "checkpoints" / "last") for path in (out, alone.path))
    assert all(torch.allclose(weights[name], wanted_weights[name], atol=1e-3) for name in wanted_weights)
