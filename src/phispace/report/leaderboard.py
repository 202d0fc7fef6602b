"""Runs side by side: one row a method, encoder and image set, with seeds, spread and what it cost.

One seed is an anecdote: a row says how many seeds it rests on, and the spread is the sample standard deviation over
them (none for a single seed; then the interval over test items is shown). Runs are only put into one row when nothing
but the seed differs.
"""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from phispace import storage
from phispace.errors import DataError, InputError
from phispace.report.document import Column, Form, Number, Report, Row, Table
from phispace.report.emphasis import emphasise
from phispace.report.numerals import write
from phispace.report.plaintext import csv_text, markdown_text
from phispace.report.record import encoder_name, field, images_name, method_name
from phispace.report.scores import evaluation_title, form_of, is_baseline, metric_name, number_of, primary_of
from phispace.run import Run, now

COSTS: tuple[tuple[str, Form, str], ...] = (
    ("minutes", "minutes", "result.minutes"),
    ("images seen", "count", "result.images_seen"),
    ("parameters", "count", "encoder.parameters"),
    ("multiply-adds an image", "count", "encoder.multiply_adds"),
)


def leaderboard(runs: Iterable[Run | Path | str], *, evaluations: Sequence[str] = ("linear", "knn")) -> Table:
    """A table of runs.

    Args:
        runs: runs or their directories, in any order.
        evaluations: whose primary metric is shown.

    Raises:
        InputError: no runs.
        DataError: a directory that is not a run.
    """
    opened = [run if isinstance(run, Run) else Run.open(run) for run in runs]
    if not opened:
        raise InputError("A leaderboard needs at least one run; got none.")
    groups: dict[str, list[Run]] = {}
    for run in opened:
        groups.setdefault(_identity(run), []).append(run)
    several = len({images_name(run) for run in opened}) > 1
    rows = [_row(group, evaluations, several) for group in groups.values()]
    metric = Column(title="seeds", form="count")
    columns = (metric, *(_column(opened, e) for e in evaluations), *(Column(title=t, form=f) for t, f, _ in COSTS))
    rows.sort(key=_rank, reverse=True)
    machines = sorted({str(field(run.record, "provenance.processor") or "unknown processor") for run in opened})
    return emphasise(
        Table(
            label_title="Method",
            columns=columns,
            rows=tuple(rows),
            caption="Mean ± standard deviation over seeds; for one seed the 95 % interval over test items. "
            f"Minutes on {', '.join(machines)}.",
        )
    )


def _identity(run: Run) -> str:
    """What runs of one row share: everything in the configuration but the seed, and the images' fingerprint."""
    config = json.loads(json.dumps(run.config, default=str))
    config.get("training", {}).pop("seed", None)
    config.get("images", {}).pop("data_dir", None)
    return json.dumps([config, field(run.record, "images.fingerprint")], sort_keys=True)


def _row(group: Sequence[Run], evaluations: Sequence[str], several: bool) -> Row:
    first = group[0]
    seeds = {field(run.record, "config.training.seed") for run in group}
    label = f"{method_name(first)}, {encoder_name(first)}" + (f", {images_name(first)}" if several else "")
    unfinished = [run.name for run in group if run.record.get("status") != "completed"]
    note = f"Not completed: {', '.join(unfinished)}." if unfinished else ""
    scores = [_over_seeds([_main_score(run, evaluation) for run in group], evaluation) for evaluation in evaluations]
    costs = [_mean([field(run.record, path) for run in group], form) for _, form, path in COSTS]
    return Row(label=label, cells=(Number(value=float(len(seeds)), form="count"), *scores, *costs), note=note)


def _main_score(run: Run, evaluation: str) -> Number | None:
    for entry in run.scores():
        if entry.get("evaluation") == evaluation and not is_baseline(str(entry.get("store"))):
            metric = primary_of(entry)
            return None if metric is None else number_of(entry, metric)
    return None


def _over_seeds(numbers: Sequence[Number | None], evaluation: str) -> Number:
    known = [n for n in numbers if n is not None and n.value is not None]
    if not known:
        return Number(value=None, form="share", reason=f"Not scored with {evaluation_title(evaluation)}.")
    missing = len(numbers) - len(known)
    notes = (f"{missing} of {len(numbers)} runs have no such score.",) if missing else ()
    if len(known) == 1:
        return known[0].model_copy(update={"notes": (*known[0].notes, *notes)})
    values = [n.value for n in known if n.value is not None]
    own = tuple(dict.fromkeys(note for n in known for note in n.notes))
    return Number(
        value=statistics.fmean(values), spread=statistics.stdev(values), form=known[0].form, notes=(*own, *notes)
    )


def _mean(values: Sequence[Any], form: Form) -> Number:
    known = [float(v) for v in values if isinstance(v, (int, float)) and math.isfinite(v)]
    if not known:
        return Number(value=None, form=form, reason="The run does not say.")
    return Number(value=statistics.fmean(known), form=form)


def _column(runs: Sequence[Run], evaluation: str) -> Column:
    for run in runs:
        for entry in run.scores():
            if entry.get("evaluation") == evaluation and (metric := primary_of(entry)) is not None:
                title = f"{evaluation_title(evaluation)}: {metric_name(metric)}"
                return Column(title=title, form=form_of(metric), higher_is_better=True)
    return Column(title=evaluation_title(evaluation), form="share", higher_is_better=True)


def _rank(row: Row) -> float:
    first = row.cells[1] if len(row.cells) > 1 else None
    return first.value if isinstance(first, Number) and first.value is not None else -math.inf


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


def to_json(table: Table) -> Mapping[str, Any]:
    """The table as plain JSON values, as `phispace.report.document.Table` reads them."""
    return table.model_dump(mode="json")


def write_leaderboard(table: Table, path: Path | str, *, title: str = "Leaderboard") -> Path:
    """Write the table as .md, .csv, .json or .html, by the suffix of `path`.

    Raises:
        InputError: another suffix.
    """
    path = Path(path)
    if path.suffix == ".md":
        storage.write_text(path, to_markdown(table))
    elif path.suffix == ".csv":
        storage.write_text(path, to_csv(table))
    elif path.suffix == ".json":
        storage.write_json(path, dict(to_json(table)))
    elif path.suffix == ".html":
        from phispace.report.render import render

        best = table.rows[0].label if table.rows else ""
        answer = f"Highest in the first score: {best}. Where intervals overlap the order may be chance." if best else ""
        question = "Which method learns the best representation, and at what cost?"
        render(Report(title=title, question=question, answer=answer, sections=(table,), made=now()), path)
    else:
        raise InputError(f"A leaderboard is written as .md, .csv, .json or .html; got {path.name!r}.")
    return path


def find_runs(folder: Path | str) -> list[Run]:
    """All runs below a folder, by path.

    Raises:
        DataError: there is none.
    """
    found = [Run.open(record.parent) for record in sorted(Path(folder).rglob("run.json"))]
    if not found:
        raise DataError(f"There is no run below {folder}; a run has a run.json.")
    return found
