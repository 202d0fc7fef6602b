"""A map snapped to a grid: each item gets a cell of its own, as near to its place as all the others allow.

Up to 2,000 items the assignment is the best there is (least sum of squared distances). Above, cells and items are
halved recursively, and windows of the grid are then solved exactly, one after the other, until little changes: 10,000
items take seconds.
"""

from __future__ import annotations

import math

import numpy as np

from phispace.errors import InputError
from phispace.progress import SILENT, Progress

EXACT_UP_TO = 2000
_WINDOW = 16
_PASSES = 10


def grid_shape(n: int, aspect: float = 4 / 3) -> tuple[int, int]:
    """(columns, rows) of the smallest grid of about this width : height that holds n items."""
    columns = max(1, min(n, math.ceil(math.sqrt(n * aspect))))
    return columns, math.ceil(n / columns)


def snap_to_grid(
    xy: np.ndarray, columns: int, rows: int, *, exact_up_to: int = EXACT_UP_TO, progress: Progress | None = None
) -> np.ndarray:
    """A cell for each item.

    Args:
        xy: (N, 2) positions; each axis is stretched to the grid's width or height.
        columns, rows: at least N cells; cell c lies in column c % columns and row c // columns, row 0 is the lowest y.
        exact_up_to: up to this many items the assignment is exact.

    Returns:
        int64 (N,), all different.

    Raises:
        InputError: fewer cells than items.
    """
    n = len(xy)
    if columns < 1 or rows < 1 or columns * rows < n:
        raise InputError(f"A grid of {columns} x {rows} cells does not hold {n} items.")
    low, size = xy.min(axis=0), np.ptp(xy, axis=0)
    points = (xy - low) / np.where(size > 0, size, 1) * np.array([columns - 1, rows - 1])
    centres = np.stack([np.arange(columns * rows) % columns, np.arange(columns * rows) // columns], axis=1)
    with (progress or SILENT).task("Snapping to the grid", total=1 if n <= exact_up_to else _PASSES) as task:
        if n <= exact_up_to:
            cells = _solve(points, centres)
            task.advance()
            return cells
        cells = _halve(points, columns, rows)
        before = _cost(points, centres, cells)
        for number in range(_PASSES):
            _improve(points, centres, cells, columns, rows, shift=(number % 2) * _WINDOW // 2)
            task.advance()
            after = _cost(points, centres, cells)
            if number % 2 and after > 0.998 * before:
                break
            before = after if number % 2 else before
    return cells


def _solve(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The positions in `centres` that give the least sum of squared distances (Jonker and Volgenant)."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    order, cells = linear_sum_assignment(cdist(points, centres, "sqeuclidean"))
    out = np.empty(len(points), np.int64)
    out[order] = cells
    return out


def _cost(points: np.ndarray, centres: np.ndarray, cells: np.ndarray) -> float:
    return float(((points - centres[cells]) ** 2).sum())


def _halve(points: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """Halve the grid across its longer side and the items in the same order along it, down to single cells."""
    cells = np.empty(len(points), np.int64)
    open_parts = [(np.arange(len(points)), 0, 0, columns, rows)]
    while open_parts:
        items, column, row, width, height = open_parts.pop()
        if not len(items):
            continue
        if width * height == 1:
            cells[items[0]] = row * columns + column
            continue
        axis = 0 if width >= height else 1
        half = (width if axis == 0 else height) // 2
        first, second = (
            (half * height, (width - half) * height) if axis == 0 else (width * half, width * (height - half))
        )
        share = min(max(round(len(items) * first / (first + second)), len(items) - second), first)
        ordered = items[np.lexsort((points[items, 1 - axis], points[items, axis]))]
        if axis == 0:
            open_parts.append((ordered[:share], column, row, half, height))
            open_parts.append((ordered[share:], column + half, row, width - half, height))
        else:
            open_parts.append((ordered[:share], column, row, width, half))
            open_parts.append((ordered[share:], column, row + half, width, height - half))
    return cells


def _improve(points: np.ndarray, centres: np.ndarray, cells: np.ndarray, columns: int, rows: int, shift: int) -> None:
    """Solve each window of the grid exactly for the items that lie in it; changes `cells`, never for the worse."""
    holder = np.full(columns * rows, -1)
    holder[cells] = np.arange(len(points))
    board = np.arange(columns * rows).reshape(rows, columns)
    for top in range(-shift, rows, _WINDOW):
        for left in range(-shift, columns, _WINDOW):
            window = board[max(top, 0) : top + _WINDOW, max(left, 0) : left + _WINDOW].ravel()
            items = holder[window]
            items = items[items >= 0]
            if len(items) > 1:
                cells[items] = window[_solve(points[items], centres[window])]
