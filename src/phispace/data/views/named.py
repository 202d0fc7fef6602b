"""Several views by one text: `simclr`, `byol-1+byol-2`, `2*simclr+6*crop(crop=[0.05, 0.3])`."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from phispace.data.views import describe_view, make_view
from phispace.errors import InputError

if TYPE_CHECKING:
    from phispace.data.views.base import View

_VIEW = re.compile(r"\s*(?:(\d+)\s*\*\s*)?([^\s()*+]+)\s*(?:\((.*)\))?\s*", re.DOTALL)
_SEPARATOR = re.compile(r"\+(?![^()]*\))")  # a plus outside brackets
_MOST = 64


def parse_views(text: str, count: int) -> list[tuple[str, dict[str, Any]]]:
    """Name and options of each of `count` views of an image.

    Args:
        text: one view, which all are drawn from, or as many as there are, joined by `+`; `N*` stands for N equal
            ones. A view is a name, with options in brackets where they differ: `simclr(blur=0.5, solarise=0.1)`.
        count: how many views there are.

    Raises:
        InputError: a name that there is not, another number of views, or what is no view.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    for part in _SEPARATOR.split(text):
        match = _VIEW.fullmatch(part)
        if match is None:
            raise InputError(
                f"Views are names joined by '+', for example byol-1+byol-2 or 2*simclr(blur=0.5); got {text!r}."
            )
        times, name, options = int(match[1] or 1), match[2], match[3]
        describe_view(name)
        if not 1 <= times <= _MOST:
            raise InputError(f"A view is repeated 1 to {_MOST} times; got {part.strip()!r}.")
        found += [(name, _options(name, options))] * times
    if len(found) == 1:
        found *= count
    if len(found) != count:
        one = "one view" if count == 1 else f"{count} views"
        raise InputError(f"This method takes {one} of each image; {text!r} names {len(found)}.")
    return found


def make_views(text: str, count: int, size: int) -> list[View]:
    """The augmentations of `parse_views` for images of this side.

    Raises:
        InputError: as `parse_views`, or an option that a view does not have or that does not fit.
    """
    return [make_view(name, size, **options) for name, options in parse_views(text, count)]


def _options(name: str, text: str | None) -> dict[str, Any]:
    if not text or not text.strip():
        return {}
    try:
        options: dict[str, Any] = tomllib.loads("options = {" + text + "}")["options"]
        return options
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"Options of a view are written as {name}(key=value, key=[value, value]); got ({text})."
        ) from error
