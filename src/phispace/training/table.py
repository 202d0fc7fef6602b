"""`metrics.csv`: a row an epoch, written whole each time.

A row is a function of the configuration, the images and the seed; times are in `timings.csv`. So the file of a run
that was killed and resumed is byte for byte that of one never interrupted. Numbers are written so that reading them
gives the same float.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phispace import storage
from phispace.errors import DataError

Row = dict[str, Any]
_GROUPS = ("", "learning", "train", "val", "health")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], durable: bool = True) -> None:
    """Write rows as CSV, atomically; missing values are empty.

    Columns are in the order in which they first appear, those of training before those of validation and of health.
    """
    columns = sorted(dict.fromkeys(name for row in rows for name in row), key=_group)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[_write(row.get(name)) for name in columns] for row in rows])
    storage.write_text(path, text.getvalue(), durable)


def read_table(path: Path | str) -> list[Row]:
    """Read such a file: integers and floats as numbers, empty fields left out.

    Raises:
        DataError: missing, or a row with another number of fields than the header.
    """
    path = Path(path)
    try:
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not lines:
        return []
    columns = lines[0]
    wrong = [number for number, line in enumerate(lines[1:], start=2) if len(line) != len(columns)]
    if wrong:
        raise DataError(f"{path}, line {wrong[0]}: {len(columns)} fields are expected.")
    return [{k: _read(v) for k, v in zip(columns, line, strict=True) if v != ""} for line in lines[1:]]


def _group(name: str) -> int:
    """Sorts columns by what they are about; `sorted` keeps the order within a group."""
    if name.partition("_")[0] in _GROUPS[1:]:
        return _GROUPS.index(name.partition("_")[0])
    return 0 if name in ("epoch", "step", "images_seen", "stage") else 1


def _write(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else repr(value)
    return str(value)


def _read(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
