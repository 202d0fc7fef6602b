"""The command: help, names, errors, and the whole path on real digits."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phispace import cli
from phispace.errors import PhispaceError
from phispace.registry import KINDS, registry

VERBS = [
    "quickstart",
    "study",
    "train",
    "embed",
    "evaluate",
    "compare",
    "leaderboard",
    "map",
    "search",
    "report",
    "export",
    "predict",
    "verify",
    "rerun",
    "list",
]


def call(*arguments: str) -> tuple[int, str, str]:
    """The command in this process: exit code, standard output, standard error."""
    done = CliRunner().invoke(cli.app, list(arguments))
    if isinstance(done.exception, PhispaceError):
        return done.exception.exit_code, done.stdout, str(done.exception)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def test_help_names_every_verb_and_each_has_its_own() -> None:
    code, text, _ = call("--help")
    assert code == 0
    for verb in [*VERBS, "show", "data"]:
        assert verb in text
        assert call(verb, "--help")[0] == 0


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv=['phispace','--help']\n"
        "from phispace.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'matplotlib', 'sklearn', 'rich', 'pydantic'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("[]")


@pytest.mark.parametrize("kind", KINDS)
def test_list_and_show_know_every_registered_name(kind: str) -> None:
    code, text, _ = call("list", kind)
    assert code == 0
    for name in registry(kind).names():
        assert name in text
        code, shown, _ = call("show", kind.removesuffix("s") if kind != "studies" else "studies", name)
        assert code == 0
        assert name in shown


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (["list", "colours"], 2, "no kind named 'colours'"),
        (["show", "method", "supervized"], 2, "Did you mean supervised"),
        (["train", "nonsense"], 2, "no method named 'nonsense'"),
        (["study", "quickstart", "--scale", "huge"], 2, "no scale 'huge'"),
        (["report", "nowhere"], 3, "nowhere"),
        (["embed", "nowhere"], 3, "nowhere is not a run"),
        (["search", "nowhere"], 2, "needs a query"),
        (["map", "nowhere", "--canvas", "big"], 2, "WIDTHxHEIGHT"),
        (["data", "inspect", "nowhere"], 2, "nowhere"),
    ],
)
def test_bad_input_gets_one_sentence_and_its_exit_code(
    arguments: list[str], exit_code: int, says: str, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, error = call(*arguments)
    assert says in error
    assert code == exit_code
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir()), "nothing is left behind"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run through the command, on real digits."""
    path = tmp_path_factory.mktemp("cli") / "first"
    code, text, error = call(
        "train", "supervised", "--images", "digits", "--epochs", "3", "--out", str(path), "--threads", "2", "--quiet",
        "--precision", "float32",
    )  # fmt: skip
    assert code == 0, error
    assert f"Run: {path}" in text
    return path


def test_train_refuses_a_directory_in_use(run: Path) -> None:
    code, _, error = call("train", "supervised", "--images", "digits", "--out", str(run), "--quiet")
    assert code == 4
    assert "not empty" in error


def test_a_run_goes_on_with_what_it_was_asked_for(run: Path) -> None:
    weights = (run / "checkpoints" / "last" / "weights.safetensors").read_bytes()
    code, _, error = call("train", "--out", str(run), "--resume", "--quiet")
    assert code == 0, error
    assert (run / "checkpoints" / "last" / "weights.safetensors").read_bytes() == weights, "it was complete"
    code, _, error = call("train", "--out", str(run), "--resume", "--seed", "5", "--quiet")
    assert code == 4
    assert "training.seed: 0 -> 5" in error


def test_embed_evaluate_and_report(run: Path, tmp_path: Path) -> None:
    code, text, _ = call("embed", str(run), "--layer", "fc1", "--parquet", str(tmp_path / "a.parquet"), "--quiet")
    assert code == 0
    assert "fc1: 1797 x 512" in text
    assert (tmp_path / "a.parquet").stat().st_size > 10_000
    code, text, _ = call("evaluate", str(run), "--with", "knn", "--json", "--quiet")
    assert code == 0
    rows = {row["store"]: row["metrics"]["accuracy"] for row in json.loads(text)}
    assert rows["features @ best"] > 0.9 > rows["majority"] if "majority" in rows else rows["features @ best"] > 0.9
    code, text, _ = call(
        "evaluate", str(run), "--with", "knn", "--layer", "block2+2x2,features+mirror", "--json", "--quiet"
    )
    assert code == 0
    reading = "block2+2x2,features+mirror"
    assert {f"{reading} @ best", f"untrained {reading}"} <= {row["store"] for row in json.loads(text)}
    kept = {row["store"] for row in json.loads((run / "scores.json").read_text())["scores"]}
    assert {"untrained", f"untrained {reading}", "pca", f"pca {reading}"} <= kept, "each layer has its own"
    code, text, _ = call("report", str(run))
    assert code == 0
    assert (run / "report.html").stat().st_size > 5000


def test_map_draws_its_pictures(run: Path) -> None:
    code, text, error = call("map", str(run), "--method", "pca", "--canvas", "400x300", "--quiet")
    assert code == 0, error
    assert "trustworthiness" in text
    for line in text.splitlines():
        if line.endswith((".png", ".npz")):
            assert Path(line).stat().st_size > 1000


def test_search_by_file_and_by_id(run: Path, tmp_path: Path) -> None:
    from PIL import Image

    from phispace import load_images

    images = load_images("digits")
    position = int(images.where("test")[0])
    Image.fromarray(images.images[position, :, :, 0]).save(tmp_path / "query.png")
    code, text, error = call("search", str(run), "--query", str(tmp_path / "query.png"), "-k", "5", "--quiet")
    assert code == 0, error
    found = json.loads(text)
    assert len(found) == 1
    assert str(images.ids[position]) in json.dumps(found), "the image itself is in the store and is its own neighbour"
    assert call("search", str(run), "--id", str(images.ids[position]), "-k", "5", "--quiet")[0] == 0


def test_predict_writes_csv(run: Path, tmp_path: Path) -> None:
    code, text, _ = call("predict", str(run), "digits", "--quiet")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["id", "class", "confidence"]
    assert len(rows) == 1797
    assert call("predict", str(run), "digits", "--out", str(tmp_path / "p.csv"), "--quiet")[0] == 0
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 1798


def test_export_writes_what_it_says(run: Path, tmp_path: Path) -> None:
    code, text, error = call("export", str(run), "--out", str(tmp_path / "out"), "--no-onnx")
    assert code == 0, error
    assert "encoder.safetensors" in text


def test_data_inspect(tmp_path: Path) -> None:
    code, text, _ = call("data", "inspect", "digits", "--sheet", str(tmp_path / "sheet.png"), "--quiet")
    assert code == 0
    assert "1,797" in text or "1797" in text
    assert (tmp_path / "sheet.png").stat().st_size > 1000
