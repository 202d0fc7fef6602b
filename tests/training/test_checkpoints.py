"""Checkpoints are whole or not there: round trips, damage, a full disk at every moment."""

from __future__ import annotations

import errno
import json
import math
import os
import resource
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning.callbacks import Callback

from phispace import storage
from phispace.data.imageset import ImageSet
from phispace.errors import DataError, InputError, StorageError
from phispace.run import Run
from phispace.training import checkpoints
from phispace.training.pack import pack, unpack
from phispace.training.restore import load_method
from phispace.training.train import train

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    return bool(a == b)


@given(plain_values)
@settings(deadline=None)
def test_any_plain_state_survives_through_json(value: Any) -> None:
    structure, tensors = pack(value)
    assert same(unpack(json.loads(json.dumps(structure, allow_nan=False)), tensors), value)


def test_tensors_keep_dtype_layout_and_memory_of_their_own() -> None:
    image = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    state = {
        0: {"exp_avg": image, "step": torch.tensor(3.0)},
        "half": torch.randn(3).bfloat16(),
        "flags": torch.tensor([True, False]),
        "array": np.arange(3),
        "number": np.float64(0.1),
        "ordered": OrderedDict(a=1),
    }
    structure, tensors = pack(state)
    image += 1
    found = unpack(json.loads(json.dumps(structure)), tensors)
    assert found[0]["exp_avg"].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found[0]["exp_avg"] + 1, image)
    assert found["half"].dtype == torch.bfloat16
    assert found["flags"].dtype == torch.bool
    assert found["array"].tolist() == [0, 1, 2]
    assert found["number"] == 0.1
    assert found[0]["exp_avg"].data_ptr() % 64 == 0, "aligned as torch aligns, whatever the file's offsets"


def test_what_cannot_be_stored_is_named() -> None:
    with pytest.raises(InputError, match=r"a function at state\.optimizer\.0"):
        pack({"optimizer": [lambda: 0]})


@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors", "state.json"])
@pytest.mark.parametrize("fault", ["flip", "cut", "empty", "gone"])
def test_damage_is_found_and_named(tmp_path: Path, finished: Run, name: str, fault: str) -> None:
    copy = tmp_path / "last"
    copy.mkdir()
    for file in finished.checkpoint("last").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    checkpoints.load(copy)
    data = (copy / name).read_bytes()
    if fault == "gone":
        (copy / name).unlink()
    else:
        changed = {"flip": data[:-2] + bytes([data[-2] ^ 1]) + data[-1:], "cut": data[: len(data) // 2], "empty": b""}
        (copy / name).write_bytes(changed[fault])
    with pytest.raises(DataError, match=name):
        checkpoints.load(copy)
    if name != "weights.safetensors":
        checkpoints.load_weights(copy)


def test_weights_alone_cannot_be_resumed_from(finished: Run) -> None:
    with pytest.raises(DataError, match="weights alone"):
        checkpoints.load(finished.checkpoint("epoch=000"))


def test_weights_that_do_not_fit_are_refused(tmp_path: Path, images: ImageSet) -> None:
    run = train(small.config(epochs=1), tmp_path / "run", images=images)
    config = run.config | {"encoder": {"name": "convnet4", "options": {"width": 5, "dense": 16}}}
    run.update(config=config)
    with pytest.raises(DataError, match="does not fit the run's configuration"):
        load_method(run)


class Full(Callback):
    """From a step on no file may grow over a limit: the kernel refuses, as a full disk does."""

    def __init__(self, step: int, limit: int) -> None:
        self.step, self.limit = step, limit

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def test_a_full_disk_leaves_the_old_checkpoint_whole(tmp_path: Path, images: ImageSet) -> None:
    options = ("encoder.dense=256", "training.checkpoint_steps=4")
    alone = train(small.config(*options), tmp_path / "alone", images=images)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(StorageError, match=r"last: the file would pass the size limit.*unchanged"):
            train(small.config(*options), tmp_path / "run", images=images, callbacks=[Full(9, 12_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    run = Run.open(tmp_path / "run")
    assert run.record["status"] == "failed"
    assert checkpoints.check(run.path / "checkpoints" / "last")["step"] == 8
    again = train(None, run.path, images=images, resume=True)
    assert small.outcome(again.path) == small.outcome(alone.path)
    assert not [p for p in again.path.rglob("*") if "phispace-tmp" in p.name]


@pytest.mark.parametrize("call", ["fsync", "replace", "link"])
def test_a_disk_that_fills_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Writing step 2 over step 1 is refused at its n-th call; afterwards one of both is there and whole."""
    folder = tmp_path / "checkpoints"
    io = checkpoints.SafeCheckpointIO()

    def save(step: int) -> None:
        state = {"w": torch.full((50,), float(step))}
        record = {"record": {"epoch": 0, "step": step}, "more": [torch.ones(3), (1, 2)]}
        io.save_checkpoint({"state_dict": state, "phispace": record}, folder / "last", {"named": f"epoch={step:03d}"})

    save(0)
    save(1)
    real = getattr(os, call)
    for moment in range(40):
        calls = 0

        def refuse(*args: Any, moment: int = moment, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > moment:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args, **kwargs)

        monkeypatch.setattr(storage.os, call, refuse)
        try:
            save(2)
        except StorageError as error:
            refused: StorageError | None = error
        else:
            refused = None
        finished = refused is None
        assert finished or "the disk is full" in str(refused)
        monkeypatch.setattr(storage.os, call, real)
        path, faults = checkpoints.newest_resumable(folder)
        assert path is not None
        assert not faults
        step = checkpoints.read_record(path)["step"]
        assert checkpoints.load(path)["state_dict"]["w"].unique().tolist() == [float(step)]
        assert step == 2 if finished else step in (1, 2)
        for named in folder.glob("epoch=*"):
            checkpoints.check(named)
        if finished:
            break
        save(1)
    assert finished
    assert moment > 0 or call == "link"
