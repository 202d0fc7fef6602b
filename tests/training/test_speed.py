"""Threads, denormals, the allocator; and the choice of precision."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import small
import torch

from phispace.data.imageset import ImageSet
from phispace.denormals import denormals_are_flushed
from phispace.provenance import cpu_flags
from phispace.training import precision, speed
from phispace.training.assemble import make_method, make_plan, train_loader
from phispace.training.train import train

DENORMALS = """
import torch
from phispace.denormals import flush_denormals
torch.set_num_threads(2)
tiny = torch.full((2_000_000,), 1e-40)
before = int((tiny * 0.5).count_nonzero())   # starts the workers
flush_denormals()
print(before, int((tiny * 0.5).count_nonzero()))
"""


@pytest.mark.skipif(not torch.set_flush_denormal(False), reason="torch cannot flush denormals on this processor")
def test_denormals_are_flushed_in_workers_that_run_already() -> None:
    done = subprocess.run([sys.executable, "-c", DENORMALS], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2000000", "0"]


def test_the_process_is_fast_inside_and_as_it_was_outside() -> None:
    before = torch.get_num_threads(), denormals_are_flushed()
    with speed.fast_process(1) as found:
        assert found["threads"] == torch.get_num_threads() == 1
        assert found["flush_denormals"] == denormals_are_flushed()
        assert isinstance(found["keep_freed_memory"], bool)
    assert (torch.get_num_threads(), denormals_are_flushed()) == before


def test_little_work_is_not_measured(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(small.config(), images)
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset({"amx_bf16"}))
    batch = next(iter(train_loader(plan)))
    found = precision.choose_precision(make_method(plan), batch, accelerator="cpu", world=1)
    assert (found.precision, found.seconds) == ("32-true", {})
    assert "too few" in found.reason


def test_a_processor_without_bf16_is_not_measured(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(small.config(), images)
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset({"avx2"}))
    batch = next(iter(train_loader(plan)))
    found = precision.choose_precision(make_method(plan), batch, accelerator="cpu", world=1)
    assert found.precision == "32-true"
    assert "no bf16" in found.reason


@pytest.mark.parametrize(("fast", "expected"), [(1.1, "32-true"), (1.5, "bf16-mixed")])
def test_bf16_is_taken_where_it_is_clearly_faster(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch, fast: float, expected: str
) -> None:
    plan = make_plan(small.config(), images)
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset({"amx_bf16"}))
    monkeypatch.setattr(precision, "SMALL", 0)
    monkeypatch.setattr(precision, "_measure", lambda *_: {"32-true": fast, "bf16-mixed": 1.0})
    batch = next(iter(train_loader(plan)))
    assert precision.choose_precision(make_method(plan), batch, accelerator="cpu", world=1).precision == expected


@pytest.mark.skipif(not cpu_flags() & {"avx512_bf16", "amx_bf16"}, reason="this processor has no bf16 instructions")
def test_measuring_changes_nothing_of_the_training(
    tmp_path: Path, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = train(small.config("encoder.dropout=true"), tmp_path / "plain", images=images)
    monkeypatch.setattr(precision, "WORTH_IT", 1e9)
    monkeypatch.setattr(precision, "SMALL", 0)
    measured = train(small.config("encoder.dropout=true", "training.precision=auto"), tmp_path / "auto", images=images)
    assert measured.record["choices"]["precision"] == "32-true"
    assert set(measured.record["choices"]["precision_seconds"]) == {"32-true", "bf16-mixed"}
    assert small.outcome(plain.path) == small.outcome(measured.path)


def test_the_recorded_choice_is_used_again(tmp_path: Path, images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = small.config("training.precision=auto", epochs=1)
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset({"avx2"}))
    run = train(asked, tmp_path / "run", images=images)
    monkeypatch.setattr(precision, "cpu_flags", lambda: pytest.fail("chosen anew"))
    again = train(asked, run.path, images=images, resume=True, epochs=2)
    assert again.record["choices"]["precision"] == "32-true"


def test_bf16_trains(tmp_path: Path, images: ImageSet) -> None:
    run = train(small.config("training.precision=bf16", epochs=2), tmp_path / "run", images=images)
    full = train(small.config(epochs=2), tmp_path / "full", images=images)
    assert run.record["choices"]["precision"] == "bf16-mixed"
    assert run.record["result"]["best_val_loss"] == pytest.approx(full.record["result"]["best_val_loss"], abs=0.1)
    assert small.outcome(run.path) != small.outcome(full.path)


def test_without_a_gpu_none_is_searched_for_at_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with speed.no_search_for_gpus():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize("said", [None, "1"])
def test_what_a_user_said_of_gpus_stays(said: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if said is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with speed.no_search_for_gpus():
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == said
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == said
