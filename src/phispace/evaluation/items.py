"""A score item by item: what paired comparisons rest on. One small Parquet file beside a run's scores.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phispace import storage
from phispace.errors import DataError

_ID = "id"
_VALUE = "value:"


@dataclass(frozen=True)
class Items:
    """The test items of one score, in the order of their ids.

    Attributes:
        ids: str (n,), unique.
        values: metric -> float64 (n,), of which the metric is the mean; for an accuracy 1 where the class is right.
        columns: further facts by name, str (n,), for example `label` and `prediction` as names of classes.
    """

    ids: np.ndarray
    values: Mapping[str, np.ndarray]
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def save(self, path: Path | str) -> Path:
        """Write as Parquet: id, the columns, and `value:METRIC` for each metric."""
        path = Path(path)
        table = {_ID: pa.array(self.ids.astype(str))}
        table |= {name: pa.array(np.asarray(column).astype(str)) for name, column in self.columns.items()}
        table |= {f"{_VALUE}{name}": pa.array(np.asarray(v, np.float64)) for name, v in self.values.items()}
        with storage.atomic_path(path) as temporary:
            pq.write_table(pa.table(table), temporary, compression="zstd")
        return path

    @classmethod
    def open(cls, path: Path | str) -> Items:
        """Read what `save` wrote.

        Raises:
            DataError: missing, damaged, or another table.
        """
        try:
            table = pq.ParquetFile(path).read()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise DataError(f"{path} cannot be read as the items of a score: {error}") from error
        if _ID not in table.column_names:
            raise DataError(f"{path} holds no items of a score: it has no column {_ID!r}.")
        values, columns = {}, {}
        for name in table.column_names:
            column = table[name].to_numpy(zero_copy_only=False)
            if name.startswith(_VALUE):
                values[name.removeprefix(_VALUE)] = column.astype(np.float64)
            else:
                columns[name] = column.astype(str)
        return cls(columns.pop(_ID), values, columns)
