"""A report as one HTML file: nothing is loaded from elsewhere, nothing runs, everything foreign is escaped.

The page's policy allows only its own style (by hash) and embedded pictures, so even a hole in the escaping could not
run a script or call home.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from phispace import __version__, storage
from phispace.report.document import Column, Fact, Figure, Form, Number, Report, Table
from phispace.report.embed import Embedded, address, embed
from phispace.report.numerals import NARROW, UNITS, write
from phispace.report.plaintext import clean
from phispace.report.style import dark_twin

if TYPE_CHECKING:
    from jinja2 import Environment


def render(report: Report, path: Path | str) -> Path:
    """Write the report as HTML; pictures are looked for below the directory of `path`.

    Returns:
        `path`.

    Raises:
        StorageError: the disk refused.
    """
    path = Path(path)
    storage.write_text(path, to_html(report, path.parent))
    return path


def to_html(report: Report, root: Path) -> str:
    """The page as text; pictures are looked for below `root`."""
    style = _template_text("report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    chapters = _chapters(report)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            chapters=chapters,
            style=style,
            style_hash=f"sha256-{digest}",
            version=__version__,
            embed=lambda name: embed(root, name),
            embed_dark=lambda figure: _dark(root, figure),
            embed_film=lambda name: embed(root, name, film=True),
        )
    )


def _dark(root: Path, figure: Figure) -> Embedded | None:
    """The figure as drawn for a dark page, if it was."""
    name = figure.dark or str(dark_twin(PurePosixPath(figure.path)))
    if figure.dark is None and not (root / name).is_file():
        return None
    return embed(root, name)


def _template_text(name: str) -> str:
    return (resources.files("phispace.report") / "templates" / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import DictLoader, Environment, StrictUndefined
    from markupsafe import Markup

    names = ("report.html.j2", "parts.html.j2")
    environment = Environment(
        loader=DictLoader({name: _template_text(name) for name in names}),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=_number,
        fact=_fact,
        footnotes=_footnotes,
        unit=_head_unit,
        address=address,
    )
    # The stylesheet is ours and goes in unescaped: its hash stands in the page's policy.
    environment.filters["own_style"] = lambda text: Markup(text)  # noqa: S704
    return environment


def _chapters(report: Report) -> list[dict[str, Any]]:
    """Sections grouped by title: one with a title opens a chapter, one without belongs to the one before."""
    chapters: list[dict[str, Any]] = []
    for section in report.sections:
        if section.title or not chapters:
            chapters.append({"id": f"s{len(chapters) + 1}", "title": section.title, "parts": []})
        chapters[-1]["parts"].append(section)
    return chapters


def _number(cell: Number | str | None, column_form: Form | None = None) -> Mapping[str, Any]:
    """What the template needs of a cell: text, uncertainty, and whether it is a number at all."""
    if not isinstance(cell, Number):
        return {"text": cell or "", "around": "", "numeric": False, "undefined": False, "best": False, "link": ""}
    cell = cell.formed(column_form)
    text, around = write(cell, unit=cell.form != column_form or cell.form not in UNITS)
    return {"text": text, "around": around, "numeric": True, "undefined": cell.value is None, "best": cell.best,
            "link": cell.link}  # fmt: skip


def _head_unit(column: Column) -> str:
    """The unit that a column's head names, unless its title does so in words."""
    unit = UNITS.get(column.form, "") if column.form else ""
    return "" if column.form in ("minutes", "seconds", "points") and column.form in column.title.lower() else unit


def _fact(fact: Fact) -> Mapping[str, Any]:
    if isinstance(fact.value, Number):
        text, around = write(fact.value)
        value, _, unit = text.rpartition(NARROW)
        if value and unit in (*UNITS.values(), "B", "kB", "MB", "GB", "TB"):
            return {"text": value, "unit": unit, "around": around}
        return {"text": text, "unit": "", "around": around}
    return {"text": fact.value, "unit": "", "around": ""}


def _footnotes(table: Table) -> Mapping[str, int]:
    """Every caveat of a table with its number, in order of appearance; equal ones share a number."""
    notes: dict[str, int] = {}
    for column in table.columns:
        if column.note:
            notes.setdefault(column.note, len(notes) + 1)
    for row in table.rows:
        cells = [cell for cell in row.cells if isinstance(cell, Number)]
        reasons = [note for cell in cells for note in (*((cell.reason,) if cell.value is None else ()), *cell.notes)]
        for note in (*((row.note,) if row.note else ()), *reasons):
            if note:
                notes.setdefault(note, len(notes) + 1)
    return notes
