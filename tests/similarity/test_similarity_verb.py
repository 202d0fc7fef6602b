"""`phispace similarity`: layers, epochs, runs and files of the same images, in pictures and numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import phispace as ph
from phispace import cli
from phispace.api.representations import ALL
from phispace.errors import PhispaceError
from phispace.report.style import dark_twin


def trained(out: Path, images: str = "digits", **more: object) -> ph.Run:
    quick = {"threads": 1, "tensorboard": False, "health_every": 0, "checkpoints": "all"}
    settings = ["encoder.hidden=[24, 16]", "method.batch_size=100"]
    return ph.train("supervised", images, encoder="mlp", out=out, epochs=1, settings=settings, training=quick, **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of digits, and the first one's vectors as a file of another tool, in another order."""
    path = tmp_path_factory.mktemp("similarity")
    run = trained(path / "a")
    trained(path / "b", seed=1)
    store = ph.embed(run)["features"]
    test = np.flatnonzero(store.splits == "test")[::-1]
    np.savez(path / "other.npz", vectors=3 * store.vectors[test], ids=store.ids[test])  # names no parts
    np.savez(path / "few.npz", vectors=store.vectors[test[:50]], ids=store.ids[test[:50]])
    return path


def call(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.app, list(arguments))
    if isinstance(done.exception, PhispaceError):
        return done.exception.exit_code, done.stdout, str(done.exception)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def debiased_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Song et al., JMLR 2012, equation 5, written out."""

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        n, one = len(a), np.ones(len(a))
        k, m = a @ a.T, b @ b.T
        np.fill_diagonal(k, 0)
        np.fill_diagonal(m, 0)
        middle = (one @ k @ one) * (one @ m @ one) / (n - 1) / (n - 2) - 2 / (n - 2) * (one @ k @ m @ one)
        return float((np.trace(k @ m) + middle) / n / (n - 3))

    x, y = x.astype(np.float64), y.astype(np.float64)
    return hsic(x, y) / np.sqrt(hsic(x, x) * hsic(y, y))


def test_layers_of_a_run(folder: Path) -> None:
    code, text, error = call("similarity", str(folder / "a"), "--layer", ALL, "--quiet")
    assert code == 0, error
    numbers = json.loads((folder / "a" / "similarity" / "similarity.json").read_text())
    labels = [one["label"] for one in numbers["representations"]]
    assert labels[-1] == "features"
    assert set(numbers["measures"]) == {"cka", "procrustes", "mutual_knn"}
    stores = ph.embed(folder / "a", layers=labels)
    parts = [np.asarray(stores[name].part("test").vectors) for name in labels]
    expected = [[debiased_cka(a, b) for b in parts] for a in parts]
    np.testing.assert_allclose(numbers["measures"]["cka"], expected, atol=1e-5)
    assert [one["dimensions"] for one in numbers["representations"]] == [x.shape[1] for x in parts]
    assert f"{len(labels)} features" in text
    for measure in numbers["measures"]:
        picture = folder / "a" / "similarity" / f"{measure}.png"
        assert Image.open(picture).size == Image.open(dark_twin(picture)).size


def test_runs_epochs_and_a_file(folder: Path, tmp_path: Path) -> None:
    sources = [str(folder / name) for name in ("a", "b", "other.npz")]
    wanted = ("--checkpoint", "all", "--checkpoint", "best", "--measure", "cka", "--measure", "procrustes")
    code, text, error = call("similarity", *sources, *wanted, "--out", str(tmp_path), "--json", "--quiet")
    assert code == 0, error
    found = json.loads(text)
    assert [one["label"] for one in found["representations"]] == [
        "a · epoch 0", "a · epoch 1", "b · epoch 0", "b · epoch 1", "other",
    ]  # fmt: skip
    assert found["split"] == "test"
    for table in found["measures"].values():  # the file is the first run's best, scaled and in another order
        assert table[1][4] == pytest.approx(1, abs=1e-5)
        assert all(table[4][i] < 0.995 for i in (0, 2, 3))


def test_a_file_of_some_of_the_images(folder: Path, tmp_path: Path) -> None:
    """The run says which part is looked at, whatever stands first; and how many images are left is told."""
    made = ph.draw_similarities(folder / "few.npz", folder / "a", folder / "other.npz", out=tmp_path)
    assert made.found.n == {"test": 50}
    assert made.found.matrices["mutual_knn"][0, 2] == 1
    whole = len(ph.embed(folder / "a")["features"].part("test"))
    assert f"All have 50 of the {whole} test images of a; these are compared." in made.found.caveats


def test_readings_of_a_layer(folder: Path) -> None:
    code, _, error = call(
        "similarity", str(folder / "b"), *["--layer", "features", "--layer", "features+mirror", "--quiet"]
    )
    assert code == 0, error
    numbers = json.loads((folder / "b" / "similarity" / "similarity.json").read_text())
    assert [one["label"] for one in numbers["representations"]] == ["features", "features+mirror"]
    assert 0.5 < numbers["measures"]["cka"][0][1] < 0.999


def test_wide_layers_are_turned_and_not_changed(folder: Path, tmp_path: Path) -> None:
    """Fewer items than dimensions: the same numbers as from the whole vectors."""
    from phispace.evaluation.similarity import similarities

    given = {"layers": [ALL], "items": 20, "measures": ["cka", "cka_biased", "procrustes", "mutual_knn"]}
    made = ph.draw_similarities(folder / "a", out=tmp_path, **given)
    assert max(one.width for one in made.representations) > 20
    ids = made.representations[0].store.ids
    whole = ph.embed(folder / "a", layers=made.found.labels)
    taken = {name: store.take(np.flatnonzero(np.isin(store.ids, ids))) for name, store in whole.items()}
    expected = similarities(taken, measures=tuple(given["measures"]))
    for measure, table in expected.matrices.items():
        np.testing.assert_allclose(made.found.matrices[measure], table, atol=1e-4)
    assert any("as many dimensions as items" in sentence for sentence in made.found.caveats)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a"], "Two representations or more are compared; got 1"),
        (["a", "b", "--layer", "nix+mirror"], "No run has a layer 'nix+mirror'; there are: "),
        (["a", "b", "--layer", "nix"], "No run has a layer 'nix'; there are: "),
        (["a", "b", "--split", "spring"], "a has no items of split 'spring'; it has test, train, val"),
        (["a", "a"], "Two of the sources are named"),
        (["a", "nowhere"], "it does not exist"),
        (["a", "b", "--checkpoint", "epoch=999"], "has no checkpoint 'epoch=999'"),
        (["a", "strange.npz"], "have 0 test images in common"),
    ],
)
def test_wrong_requests(folder: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    np.savez(folder / "strange.npz", vectors=np.eye(9), ids=[f"x{i}" for i in range(9)], split=["test"] * 9)
    named = [str(folder / word) if i < 2 and not word.startswith("-") else word for i, word in enumerate(arguments)]
    code, _, error = call("similarity", *named, "--out", str(tmp_path / "out"), "--quiet")
    assert code != 0
    assert words in error
    assert not (tmp_path / "out").exists()


def test_other_pictures_of_the_same_names_are_refused(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 1)):
        draws = np.random.default_rng(seed)
        for i in range(60):
            place = tmp_path / name / "images" / "ab"[i % 2]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draws.integers(0, 256, (8, 8, 3), np.uint8)).save(place / f"{i:02d}.png")
        trained(tmp_path / name / "run", str(tmp_path / name / "images"))
    with pytest.raises(ph.PhispaceError, match=r"same ids, but \d+ of \d+ are other pictures"):
        ph.draw_similarities(tmp_path / "one" / "run", tmp_path / "two" / "run", out=tmp_path / "out")
    images = str(tmp_path / "one" / "images")
    made = ph.draw_similarities(tmp_path / "one" / "run", tmp_path / "two" / "run", images=images, out=tmp_path / "out")
    assert made.found.labels == ("one/run", "two/run")
