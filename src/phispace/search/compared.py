"""The same queries in several representations: a column a query, a row of its neighbours for each representation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from phispace import storage
from phispace.errors import InputError
from phispace.search.drawing import AGREES, DIFFERS, INK, PAPER, RULE, font, text, tile

_TILE = 48
_STEP = _TILE + 7
_EDGE = 24
_WIDEST_LABEL = 300
_GAP = 26


@dataclass(frozen=True)
class Line:
    """What one representation found.

    Attributes:
        label: its name.
        found: for each query the neighbours' pixels (H, W, C), nearest first.
        same: for each query, whether each neighbour has its class.
    """

    label: str
    found: Sequence[Sequence[np.ndarray | None]]
    same: Sequence[Sequence[bool]]


def draw_compared(
    queries: Sequence[np.ndarray | None],
    titles: Sequence[str],
    lines: Sequence[Line],
    path: Path | str,
    across: int = 5,
) -> Path:
    """Draw the sheet as a PNG; after `across` queries the representations begin again below.

    Args:
        queries: their pixels (H, W, C).
        titles: a word under each, such as its class.
        lines: a representation each, over the same queries.

    Raises:
        InputError: no queries, no lines, or lines over other queries.
    """
    if not queries or not lines:
        raise InputError("A comparison of searches needs at least one query and one representation.")
    if any(len(line.found) != len(queries) for line in lines):
        raise InputError("Every representation answers all of the queries.")
    names = min(_WIDEST_LABEL, max(round(font(13).getlength(line.label)) for line in lines))
    margin = _EDGE + names + _EDGE
    most = max(len(row) for line in lines for row in line.found)
    block = most * _STEP + _GAP
    columns = min(across, len(queries))
    bands = -(-len(queries) // columns)
    head = _TILE + 34
    height = head + len(lines) * (_STEP + 3) + _GAP
    sheet = Image.new("RGB", (margin + columns * block + _EDGE, _EDGE + bands * height), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (pixels, title) in enumerate(zip(queries, titles, strict=True)):
        x, top = margin + number % columns * block, _EDGE + number // columns * height
        tile(sheet, draw, pixels, (x, top), _TILE, INK)
        text(draw, (x + _TILE + 10, top + _TILE // 2 - 8), title, font(14, bold=True), INK, block - _TILE - 14)
        for row, line in enumerate(lines):
            y = top + head + row * (_STEP + 3)
            if number % columns == 0:
                text(draw, (_EDGE, y + _TILE // 2 - 8), line.label, font(13), INK, names)
            for rank, (found, same) in enumerate(zip(line.found[number], line.same[number], strict=True)):
                tile(sheet, draw, found, (x + rank * _STEP, y), _TILE, AGREES if same else DIFFERS)
        draw.line([(x, top + head - 12), (x + block - _GAP - 8, top + head - 12)], fill=RULE, width=1)
    with storage.atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)
    return Path(path)
