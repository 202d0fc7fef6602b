"""Predictions of a run as a table and as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_run import digits, make_run

from phispace.errors import DataError, InputError
from phispace.methods.supervised import Supervised
from phispace.predict import predict, to_csv
from phispace.run import Run
from phispace.training.restore import load_method

IMAGES = digits(400)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs") / "r", IMAGES)


def test_a_set_is_classified_in_its_order(run: Run) -> None:
    table = predict(run, IMAGES, batch_size=64)
    assert table.column_names == ["id", "class", "confidence"]
    assert table["id"].to_pylist() == IMAGES.ids.tolist()
    with torch.no_grad():
        x = torch.from_numpy(IMAGES.images).permute(0, 3, 1, 2).float() / 255
        softmax = load_method(run).predict(x).softmax(1).numpy()
    assert table["class"].to_pylist() == [IMAGES.classes[k] for k in softmax.argmax(1)]
    np.testing.assert_allclose(table["confidence"].to_numpy(), softmax.max(1), atol=1e-5)
    assert table["confidence"].type == pa.float32()
    truth = np.array(IMAGES.classes)[IMAGES.labels]
    assert (np.array(table["class"].to_pylist()) == truth).mean() > 0.7


def test_files_are_brought_to_the_runs_size(run: Run, tmp_path: Path) -> None:
    paths = []
    for i in range(12):
        picture = Image.fromarray(IMAGES.images[i, :, :, 0]).resize((64, 64), Image.Resampling.NEAREST)
        picture.convert("RGB").save(tmp_path / f"{i}.png")
        paths.append(tmp_path / f"{i}.png")
    table = predict(run, paths)
    assert table["id"].to_pylist() == [str(p) for p in paths]
    whole = predict(run, IMAGES.take(np.arange(12)))
    assert np.mean(np.array(table["class"]) == np.array(whole["class"])) >= 0.75
    assert predict(run, paths[0]).num_rows == 1


def test_what_cannot_be_classified(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="--size 8"):
        predict(run, replace(IMAGES, images=np.zeros((len(IMAGES), 9, 9, 1), np.uint8)))
    with pytest.raises(InputError, match="nothing to classify"):
        predict(run, [])
    (tmp_path / "a.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"a\.png"):
        predict(run, tmp_path / "a.png")
    with pytest.raises(InputError, match="twice"):
        predict(run, ["a.png", "a.png"])
    monkeypatch.setattr(Supervised, "predict", lambda self, images: None)
    with pytest.raises(InputError, match="'supervised' predicts no classes"):
        predict(run, IMAGES)


def table(ids: list[str]) -> pa.Table:
    return pa.table({"id": ids, "class": ["x"] * len(ids), "confidence": pa.array([0.5] * len(ids), pa.float32())})


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"])), max_size=8))
def test_csv_reads_back_as_it_was(ids: list[str]) -> None:
    text = to_csv(table(ids), escape_formulas=False)
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == ["id", "class", "confidence"]
    assert [row[0] for row in rows[1:]] == ids
    assert all(row[2] == "0.500000" for row in rows[1:])
    assert text.endswith("\r\n")


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_no_cell_is_a_formula(name: str) -> None:
    row = list(csv.reader(io.StringIO(to_csv(table([name])), newline="")))[1]
    assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert row[0] in (name, "'" + name)


def test_csv_is_rfc_4180() -> None:
    assert to_csv(table(['a,"b"\nc', "=1+1"])) == (
        'id,class,confidence\r\n"a,""b""\nc",x,0.500000\r\n\'=1+1,x,0.500000\r\n'
    )
