"""What is in a set of images: counts, sizes, colours, values, what was left out; and a sheet of examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from phispace import storage
from phispace.data.imageset import ImageSet
from phispace.errors import InputError

_BLOCK = 4096
_MARGIN, _GAP, _TEXT = 12, 4, 16
_SHEET_ROWS = 40


def inspect_images(images: ImageSet) -> dict[str, Any]:
    """Facts about a set, JSON-able.

    Returns:
        name, n, shape (C, H, W), classes, `counts` by split and class, `sizes`, `modes` and `formats` before conversion
        with how often each occurs, `range` (what became 0 and 255, where values were converted), `values` (minimum,
        maximum, mean and standard deviation of each channel, 0 .. 255), `quarantine`, `caveats`, `notes`, `factors`,
        `fingerprint`, `source`.
    """
    source = images.source
    return {
        "name": images.name,
        "n": len(images),
        "shape": list(images.shape),
        "classes": list(images.classes),
        "counts": images.counts(),
        "sizes": source.get("sizes", {f"{images.shape[2]}x{images.shape[1]}": len(images)}),
        "modes": source.get("modes", {}),
        "formats": source.get("formats", {}),
        "conversions": source.get("conversions", {}),
        "range": source.get("range"),
        "values": channel_values(images.images),
        "quarantine": [{"id": q.id, "reason": q.reason} for q in images.quarantine],
        "caveats": list(source.get("caveats", [])),
        "notes": [*source.get("notes", []), *source.get("layout", [])],
        "factors": factor_counts(images),
        "fingerprint": images.fingerprint,
        "source": {key: source[key] for key in ("kind", "path") if key in source},
    }


def channel_values(pixels: np.ndarray) -> list[dict[str, float]]:
    """Minimum, maximum, mean and standard deviation of each channel of uint8 (N, H, W, C)."""
    counts = np.zeros((pixels.shape[3], 256), np.int64)
    for start in range(0, len(pixels), _BLOCK):
        block = np.asarray(pixels[start : start + _BLOCK])
        for channel in range(pixels.shape[3]):
            counts[channel] += np.bincount(block[..., channel].ravel(), minlength=256)
    levels = np.arange(256, dtype=np.float64)
    rows = []
    for row in counts:
        there = np.flatnonzero(row)
        mean = float((row * levels).sum() / row.sum())
        std = float(np.sqrt((row * (levels - mean) ** 2).sum() / row.sum()))
        rows.append({"min": int(there[0]), "max": int(there[-1]), "mean": round(mean, 3), "std": round(std, 3)})
    return rows


def factor_counts(images: ImageSet) -> dict[str, int]:
    """How many values each known factor takes."""
    if images.factors is None:
        return {}
    return {name: len(np.unique(images.factors[:, k])) for k, name in enumerate(images.factor_names)}


def contact_sheet(images: ImageSet, path: Path | str, *, columns: int = 12, tile: int | None = None) -> Path:
    """Write a PNG of examples: a row a class, evenly spaced among its items; without classes, rows of any.

    Args:
        images: the set.
        path: where to write.
        columns: images a row.
        tile: side of an image on the sheet; by default the images' own, at least 32.

    Raises:
        InputError: no columns or tiles.
    """
    tile = tile or max(32, images.shape[1])
    if columns < 1 or not 4 <= tile <= 1024:
        raise InputError(f"A contact sheet needs at least 1 column and tiles of 4 to 1024; got {columns} and {tile}.")
    rows = _rows(images, columns)
    font = ImageFont.load_default(_TEXT)
    wide = max((font.getlength(name) for name, _ in rows), default=0.0)
    left = _MARGIN + round(min(wide, 260)) + _MARGIN
    width = left + columns * (tile + _GAP) + _MARGIN
    sheet = Image.new("RGB", (width, 2 * _MARGIN + len(rows) * (tile + _GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for line, (name, positions) in enumerate(rows):
        top = _MARGIN + line * (tile + _GAP)
        draw.text((_MARGIN, top + tile / 2), name, fill="black", font=font, anchor="lm")
        for column, position in enumerate(positions):
            pixels = np.asarray(images.images[position])
            picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
            if picture.width != tile:
                sampling = Image.Resampling.NEAREST if picture.width < tile else Image.Resampling.BICUBIC
                picture = picture.resize((tile, tile), sampling)
            sheet.paste(picture.convert("RGB"), (left + column * (tile + _GAP), top))
    with storage.atomic_open(path) as stream:
        sheet.save(stream, format="PNG")
    return Path(path)


def _rows(images: ImageSet, columns: int) -> list[tuple[str, np.ndarray]]:
    """Name and positions of each line of the sheet."""
    labels = images.labels
    rows = []
    for label, name in enumerate(images.classes):
        rows.append((name, _spread(np.flatnonzero(labels == label), columns)))
    unknown = np.flatnonzero(labels < 0)
    if len(unknown):
        lines = 1 if images.classes else 8
        chosen = _spread(unknown, columns * lines)
        title = "(unknown)" if images.classes else ""
        rows += [(title, chosen[start : start + columns]) for start in range(0, len(chosen), columns)]
    return [(name, positions) for name, positions in rows if len(positions)][:_SHEET_ROWS]


def _spread(positions: np.ndarray, count: int) -> np.ndarray:
    if len(positions) <= count:
        return positions
    return positions[np.linspace(0, len(positions) - 1, count).round().astype(int)]
