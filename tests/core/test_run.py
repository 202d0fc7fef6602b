"""Run directories and their locks."""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from phispace import storage
from phispace.errors import DataError, RunError
from phispace.run import Run, distinct_name, lock_directory, read_toml, safe_name


def make(path: Path) -> Run:
    return Run.create(path, {"seed": 3}, {"method": {"name": "supervised", "beta": None}, "training": {"x": (1, 2)}})


def checkpoint(run: Run, name: str, step: int) -> None:
    storage.write_json(run.path / "checkpoints" / name / "checkpoint.json", {"step": step})


def test_create_open_update(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    run.update(status="completed", result={"epochs": 3})
    again = Run.open(tmp_path / "run")
    assert again.record == run.record | {"config": {**run.config, "training": {"x": [1, 2]}}, "schema_version": 1}
    assert again.name == "run"
    toml = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert toml == {"method": {"name": "supervised"}, "training": {"x": [1, 2]}}


def test_only_an_empty_place_becomes_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        make(tmp_path / "file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("")
    with pytest.raises(RunError, match=r"not empty.*--resume"):
        make(tmp_path / "full")
    with lock_directory(tmp_path / "locked"):
        make(tmp_path / "locked")
    with pytest.raises(DataError, match=r"is not a run: it has no run\.json"):
        Run.open(tmp_path / "full")


def test_checkpoints_in_the_order_of_training(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    with pytest.raises(RunError, match="no checkpoint 'best'; there are: none at all"):
        run.checkpoint()
    for name, step in (
        ("epoch=002-val_loss=0.5", 20),
        ("epoch=010-val_loss=0.4", 100),
        ("last", 110),
        (".previous", 90),
    ):
        checkpoint(run, name, step)
    (run.path / "checkpoints" / "half").mkdir()
    names = [path.name for path in run.checkpoints()]
    assert names == ["epoch=002-val_loss=0.5", "epoch=010-val_loss=0.4", "last"]
    assert run.checkpoint("best").name == "last"
    run.update(best_checkpoint="epoch=010-val_loss=0.4")
    assert run.checkpoint("best").name == "epoch=010-val_loss=0.4"
    assert run.checkpoint("epoch=002-val_loss=0.5").name == "epoch=002-val_loss=0.5"
    with pytest.raises(RunError, match=r"no checkpoint 'epoch=3'; there are: epoch=002"):
        run.checkpoint("epoch=3")


def test_scores_are_kept_once(tmp_path: Path) -> None:
    run = make(tmp_path / "run")
    assert run.scores() == []
    score = {"evaluation": "knn", "store": "a", "options": {"k": 20}, "metrics": {"accuracy": 0.5}}
    run.add_scores([score, {**score, "options": {"k": 200}}])
    run.add_scores([{**score, "metrics": {"accuracy": float("nan")}}])
    assert [(s["options"]["k"], s["metrics"]["accuracy"]) for s in run.scores()] == [(20, None), (200, 0.5)]


@pytest.mark.parametrize(
    ("text", "name"), [("a b/c", "a-b-c"), ("../../etc", "etc"), ("", "unnamed"), ("epoch=1-x_y.z", "epoch=1-x_y.z")]
)
def test_safe_names(text: str, name: str) -> None:
    assert safe_name(text) == name
    assert len(safe_name("x" * 500)) == 80


def test_names_that_differ_stay_apart():
    assert distinct_name("blocks.2+mirror") == "blocks.2+mirror"
    names = ["a,b", "a-b", "a/b", "x" * 500, "x" * 501, "x" * 80]
    assert len({distinct_name(name) for name in names}) == len(names)
    assert all(len(distinct_name(name)) <= 80 for name in names)


def test_toml_errors_name_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("a = 1\nb = = 2\n")
    with pytest.raises(DataError, match="line 2"):
        read_toml(tmp_path / "a.toml")
    with pytest.raises(DataError, match="does not exist"):
        read_toml(tmp_path / "b.toml")


HOLDER = """
import sys, time
from phispace.run import lock_directory
with lock_directory(__import__("pathlib").Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""


def test_two_processes_cannot_write_one_run_and_a_dead_one_does_not_block(tmp_path: Path) -> None:
    make(tmp_path / "run")
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "run")], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(RunError, match=rf"in use by process {holder.pid} on "), Run.open(tmp_path / "run").lock():
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    for _ in range(50):
        try:
            with Run.open(tmp_path / "run").lock():
                return
        except RunError:
            time.sleep(0.1)
    pytest.fail("the lock of a dead process was not freed")


def test_a_lock_around_nothing_leaves_no_directory_and_one_around_something_does(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="refused"), lock_directory(tmp_path / "new"):
        raise ValueError("refused")
    assert not (tmp_path / "new").exists()
    (tmp_path / "own").mkdir()
    with lock_directory(tmp_path / "own"):
        pass
    assert (tmp_path / "own").is_dir(), "it was there before"
    with lock_directory(tmp_path / "used"):
        (tmp_path / "used" / "file").touch()
    assert (tmp_path / "used" / "file").exists()
