"""Bold means: clear of all others. Nothing less."""

from __future__ import annotations

from phispace.report.document import Column, Number, Row, Table
from phispace.report.emphasis import NOTE, emphasise


def table(*cells: Number | None, higher: bool | None = True, baselines: int = 0) -> Table:
    rows = tuple(Row(label=str(i), cells=(cell,), baseline=i >= len(cells) - baselines) for i, cell in enumerate(cells))
    return emphasise(Table(columns=(Column(title="x", higher_is_better=higher),), rows=rows))


def best(found: Table) -> list[int]:
    return [i for i, row in enumerate(found.rows) if isinstance(row.cells[0], Number) and row.cells[0].best]


def share(value: float, half: float = 0.01) -> Number:
    return Number(value=value, low=value - half, high=value + half, form="share")


def test_the_row_that_is_clear_of_all_others() -> None:
    found = table(share(0.8), share(0.9), share(0.7))
    assert best(found) == [1]
    assert NOTE in found.notes


def test_overlap_emphasises_nothing() -> None:
    found = table(share(0.89), share(0.9), share(0.7))
    assert best(found) == []
    assert NOTE not in found.notes


def test_touching_intervals_overlap() -> None:
    assert best(table(Number(value=0.5, low=0.4, high=0.6), Number(value=0.7, low=0.6, high=0.8))) == []


def test_lower_can_be_better() -> None:
    assert best(table(share(0.8), share(0.9), share(0.7), higher=False)) == [2]


def test_no_direction_no_best() -> None:
    assert best(table(share(0.8), share(0.9), higher=None)) == []


def test_a_baseline_may_be_best() -> None:
    assert best(table(share(0.5), share(0.9), baselines=1)) == [1]


def test_a_result_without_interval_leaves_the_column_plain() -> None:
    assert best(table(Number(value=0.1), share(0.9))) == []


def test_a_baseline_without_interval_is_a_point() -> None:
    assert best(table(share(0.9), Number(value=0.1), baselines=1)) == [0]
    assert best(table(share(0.9), Number(value=0.895), baselines=1)) == []


def test_spreads_count_as_intervals() -> None:
    assert best(table(Number(value=0.9, spread=0.01), Number(value=0.8, spread=0.01))) == [0]
    assert best(table(Number(value=0.9, spread=0.06), Number(value=0.8, spread=0.06))) == []


def test_undefined_and_missing_are_passed_over() -> None:
    assert best(table(share(0.9), Number(value=None), None, share(0.5))) == [0]
    assert best(table(share(0.9), Number(value=None), None)) == []


def test_marks_that_were_set_before_are_cleared() -> None:
    marked = share(0.5).model_copy(update={"best": True})
    assert best(table(marked, share(0.9))) == [1]
