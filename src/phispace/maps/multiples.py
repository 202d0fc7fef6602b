"""Several maps side by side, one panel each, with one legend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from phispace.errors import InputError
from phispace.maps.base import Map
from phispace.maps.figure import INK, SOFT, new_figure, plain, save_figure
from phispace.maps.scatter import draw_legend, draw_points, plane, point_style

_PANEL = 2.5  # inches a side
_HEAD = 0.52
_LEGEND = 1.7
_GAP = 0.12
_TITLE = 10.5  # points; a title wider than its panel is made smaller


def draw_multiples(maps: Mapping[str, Map], path: Path | str, *, columns: int = 4, dpi: int = 140) -> Path:
    """Draw maps in rows of `columns` panels.

    Args:
        maps: title of a panel -> its map; all with the same classes.
        path: a .png or .svg file.

    Raises:
        InputError: no maps, or maps of different classes.
    """
    if not maps:
        raise InputError("There are no maps to draw side by side.")
    classes = {made.classes for made in maps.values()}
    if len(classes) > 1:
        raise InputError("Maps side by side share one legend; these have different classes.")
    columns = min(columns, len(maps))
    rows = -(-len(maps) // columns)
    width = columns * (_PANEL + _GAP) + _GAP + _LEGEND
    height = rows * (_PANEL + _HEAD) + _GAP
    figure = new_figure(width, height)
    first = None
    for number, (title, made) in enumerate(maps.items()):
        left = _GAP + number % columns * (_PANEL + _GAP)
        bottom = height - (number // columns + 1) * (_PANEL + _HEAD)
        axes = plane(figure, made.xy, (left / width, bottom / height, _PANEL / width, _PANEL / height))
        size, alpha = point_style(len(made.xy))
        draw_points(axes, made.xy, made.labels, len(made.classes), max(size / 6, 1.5), alpha)
        top = bottom + _PANEL
        head = figure.text(
            left / width,
            (top + 0.24) / height,
            plain(title, 60),
            size=_TITLE,
            weight="bold",
            color=INK,
            parse_math=False,
        )
        head.set_fontsize(_TITLE * min(1.0, _PANEL * figure.dpi / max(head.get_window_extent().width, 1)))
        quality = f"trust {made.quality.get('trustworthiness', float('nan')):.2f} · neighbours of one class "
        quality += f"{made.quality.get('class_agreement_representation', float('nan')):.0%}"
        figure.text(left / width, (top + 0.07) / height, quality, size=8, color=SOFT)
        if number == columns - 1:
            first = (axes, made)
    if first is not None:
        draw_legend(first[0], first[1].labels, first[1].classes)
    return save_figure(figure, path, dpi)
