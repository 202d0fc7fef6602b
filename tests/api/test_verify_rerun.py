"""A run is checked to the last byte, and repeated to the last bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import phispace as ph
from phispace import cli, storage
from phispace.data.imageset import ImageSet
from phispace.errors import DataError, InputError, RunError
from phispace.run import Run


@pytest.fixture(scope="module")
def images() -> ImageSet:
    from dataclasses import replace

    whole = ph.load_images("digits", size=8)
    return replace(whole.take(np.arange(400)), name="few-digits")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, images: ImageSet) -> Path:
    path = tmp_path_factory.mktemp("repeat") / "first"
    run = ph.train(
        "supervised", images, encoder="mlp", out=path, epochs=2, settings=["encoder.hidden=[16]"],
        training={"precision": "float32", "threads": 1, "checkpoints": "all"},
    )  # fmt: skip
    ph.evaluate(run, ["knn"], images=images)
    return path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    shutil.copytree(made, tmp_path / "first")
    return tmp_path / "first"


def test_a_whole_run_is_sound(run: Path) -> None:
    found = ph.verify(run)
    assert found.ok
    assert not found.unsealed
    sound = set(found.sound)
    assert {"run.json", "scores.json", "metrics.csv", "config.toml"} <= sound
    assert any(p.startswith("checkpoints/last/") for p in sound)
    assert any(p.startswith("embeddings/") for p in sound)
    assert any(p.startswith("scores/knn-") for p in sound)


def _append(pattern: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        file = next(path.glob(pattern))
        file.write_bytes(file.read_bytes() + b" ")

    return change


def _remove(pattern: str) -> Callable[[Path], None]:
    return lambda path: next(path.glob(pattern)).unlink()


def _remove_folder(pattern: str) -> Callable[[Path], None]:
    return lambda path: shutil.rmtree(next(path.glob(pattern)))


def _lower_a_score(path: Path) -> None:
    body = json.loads((path / "scores.json").read_text())
    body["scores"][0]["metrics"]["accuracy"] += 0.01
    (path / "scores.json").write_text(json.dumps(body))


def _other_seed(path: Path) -> None:
    text = (path / "run.json").read_text()
    (path / "run.json").write_text(text.replace('"seed": 0', '"seed": 1'))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_append("metrics.csv"), "metrics.csv has changed"),
        (_remove("metrics.csv"), "metrics.csv is missing"),
        (_append("config.toml"), "config.toml has changed"),
        (_other_seed, "run.json has changed"),
        (_lower_a_score, "scores.json has changed"),
        (_append("checkpoints/epoch=001*/weights.safetensors"), "weights.safetensors has changed"),
        (_remove("checkpoints/last/state.json"), "checkpoints/last/state.json is missing"),
        (_remove_folder("checkpoints/epoch=001*"), r"checkpoints/epoch=001.*weights.safetensors is missing"),
        (_remove("checkpoints/last/checkpoint.json"), "checkpoints/last"),
        (_append("embeddings/*/epoch=00*/features/vectors.npy"), "vectors.npy has changed"),
        (_remove("embeddings/*/epoch=00*/features/items.parquet"), "items.parquet is missing"),
        (_remove("embeddings/*/epoch=00*/features/manifest.json"), "is no whole store"),
        (_remove_folder("embeddings/*/epoch=000/features"), "rest on are not there any more"),
        (_append("scores/knn-pixels*.parquet"), "scores/knn-pixels.* has changed"),
        (_remove("scores/knn-features*.parquet"), "scores/knn-features.* is missing"),
    ],
)  # fmt: skip
def test_every_harm_is_found(run: Path, harm: Callable[[Path], None], words: str) -> None:
    harm(run)
    found = ph.verify(run)
    assert not found.ok
    import re

    assert any(re.search(words, fault) for fault in found.faults), found.faults


def test_the_command_says_so_by_its_exit_code(run: Path) -> None:
    done = CliRunner().invoke(cli.app, ["verify", str(run), "--quiet"])
    assert done.exit_code == 0
    _append("metrics.csv")(run)
    done = CliRunner().invoke(cli.app, ["verify", str(run.parent), "--quiet", "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)[0]["faults"] == ph.verify(run).faults


def test_a_record_of_an_older_version_is_no_fault(run: Path) -> None:
    body = json.loads((run / "run.json").read_text())
    storage.write_json(run / "run.json", {k: v for k, v in body.items() if k not in ("digest", "sha256")})
    found = ph.verify(run)
    assert found.ok
    assert {"run.json", "metrics.csv"} <= set(found.unsealed)


def test_the_same_record_gives_the_same_bits(run: Path, images: ImageSet, tmp_path: Path) -> None:
    found = ph.rerun(run, tmp_path / "again", images=images, scores=True)
    assert found.equal
    assert found.weights
    assert set(found.weights.values()) == {0.0}
    assert found.columns == {}
    assert found.scores == {}
    assert "metrics.csv: the same." in found.lines()
    first, second = (p / "checkpoints" / "last" / "weights.safetensors" for p in (run, tmp_path / "again"))
    assert first.read_bytes() == second.read_bytes()


def test_what_differs_is_named(run: Path, images: ImageSet, tmp_path: Path) -> None:
    """As if the run had been made with another torch, and with another seed than its record says."""
    record = Run.open(run)
    versions = {**record.record["provenance"], "packages": {**record.record["provenance"]["packages"], "torch": "0.1"}}
    config = {**record.config, "training": {**record.config["training"], "seed": 1}}
    record.update(provenance=versions, config=config)
    found = ph.rerun(run, tmp_path / "again", images=images)
    assert not found.equal
    assert found.versions["torch"][0] == "0.1"
    assert max(found.weights.values()) > 0
    epochs, largest = found.columns["train_loss"]
    assert epochs >= 2
    assert largest > 0
    assert found.scores is None
    text = "\n".join(found.lines())
    assert "columns differ" in text
    assert "torch: 0.1 ->" in text


def test_an_extended_run_is_extended_again(images: ImageSet, tmp_path: Path) -> None:
    options = {"precision": "float32", "threads": 1}
    ph.train(
        "supervised", images, encoder="mlp", out=tmp_path / "a", epochs=1, settings=["encoder.hidden=[16]"],
        training=options,
    )  # fmt: skip
    ph.train("supervised", images, out=tmp_path / "a", epochs=2, resume=True)
    assert ph.rerun(tmp_path / "a", images=images).equal
    assert Run.open(tmp_path / "a-again").record["result"]["epochs"] == 2
    assert ph.verify(tmp_path / "a").ok


def test_a_restart_is_repeated_too_and_options_of_the_machine_are_no_fault(images: ImageSet, tmp_path: Path) -> None:
    cosine = ["encoder.hidden=[16]", "method.schedule=cosine"]
    options = {"precision": "float32", "threads": 1}
    ph.train("supervised", images, encoder="mlp", out=tmp_path / "a", epochs=1, settings=cosine, training=options)
    for epochs, extend in ((2, "restart"), (3, "continue")):
        changed = [f"training.extend={extend}", "training.log_every=7"]
        ph.train("supervised", images, out=tmp_path / "a", epochs=epochs, settings=changed, resume=True)
    assert Run.open(tmp_path / "a").config["method"]["restarts"] == [1]
    assert ph.rerun(tmp_path / "a", images=images).equal
    assert ph.verify(tmp_path / "a").ok
    ph.train("supervised", images, encoder="mlp", out=tmp_path / "b", epochs=1, settings=cosine, training=options)
    record = Run.open(tmp_path / "b").record
    Run.open(tmp_path / "b").update(
        config=record["config"] | {"training": record["config"]["training"] | {"log_every": 3}}
    )
    assert ph.verify(tmp_path / "b").ok


def test_refusals(run: Path, images: ImageSet, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not the images"):
        ph.rerun(run, tmp_path / "x", images=images.take(np.arange(300)))
    with pytest.raises(RunError, match="not empty"):
        ph.rerun(run, run, images=images)
    Run.open(run).update(status="interrupted")
    with pytest.raises(InputError, match="interrupted"):
        ph.rerun(run, tmp_path / "x", images=images)
    with pytest.raises(DataError, match="not a run"):
        ph.verify(tmp_path)
    assert not (tmp_path / "x").exists()
