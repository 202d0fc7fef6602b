"""Which number of a column may be called the best: only one whose interval clears all others."""

from __future__ import annotations

from phispace.report.document import Number, Row, Table

NOTE = "Bold: the interval lies clear of every other row's. Where intervals overlap no row is emphasised."


def emphasise(table: Table) -> Table:
    """Mark the best number of each column that says which direction is better.

    A number is marked when its interval (or value ± spread) does not meet that of any other row, baselines included.
    A baseline without an interval counts as a point; a result without one leaves its column plain.
    This is conservative: two intervals may touch although a paired test would tell the rows apart.
    """
    marks = {(r, c) for c, column in enumerate(table.columns) for r in _best(table.rows, c, column.higher_is_better)}
    rows = tuple(
        row.model_copy(update={"cells": tuple(_marked(cell, (r, c) in marks) for c, cell in enumerate(row.cells))})
        for r, row in enumerate(table.rows)
    )
    notes = (*table.notes, NOTE) if marks and NOTE not in table.notes else table.notes
    return table.model_copy(update={"rows": rows, "notes": notes})


def _best(rows: tuple[Row, ...], column: int, higher: bool | None) -> list[int]:
    """The row that is clear of all others in this column, as a list of one or none."""
    if higher is None:
        return []
    spans: dict[int, tuple[float, float]] = {}
    for r, row in enumerate(rows):
        cell = row.cells[column]
        if not isinstance(cell, Number) or cell.value is None:
            continue
        span = cell.interval
        if span is None and cell.spread is not None:
            span = (cell.value - cell.spread, cell.value + cell.spread)
        if span is None and not row.baseline:
            return []
        spans[r] = span or (cell.value, cell.value)
    if len(spans) < 2:
        return []
    top = max(spans, key=lambda r: spans[r][0]) if higher else min(spans, key=lambda r: spans[r][1])
    low, high = spans[top]
    clear = all(low > s[1] if higher else high < s[0] for r, s in spans.items() if r != top)
    return [top] if clear else []


def _marked(cell: Number | str | None, best: bool) -> Number | str | None:
    return cell.model_copy(update={"best": best}) if isinstance(cell, Number) else cell
