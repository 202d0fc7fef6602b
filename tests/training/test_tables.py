"""metrics.csv, and the sums behind it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from phispace.errors import DataError
from phispace.training.sums import Sums
from phispace.training.table import read_table, write_table


@given(st.lists(st.floats(), max_size=5))
def test_floats_are_read_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.getbasetemp() / "floats.csv"
    write_table(path, [{"epoch": i, "val_loss": v} for i, v in enumerate(values)], durable=False)
    found = [row["val_loss"] for row in read_table(path)]
    assert all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(found, values, strict=True))


def test_columns_are_grouped_and_missing_values_empty(tmp_path: Path) -> None:
    rows = [
        {"epoch": 0, "step": 0, "val_loss": 1.5, "health_std": 1.0},
        {"epoch": 1, "step": 9, "learning_rate": 0.1, "train_loss": 2.0, "train_kl": 0.5, "val_loss": 1.0},
    ]
    write_table(tmp_path / "m.csv", rows)
    text = (tmp_path / "m.csv").read_text()
    assert text.splitlines()[0] == "epoch,step,learning_rate,train_loss,train_kl,val_loss,health_std"
    assert text.splitlines()[1] == "0,0,,,,1.5,1.0"
    again = read_table(tmp_path / "m.csv")
    assert again == rows
    write_table(tmp_path / "n.csv", again)
    assert (tmp_path / "n.csv").read_text() == text


@pytest.mark.parametrize("text", ["a,b\n1\n", "a\n1,2\n"])
def test_a_table_that_was_cut_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(DataError, match="line 2"):
        read_table(tmp_path / "m.csv")


def test_means_are_weighted_by_images() -> None:
    sums = Sums()
    sums.add({"loss": torch.tensor(1.0), "kl": torch.tensor(4.0)}, 30)
    sums.add({"loss": torch.tensor(3.0), "kl": torch.tensor(0.0)}, 10)
    assert sums.means() == {"loss": 1.5, "kl": 3.0}
    again = Sums()
    again.load(sums.state())
    again.add({"loss": torch.tensor(1.5), "kl": torch.tensor(3.0)}, 40)
    assert again.means() == {"loss": 1.5, "kl": 3.0}
    sums.clear()
    assert sums.means() == {}


def test_a_term_may_appear_later() -> None:
    sums = Sums()
    sums.add({"loss": torch.tensor(1.0)}, 1)
    sums.add({"loss": torch.tensor(1.0), "late": torch.tensor(2.0)}, 1)
    values = sums.add({"loss": torch.tensor(1.0)}, 2)
    assert values.tolist() == [1.0, 0.0]
    assert sums.means() == {"loss": 1.0, "late": 0.5}
