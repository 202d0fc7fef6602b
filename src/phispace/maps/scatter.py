"""The scatter of a map: a point an item, coloured by class or by a column, with its quality written under the title."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phispace.embeddings.store import UNKNOWN, Embeddings
from phispace.errors import InputError
from phispace.maps import REGISTRY
from phispace.maps.base import Map
from phispace.maps.figure import INK, SOFT, heading, new_figure, plain, save_figure
from phispace.maps.palette import NAMED_CLASSES, UNKNOWN_COLOUR, class_colours, class_marker

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure

RASTER_FROM = 5000
"""From so many points on an SVG holds them as one picture, for a path a point would make files of many megabytes."""


def draw_scatter(
    map: Map,
    path: Path | str,
    *,
    title: str | None = None,
    by: str = "class",
    store: Embeddings | None = None,
    point_size: float | None = None,
    alpha: float | None = None,
    width: float = 9.6,
    height: float | None = None,
    dpi: int = 160,
) -> Path:
    """Draw a map.

    Args:
        map: positions with ids, labels and quality.
        path: a .png or .svg file.
        title: by default the projection and what it shows.
        by: `class`, or a column of the store's items, for example `prediction` or `confidence`. Whole numbers that fit
            the classes are shown as classes, other numbers by a colour scale, words as classes of their own.
        store: where the column is; items are matched by id.
        point_size: area of a point in square points; by default from the number of points.
        alpha: opacity; by default from the number of points.
        width, height: in inches; with `dpi` they give the pixels of a PNG. By default the height follows the shape of
            the map.

    Raises:
        InputError: a column that is not there, ids that differ, or another suffix.
    """
    figure, axes = _sheet(map, width, height)
    title = title if title is not None else _default_title(map)
    line = subtitle(map)
    values, classes = map.labels, map.classes
    labels: np.ndarray | None = map.labels
    if by != "class":
        values = _column(map, store, by)
        labels, classes = _as_classes(values, map.classes)
        line = f"{line} · coloured by {by}"
    size, opacity = point_style(len(map.xy))
    size, opacity = point_size or size, alpha or opacity
    if labels is None:
        points = axes.scatter(
            map.xy[:, 0], map.xy[:, 1], c=values, s=size, alpha=opacity, cmap="viridis", linewidths=0,
            rasterized=len(map.xy) >= RASTER_FROM,
        )  # fmt: skip
        _scale(figure, axes, points, by)
    else:
        draw_points(axes, map.xy, labels, len(classes), size, opacity)
        if not draw_legend(axes, labels, classes):
            line = f"{line} · {len(classes)} classes: colours are not told apart"
    heading(figure, title, line)
    return save_figure(figure, path, dpi)


def _sheet(map: Map, width: float, height: float | None) -> tuple[Figure, Axes]:
    """The figure and its axes: room for the heading above and for the legend to the right (sizes in inches)."""
    left, right, head, foot = 0.29, 2.75, 0.82, 0.27
    across = max(width - left - right, 0.5 * width)
    if height is None:
        size = np.ptp(map.xy, axis=0)
        shape = float(size[1] / size[0]) if size.min() > 0 else 1.0
        entries = min(len(map.classes) + 1, NAMED_CLASSES + 1)
        height = head + foot + max(across * float(np.clip(shape, 0.6, 1.15)), 0.26 * entries)
    figure = new_figure(width, height)
    return figure, plane(figure, map.xy, (left / width, foot / height, across / width, 1 - (head + foot) / height))


def plane(figure: Figure, xy: np.ndarray, place: tuple[float, float, float, float]) -> Axes:
    """Axes without ticks that hold all points, with one scale in both directions.

    Args:
        xy: (N, 2); what must be in sight.
        place: left, bottom, width, height in shares of the figure.
    """
    axes = figure.add_axes(place)
    low, high = xy.min(axis=0), xy.max(axis=0)
    middle = (low + high) / 2
    shape = (place[2] * figure.get_figwidth()) / (place[3] * figure.get_figheight())
    tall = max(float(high[1] - low[1]), float(high[0] - low[0]) / shape) / 2 * 1.05 or 1.0
    axes.set_xlim(middle[0] - shape * tall, middle[0] + shape * tall)
    axes.set_ylim(middle[1] - tall, middle[1] + tall)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#dfe3e7")
    return axes


def point_style(n: int) -> tuple[float, float]:
    """Area (square points) and opacity of a point for n points: many points are small and let others shine through."""
    return float(np.clip(36_000 / max(n, 1), 1.5, 46)), float(np.clip(1.08 - 0.1 * np.log10(max(n, 1)), 0.45, 0.9))


def draw_points(
    axes: Axes, xy: np.ndarray, labels: np.ndarray, n_classes: int, size: float, alpha: float
) -> list[tuple[np.ndarray, PathCollection]]:
    """Points by class; unknown labels in grey behind the others.

    Known points are drawn in a fixed mixed order, so that no class covers another one only because it comes last.

    Returns:
        for each group of points drawn at once, its positions in `xy` and matplotlib's collection.
    """
    colours = np.array([*class_colours(n_classes), UNKNOWN_COLOUR])
    mixed = np.random.Generator(np.random.Philox(key=1)).permutation(len(xy))
    markers = np.array([class_marker(k, n_classes) for k in range(n_classes)] + ["o"])
    groups = [(mixed[labels[mixed] == UNKNOWN], "o", 0.8 * size, 0.75 * alpha, 1)]
    for marker in sorted(set(markers)):
        known = mixed[(labels[mixed] != UNKNOWN) & (markers[labels[mixed]] == marker)]
        groups.append((known, marker, size * (1.25 if marker == "^" else 1), alpha, 2))
    drawn = []
    for index, marker, area, opacity, layer in groups:
        if len(index):
            points = axes.scatter(
                xy[index, 0], xy[index, 1], s=area, c=colours[labels[index]].tolist(), marker=marker, alpha=opacity,
                linewidths=0, zorder=layer, rasterized=len(xy) >= RASTER_FROM,
            )  # fmt: skip
            drawn.append((index, points))
    return drawn


def draw_legend(axes: Axes, labels: np.ndarray, classes: tuple[str, ...]) -> bool:
    """A legend to the right of the axes, never over the points: the classes that are there, with their counts
    where these differ.

    Returns:
        False where there are more than twenty classes and hence no legend.
    """
    if len(classes) > NAMED_CLASSES:
        return False
    from matplotlib.lines import Line2D

    colours = class_colours(len(classes))
    handles, names = [], []
    counts = {int(k): int((labels == k).sum()) for k in np.unique(labels)}
    differ = len(set(counts.values())) > 1
    for label in [k for k in np.unique(labels) if k != UNKNOWN] + ([UNKNOWN] if (labels == UNKNOWN).any() else []):
        colour = UNKNOWN_COLOUR if label == UNKNOWN else colours[label]
        marker = "o" if label == UNKNOWN else class_marker(label, len(classes))
        handles.append(Line2D([], [], linestyle="", marker=marker, markersize=8, color=colour, markeredgewidth=0))
        name = "(unknown)" if label == UNKNOWN else plain(classes[label], 24)
        names.append(f"{name}  {counts[int(label)]:,}" if differ else name)
    legend = axes.legend(
        handles,
        [str(k) for k in range(len(names))],
        loc="upper left",
        bbox_to_anchor=(1.015, 1.0),
        borderaxespad=0,
        frameon=False,
        fontsize=10,
        handletextpad=0.3,
        labelspacing=0.55,
        labelcolor=INK,
    )
    # Names are set afterwards: matplotlib drops labels that begin with an underscore and reads $ as mathematics.
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)
    return True


def subtitle(map: Map) -> str:
    """One honest line: the method, how many items, and how much of the neighbourhoods the picture keeps."""
    parts = [_method_title(map.method), f"{len(map.xy):,} items"]
    for key, words in (
        ("trustworthiness", "trustworthiness {:.3f}"),
        ("knn_recall", "{:.0%} of nearest neighbours kept"),
    ):
        value = map.quality.get(key, float("nan"))
        if np.isfinite(value):
            parts.append(words.format(value))
    parts += map.info.get("caveats", [])
    return " · ".join(parts)


def _method_title(method: str) -> str:
    return str(REGISTRY.get(method).title) if method in REGISTRY.names() else method


def _default_title(map: Map) -> str:
    source = map.info.get("source", {})
    what = [str(source[key]) for key in ("layer", "images") if source.get(key)]
    return f"{_method_title(map.method)} of {' of '.join(what)}" if what else f"{_method_title(map.method)} map"


def _column(map: Map, store: Embeddings | None, name: str) -> np.ndarray:
    """The column's values in the order of the map."""
    if store is None:
        raise InputError(f"To colour by {name!r} the embeddings store that has this column is needed (store=...).")
    values = store.column(name)
    if values is None:
        raise InputError(f"The store has no column {name!r}; it has {', '.join(store.items.column_names)}.")
    order = {str(i): row for row, i in enumerate(store.ids)}
    missing = [str(i) for i in map.ids if str(i) not in order]
    if missing:
        raise InputError(f"{len(missing)} items of the map are not in the store, {missing[0]!r} for example.")
    return values[[order[str(i)] for i in map.ids]]


def _as_classes(values: np.ndarray, classes: tuple[str, ...]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels and their names, where the values are categories; None where they are a scale."""
    if np.issubdtype(values.dtype, np.integer) and classes and values.min() >= UNKNOWN and values.max() < len(classes):
        return values.astype(np.int64), classes
    if np.issubdtype(values.dtype, np.number):
        return None, ()
    words = np.array(["" if v is None else str(v) for v in values])
    known = set(words) - {""}
    names = list(classes) if known <= set(classes) else sorted(known)
    place = {name: k for k, name in enumerate(names)} | {"": UNKNOWN}
    return np.array([place[w] for w in words], np.int64), tuple(names)


def _scale(figure: Figure, axes: Axes, points: Any, name: str) -> None:
    """A colour scale to the right of the axes."""
    box = axes.get_position()
    bar = figure.colorbar(
        points, cax=figure.add_axes((box.x1 + 0.02, box.y0 + box.height * 0.45, 0.018, box.height * 0.49))
    )
    if bar.solids is not None:
        bar.solids.set_alpha(1)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=9, colors=SOFT, length=0)
    bar.ax.set_title(plain(name, 20), fontsize=10, color=INK, loc="left", parse_math=False)
