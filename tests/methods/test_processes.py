"""Two gloo processes, each with half of a batch, have the loss and the gradient of one process with the whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gloo_child
import pairs
import pytest
import torch

from phispace.methods.processes import mean_over_all, process_count, rows_of_all

CHILD = Path(gloo_child.__file__)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, torch.Tensor]]:
    out = tmp_path_factory.mktemp("gloo")
    words = [sys.executable, str(CHILD)]
    started = [
        subprocess.Popen([*words, str(rank), str(out / "store"), str(out)], stderr=subprocess.PIPE, text=True)
        for rank in range(gloo_child.WORLD)
    ]
    for process in started:
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said[-3000:]
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(gloo_child.WORLD)]


@pytest.mark.slow
@pytest.mark.parametrize("name", gloo_child.LOSSES)
def test_loss_and_gradient_are_those_of_one_process(found, name):
    first, second, matrix = gloo_child.whole()
    wanted = gloo_child.LOSSES[name](first @ matrix, second @ matrix, gloo_child.LABELS, False)
    wanted.backward()
    for ours in found:
        assert float(ours[name]) == pytest.approx(float(wanted.detach()), abs=pairs.TOLERANCE)
        torch.testing.assert_close(ours[f"{name} gradient"], matrix.grad, atol=pairs.TOLERANCE, rtol=0)


@pytest.mark.slow
def test_rows_come_in_the_order_of_the_processes(found):
    for ours in found:
        assert ours["rows"].tolist() == [[0.0] * 3] * 2 + [[1.0] * 3] * 2


def test_alone_nothing_is_sent():
    rows = torch.randn(3, 2)
    assert process_count() == 1
    assert rows_of_all(rows) is rows
    assert torch.equal(mean_over_all(rows), rows)
