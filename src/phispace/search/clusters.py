"""What clusters look like: a row a cluster, with the images nearest to its centre and its commonest class.

Whether an image is of the commonest class is said by a mark as well as by colour.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from phispace import storage
from phispace.data.imageset import ImageSet
from phispace.embeddings.store import Embeddings
from phispace.errors import InputError
from phispace.search.drawing import AGREES, DIFFERS, INK, PAPER, QUIET, RULE, font, text, tile
from phispace.search.query import class_name

_TILE = 72  # pixels a side of a drawn image
_GAP = 12
_EDGE = 28
_LEFT = 168
_ROW = _TILE + 36
_MOST_CLUSTERS = 60


def draw_clusters(
    embeddings: Embeddings,
    images: ImageSet,
    path: Path | str,
    details: Mapping[str, Any],
    *,
    title: str = "",
) -> Path:
    """Draw the clusters of an evaluation, largest first, and write a PNG.

    Args:
        embeddings: the store that was scored.
        images: its pictures, found by id.
        details: those of the scores of `clustering` or `density-clustering`, as they come or out of scores.json.
        title: a line at the top.

    Returns:
        `path`. With more than 60 clusters the largest 60 are drawn, and the sheet says so.

    Raises:
        InputError: the details hold no clusters, or name items that the store or the images do not have.
    """
    clusters = [row for row in details.get("clusters") or [] if row["size"]]
    if not clusters:
        raise InputError("There are no clusters to draw: the details of the scores name none.")
    shown = clusters[:_MOST_CLUSTERS]
    columns = max(len(row["nearest"]) for row in shown)
    width = _EDGE + _LEFT + columns * (_TILE + _GAP) - _GAP + _EDGE
    head = _EDGE + (34 if title else 0) + 26
    sheet = Image.new("RGB", (max(width, 560), head + len(shown) * _ROW + _EDGE - 12), PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        text(draw, (_EDGE, _EDGE - 6), title, font(19, bold=True), INK, sheet.width - 2 * _EDGE)
    text(draw, (_EDGE, head - 32), _legend(clusters, len(shown)), font(13), QUIET, sheet.width - 2 * _EDGE)
    places = _Places(embeddings, images, [name for row in shown for name in row["nearest"]])
    for number, row in enumerate(shown):
        top = head + number * _ROW
        if number:
            draw.line([(_EDGE, top - 10), (sheet.width - _EDGE, top - 10)], fill=RULE, width=1)
        _row(sheet, draw, row, places, top)
    with storage.atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)
    return Path(path)


class _Places:
    """Where the items that are shown stand in the store and among the images."""

    def __init__(self, embeddings: Embeddings, images: ImageSet, names: list[str]) -> None:
        self.embeddings, self.images = embeddings, images
        wanted = set(names)
        self._stored = {str(i): p for p, i in enumerate(embeddings.ids) if i in wanted}
        self._pictured = {str(i): p for p, i in enumerate(images.ids) if i in wanted}
        for what, places in (("store", self._stored), ("images", self._pictured)):
            missing = wanted - set(places)
            if missing:
                raise InputError(
                    f"The clusters name {len(missing)} items that are not in the {what}, such as {min(missing)!r}; "
                    "give the ones that were scored."
                )

    def class_of(self, name: str) -> str:
        return class_name(self.embeddings, int(self.embeddings.labels[self._stored[name]])) or "(unknown)"

    def pixels(self, name: str) -> np.ndarray:
        return np.asarray(self.images.images[self._pictured[name]])


def _row(sheet: Image.Image, draw: ImageDraw.ImageDraw, row: Mapping[str, Any], places: _Places, top: int) -> None:
    width = _LEFT - 16
    text(draw, (_EDGE, top + 12), str(row["majority"]), font(15, bold=True), INK, width)
    text(draw, (_EDGE, top + 34), f"{row['purity']:.0%} of {row['size']:,}", font(13), QUIET, width)
    for column, name in enumerate(row["nearest"]):
        x = _EDGE + _LEFT + column * (_TILE + _GAP)
        own = places.class_of(name)
        agrees = own == row["majority"]
        colour = AGREES if agrees else DIFFERS
        tile(sheet, draw, places.pixels(name), (x, top), _TILE, colour)
        text(draw, (x - 2, top + _TILE + 5), f"{'✓' if agrees else '✗'} {own}", font(11), colour, _TILE + 4)


def _legend(clusters: list[Any], shown: int) -> str:
    count = (
        f"{len(clusters)} clusters" if shown == len(clusters) else f"the largest {shown} of {len(clusters)} clusters"
    )
    return f"{count}; commonest class and its share; the items nearest to the centre, ✓ of that class or ✗ not"
