"""metrics.csv read back: what training logged, by epoch.

Columns are found by their names: `epoch` (and `step`), then quantities, those of a split as `train_loss` or
`val/accuracy`. Rows of the same epoch are merged; empty cells are gaps. Where training went in stages, `loss` is that
of the last one: losses of different stages do not compare.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from phispace.errors import DataError

SPLITS = ("train", "val")
_SPLIT = re.compile(r"^(train|val)[_/.](.+)$")
_NOT_MEASURED = {"epoch", "step", "images_seen", "stage"}


@dataclass(frozen=True)
class History:
    """What was logged.

    Attributes:
        epochs: ascending.
        columns: name -> values at these epochs, `nan` where nothing was logged.
    """

    epochs: tuple[float, ...]
    columns: Mapping[str, tuple[float, ...]]

    def quantities(self) -> list[str]:
        """Names without their split (`loss`, `accuracy`, ...), in the order of the file."""
        return list(dict.fromkeys(quantity for _, quantity in map(split_of, self.columns)))

    def of(self, quantity: str) -> dict[str, tuple[float, ...]]:
        """split (or "" for what belongs to none) -> values, for the splits that have any."""
        found: dict[str, tuple[float, ...]] = {}
        for name, values in self.columns.items():
            split, this = split_of(name)
            if this == quantity and any(map(math.isfinite, values)):
                found[split] = values
        return found

    def last(self, quantity: str, split: str = "val") -> float:
        """The last logged value, `nan` if there is none."""
        values = self.of(quantity).get(split, ())
        return next((v for v in reversed(values) if math.isfinite(v)), math.nan)


def split_of(column: str) -> tuple[str, str]:
    """`val_loss` -> ("val", "loss"); `learning_rate` -> ("", "learning_rate")."""
    match = _SPLIT.match(column)
    return (match[1], match[2]) if match else ("", column)


def read_history(path: Path | str) -> History | None:
    """Read a run's metrics.csv; None if there is no such file or it has no row yet.

    Raises:
        DataError: not a table with a column `epoch`.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            names = [n for n in reader.fieldnames or () if n]
            rows = list(reader)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    if not names:
        return None
    if "epoch" not in names:
        raise DataError(f"{path} has no column 'epoch'; it has {', '.join(names[:8])}.")
    merged: dict[float, dict[str, float]] = {}
    for row in rows:
        epoch = _number(row.get("epoch"))
        if not math.isfinite(epoch):
            continue
        earlier = row.get("stage") != rows[-1].get("stage")
        measured = [n for n in names if n not in _NOT_MEASURED and not (earlier and split_of(n)[1] == "loss")]
        known = {n: _number(row.get(n)) for n in measured}
        merged.setdefault(epoch, {}).update({n: v for n, v in known.items() if math.isfinite(v)})
    if not merged:
        return None
    epochs = sorted(merged)
    columns = {
        n: tuple(merged[e].get(n, math.nan) for e in epochs)
        for n in names
        if n not in _NOT_MEASURED and any(n in merged[e] for e in epochs)
    }
    return History(tuple(epochs), columns)


def _number(text: str | None) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        return math.nan
