from __future__ import annotations

import math
from pathlib import Path

import pytest

from phispace.errors import DataError
from phispace.report.history import read_history


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_columns_by_quantity_and_split(tmp_path: Path) -> None:
    text = "epoch,step,train_loss,val_loss,val/accuracy,learning_rate\n1,10,2.0,1.5,0.5,0.1\n2,20,1.0,,0.7,0.1\n"
    history = read_history(write(tmp_path / "m.csv", text))
    assert history is not None
    assert history.epochs == (1.0, 2.0)
    assert history.quantities() == ["loss", "accuracy", "learning_rate"]
    assert history.of("loss")["train"] == (2.0, 1.0)
    assert math.isnan(history.of("loss")["val"][1])
    assert history.last("loss") == 1.5
    assert history.of("learning_rate") == {"": (0.1, 0.1)}
    assert math.isnan(history.last("unheard-of"))


def test_rows_of_one_epoch_are_merged_and_sorted(tmp_path: Path) -> None:
    text = "epoch,train_loss,val_loss\n2,1.0,\n1,2.0,\n2,,0.9\n1,,1.9\n,,5\n"
    history = read_history(write(tmp_path / "m.csv", text))
    assert history is not None
    assert history.epochs == (1.0, 2.0)
    assert history.of("loss") == {"train": (2.0, 1.0), "val": (1.9, 0.9)}


@pytest.mark.parametrize("text", ["", "epoch,loss\n", "epoch,loss\nx,1\n", "epoch,loss\nnan,1\n"])
def test_nothing_logged_yet(tmp_path: Path, text: str) -> None:
    assert read_history(write(tmp_path / "m.csv", text)) is None


def test_no_file(tmp_path: Path) -> None:
    assert read_history(tmp_path / "m.csv") is None


def test_short_long_and_wordy_rows(tmp_path: Path) -> None:
    text = "epoch,a,b\n1,2\n2,3,4,5\n3,what,inf\n"
    history = read_history(write(tmp_path / "m.csv", text))
    assert history is not None
    assert history.epochs == (1.0, 2.0, 3.0)
    assert history.columns["a"][:2] == (2.0, 3.0)
    assert math.isnan(history.columns["b"][2])


@pytest.mark.parametrize("content", [b"step,loss\n1,2\n", b"\xff\xfe\x00"])
def test_what_is_no_table(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"m\.csv"):
        read_history(tmp_path / "m.csv")


def test_of_several_stages_the_loss_is_the_last_ones(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "epoch,step,stage,train_loss,val_loss,val_reconstruction\n"
        "0,0,layer 1,,9.0,9.0\n1,5,layer 1,8.0,7.0,7.0\n2,9,fine-tune,0.5,0.4,\n3,13,fine-tune,0.3,0.2,\n"
    )
    history = read_history(tmp_path / "metrics.csv")
    assert history is not None
    assert [v for v in history.of("loss")["val"] if v == v] == [0.4, 0.2]
    assert [v for v in history.of("reconstruction")["val"] if v == v] == [9.0, 7.0]
    assert history.quantities() == ["loss", "reconstruction"]
