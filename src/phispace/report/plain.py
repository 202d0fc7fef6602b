"""Tables outside a page: Markdown, CSV, and lines of a terminal. No format lets a foreign name become markup."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from phispace.report.document import Code, Facts, Form, Number, Report, Table, Text
from phispace.report.numerals import sentence, write
from phispace.report.plaintext import csv_text, markdown_text, one_line


def to_markdown(table: Table) -> str:
    """The table in Markdown, uncertainties included; foreign names cannot bring markup in."""
    head = [table.label_title, *(c.title for c in table.columns)]
    lines = [_pipes(map(markdown_text, head)), _pipes(["---", *("---:" for _ in table.columns)])]
    for row in table.rows:
        cells = [
            markdown_text(row.label),
            *(_written(cell, column.form) for cell, column in zip(row.cells, table.columns, strict=True)),
        ]
        lines.append(_pipes(cells))
    notes = [n for n in (table.caption, *table.notes) if n]
    return "\n".join([*lines, *(f"\n{markdown_text(n)}" for n in notes)]) + "\n"


def _pipes(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _written(cell: Number | str | None, form: Form | None) -> str:
    if not isinstance(cell, Number):
        return markdown_text(cell or "")
    text = " ".join(part for part in write(cell.formed(form)) if part)
    return f"**{text}**" if cell.best else text


def to_csv(table: Table) -> str:
    """The table as CSV: full precision, and for each measured column its low, high and spread."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    head = [table.label_title or "row", "baseline"]
    for column in table.columns:
        name = csv_text(column.title)
        head += [name, f"{name} low", f"{name} high", f"{name} spread"]
    writer.writerow(head)
    for row in table.rows:
        line: list[Any] = [csv_text(row.label), int(row.baseline)]
        for cell in row.cells:
            if isinstance(cell, Number):
                line += [*("" if v is None else repr(v) for v in (cell.value, cell.low, cell.high, cell.spread))]
            else:
                line += [csv_text(cell or ""), "", "", ""]
        writer.writerow(line)
    return stream.getvalue()


def to_lines(table: Table) -> list[str]:
    """The table for a terminal: columns aligned, uncertainties included."""
    rows = [[table.label_title, *(c.title for c in table.columns)]]
    for row in table.rows:
        cells = zip(row.cells, table.columns, strict=True)
        rows.append([one_line(row.label), *(_text(cell, column.form) for cell, column in cells)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _text(cell: Number | str | None, form: Form | None) -> str:
    if not isinstance(cell, Number):
        return one_line(cell or "")
    return " ".join(part for part in write(cell.formed(form)) if part)


def report_markdown(report: Report) -> str:
    """A report's words and tables in Markdown; pictures are left to the page."""
    parts = [f"# {markdown_text(report.title)}", markdown_text(report.answer)]
    for section in report.sections:
        if section.title:
            parts.append(f"## {markdown_text(section.title)}")
        if isinstance(section, Table):
            parts += [f"**{markdown_text(section.folded)}**"] if section.folded else []
            parts.append(to_markdown(section).rstrip())
            parts += _reasons([section])
        elif isinstance(section, Text):
            parts += [markdown_text(p) for p in section.paragraphs]
            parts += ["\n".join(f"- {markdown_text(p)}" for p in section.points)] if section.points else []
        elif isinstance(section, Code):
            parts.append("\n".join(f"    {line}" for line in section.text.splitlines()))
        elif isinstance(section, Facts):
            lines = (
                f"- {markdown_text(f.name)}: "
                + (sentence(f.value) if isinstance(f.value, Number) else markdown_text(f.value))
                for f in section.facts
            )
            parts.append("\n".join(lines))
    parts += [f"Note: {markdown_text(c)}" for c in report.caveats]
    return "\n\n".join(part for part in parts if part) + "\n"


def _reasons(tables: Sequence[Table]) -> list[str]:
    """Why cells are n/a, and what one must know of the others."""
    told = dict.fromkeys(
        note
        for table in tables
        for row in table.rows
        for cell in row.cells
        if isinstance(cell, Number)
        for note in (*((cell.reason,) if cell.value is None else ()), *cell.notes)
        if note
    )
    return ["\n".join(f"- {markdown_text(note)}" for note in told)] if told else []
