"""A contact sheet of neighbours: each query and what was found, with class, similarity and whether the class agrees.

Agreement is said by a mark as well as by colour. Names are shown as they are, made printable and cut to fit; nothing
in them is interpreted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from phispace import storage
from phispace.data.imageset import ImageSet
from phispace.embeddings.store import UNKNOWN, Embeddings
from phispace.errors import InputError
from phispace.search.drawing import AGREES, DIFFERS, INK, PAPER, QUIET, RULE, font, text, tile
from phispace.search.query import Answer, class_name, picture

_TILE = 112  # pixels a side of a drawn image
_GAP = 14
_EDGE = 28
_CAPTION = 40
_PER_ROW = 10
_MOST_QUERIES = 60


def draw_sheet(
    answers: Sequence[Answer],
    embeddings: Embeddings,
    images: ImageSet | None,
    path: Path | str,
    *,
    title: str | None = None,
    metric: str = "cosine",
    per_row: int = _PER_ROW,
) -> Path:
    """Draw the answers, one band a query, and write a PNG.

    Args:
        embeddings: the store that was searched.
        images: its pictures; None draws frames with the captions alone.
        title: a line at the top.
        per_row: neighbours beside each other before the next line begins.

    Raises:
        InputError: no answers, or more queries than a picture can show.
    """
    if not answers:
        raise InputError("There is nothing to draw: no query was answered.")
    if len(answers) > _MOST_QUERIES:
        raise InputError(f"A sheet shows at most {_MOST_QUERIES} queries; got {len(answers)}.")
    if per_row < 1:
        raise InputError(f"At least one neighbour stands in a row; got {per_row}.")
    most = max(1, *(len(answer.position) for answer in answers))
    columns = -(-most // -(-most // per_row))  # lines of equal length
    left = _EDGE + _TILE + 2 * _GAP + 10
    width = max(left + columns * (_TILE + _GAP) - _GAP + _EDGE, 640)
    top = _EDGE + (40 if title else 0)
    heights = [_band_height(answer, columns) for answer in answers]
    sheet = Image.new("RGB", (width, top + sum(heights) + _EDGE - _GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        text(draw, (_EDGE, _EDGE - 4), title, font(19, bold=True), INK, width - 2 * _EDGE)
    for number, (answer, height) in enumerate(zip(answers, heights, strict=True)):
        if number:
            draw.line([(_EDGE, top - _GAP), (width - _EDGE, top - _GAP)], fill=RULE, width=1)
        _band(sheet, draw, answer, embeddings, images, top, left, columns, metric)
        top += height
    with storage.atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)
    return Path(path)


def _band_height(answer: Answer, columns: int) -> int:
    rows = max(1, -(-len(answer.position) // columns))
    return 24 + rows * (_TILE + _CAPTION + 6) + (20 if answer.notices else 0) + _GAP


def _band(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    answer: Answer,
    embeddings: Embeddings,
    images: ImageSet | None,
    top: int,
    left: int,
    columns: int,
    metric: str,
) -> None:
    """One query and its neighbours."""
    query, same = answer.query, answer.agrees(embeddings)
    text(
        draw,
        (left, top),
        _summary(same, class_name(embeddings, query.label)),
        font(13),
        QUIET,
        sheet.width - left - _EDGE,
    )
    text(draw, (_EDGE, top), "query", font(13, bold=True), INK, _TILE)
    line = top + 24
    tile(sheet, draw, query.pixels, (_EDGE, line), _TILE, INK)
    if query.pixels is None:
        draw.text(
            (_EDGE + _TILE // 2, line + _TILE // 2),
            "x̄" if query.kind == "class" else "x",
            fill=QUIET,
            font=font(30),
            anchor="mm",
        )
    name = class_name(embeddings, query.label)
    text(draw, (_EDGE, line + _TILE + 4), name or _short(query.name), font(13, bold=True), INK, _TILE)
    detail = "mean of the class" if query.kind == "class" else _short(query.name)
    if name:
        text(draw, (_EDGE, line + _TILE + 21), detail, font(11), QUIET, _TILE)
    draw.line([(left - _GAP - 5, line), (left - _GAP - 5, line + _TILE + 30)], fill=RULE, width=1)
    for rank, position in enumerate(answer.position.tolist()):
        x = left + (rank % columns) * (_TILE + _GAP)
        y = line + (rank // columns) * (_TILE + _CAPTION + 6)
        colour = {True: AGREES, False: DIFFERS, None: QUIET}[same[rank]]
        pixels = None if images is None else picture(images, embeddings, position)
        tile(sheet, draw, pixels, (x, y), _TILE, colour)
        label = int(embeddings.labels[position])
        mark = {True: "✓ ", False: "✗ ", None: ""}[same[rank]]
        shown = class_name(embeddings, label) if label != UNKNOWN else "(unknown)"
        text(draw, (x, y + _TILE + 4), mark + str(shown), font(13), colour if mark else INK, _TILE)
        value = float(answer.similarity[rank])
        text(
            draw,
            (x, y + _TILE + 21),
            f"{value:.3f}" if metric == "cosine" else f"{-value:.4g}",
            font(11),
            QUIET,
            _TILE,
        )
    if answer.notices:
        text(
            draw, (_EDGE, top + _band_height(answer, columns) - _GAP - 22), " ".join(answer.notices), font(11), QUIET,
            sheet.width - 2 * _EDGE,
        )  # fmt: skip


def _summary(same: Sequence[bool | None], name: str | None) -> str:
    known = [s for s in same if s is not None]
    if name is None or not known:
        return f"{len(same)} nearest"
    return f"{sum(known)} of {len(known)} nearest are of the query's class, {name}"


def _short(name: str) -> str:
    """The end of a path, which tells items apart."""
    return name.replace("\\", "/").rsplit("/", 1)[-1] or name
