"""Colours and markers of classes.

Ten colours that stay apart for readers with protanopia, deuteranopia and tritanopia (the smallest distance between two
of them is 17 in CIELAB under all three, matplotlib's default has 5); up to twenty classes by a second marker. More
classes cannot be told apart by colour: they get a hue wheel and no legend, and the picture says so.
"""

from __future__ import annotations

import colorsys

import numpy as np

COLOURS = (
    "#0072b2",
    "#ffa90e",
    "#44aa99",
    "#882255",
    "#88ccee",
    "#d55e00",
    "#332288",
    "#ddcc77",
    "#a96b59",
    "#5d3a00",
)
MARKERS = ("o", "^")
UNKNOWN_COLOUR = "#c9cdd2"
NAMED_CLASSES = len(COLOURS) * len(MARKERS)


def class_colours(n_classes: int) -> list[str]:
    """A colour (#rrggbb) for each class; from 21 classes on, hues around the wheel in three lightnesses."""
    if n_classes <= NAMED_CLASSES:
        return [COLOURS[k % len(COLOURS)] for k in range(n_classes)]
    wheel = []
    for k in range(n_classes):
        red, green, blue = colorsys.hls_to_rgb(k / n_classes, (0.42, 0.55, 0.68)[k % 3], 0.62)
        wheel.append(f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}")
    return wheel


def class_marker(label: int, n_classes: int) -> str:
    """The marker of a class: circles for the first ten, triangles for the next ten; circles where there are more."""
    return MARKERS[label // len(COLOURS)] if n_classes <= NAMED_CLASSES else MARKERS[0]


def rgb(colour: str) -> tuple[int, int, int]:
    """(red, green, blue) of 0 to 255 from #rrggbb."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def colours_of(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """uint8 (N, 3): the colour of each label; unknown labels (-1) are grey."""
    table = np.array([*(rgb(c) for c in class_colours(n_classes)), rgb(UNKNOWN_COLOUR)], np.uint8)
    return table[labels]
