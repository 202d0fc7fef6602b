"""A leaderboard as a page and as files: every number leads to its run and to the command that repeats it."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from phispace import storage
from phispace.errors import InputError
from phispace.report.document import (
    Code,
    Column,
    Figure,
    Form,
    Gallery,
    Number,
    Provenance,
    Report,
    Row,
    Section,
    Table,
    Text,
)
from phispace.report.entrants import Entrant, Score
from phispace.report.few_labels_board import few_label_figure
from phispace.report.figures import heat
from phispace.report.figures.pareto import Cost, frontier, pareto
from phispace.report.leaderboard import MAX_COLUMNS, Board, rerun_command, score_column, score_command
from phispace.report.numerals import sentence
from phispace.report.plain import report_markdown, to_csv, to_lines
from phispace.report.plaintext import csv_text
from phispace.report.record import field
from phispace.report.scores import evaluation_title, form_of, is_higher_better, score_title
from phispace.report.standing import Pair
from phispace.run import now, safe_name

SUFFIXES = (".html", ".md", ".csv", ".json")


@dataclass(frozen=True)
class Leaderboard:
    """Boards, one for each set of images, and how they are shown.

    Attributes:
        boards: at least one.
        title: of the page.
        command: what makes it again.
    """

    boards: tuple[Board, ...]
    title: str = "Leaderboard"
    command: str = ""

    def lines(self) -> list[str]:
        """For a terminal: the tables, and the differences in the first score."""
        lines: list[str] = []
        for board in self.boards:
            lines += [f"{board.images}:", *to_lines(board.table())]
            if board.scores and board.pairs[board.scores[0].key]:
                lines += ["", *to_lines(pairs_table(board.pairs[board.scores[0].key], board.scores[0]))]
            lines.append("")
        return lines[:-1]

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {"format": "phispace.leaderboard", "title": self.title, "boards": [b.as_dict() for b in self.boards]}

    def save(self, path: Path | str) -> list[Path]:
        """Write as .html, .md, .csv or .json by the suffix; a path without one is a directory that gets all four.

        Raises:
            InputError: another suffix.
            StorageError: the disk refused.
        """
        path = Path(path)
        if not path.suffix:
            return [p for suffix in SUFFIXES for p in self.save(path / f"leaderboard{suffix}")]
        if path.suffix not in SUFFIXES:
            raise InputError(
                f"A leaderboard is written as {', '.join(SUFFIXES)}, or to a directory; got {path.name!r}."
            )
        if path.suffix == ".csv":
            storage.write_text(path, _csv(self.boards))
        elif path.suffix == ".json":
            storage.write_json(path, self.as_dict())
        elif path.suffix == ".md":
            storage.write_text(path, report_markdown(self.report(path.parent, None)))
        else:
            from phispace.report.render import render

            render(self.report(path.parent, f"{path.stem}-figures"), path)
        return [path]

    def report(self, root: Path, figures: str | None) -> Report:
        """The page.

        Args:
            root: directory of the page; links are relative to it.
            figures: folder below it for the pictures; None draws none.
        """
        links = {run.path: f"#run-{i + 1}" for i, run in enumerate(r for b in self.boards for r in b.runs)}
        sections: list[Section] = []
        for board in self.boards:
            sections += _sections(board, links, root, figures, several=len(self.boards) > 1)
        caveats = []
        if any(e.seeds == 1 for b in self.boards for e in b.entrants if not e.baseline):
            caveats.append("A row with one seed is an anecdote: its interval says nothing of other seeds.")
        return Report(
            title=self.title,
            question="Which method learns the best representation, and at what cost?",
            answer=" ".join(said for board in self.boards if (said := answer(board))),
            sections=(*sections, *_sources(self.boards, links, root)),
            caveats=tuple(caveats),
            provenance=Provenance(command=self.command),
            made=now(),
        )


def answer(board: Board) -> str:
    """Who leads, by how much, and whether that may be chance."""
    if not board.scores:
        return f"No run on {board.images} has been scored yet."
    score, learnt = board.scores[0], [e for e in board.entrants if not e.baseline]
    best = learnt[0]
    reached = board.measured[best.label, score.key]
    if not math.isfinite(reached.value):
        return f"No run on {board.images} has been scored with {evaluation_title(score.evaluation)}."
    low, high = reached.interval or (None, None)
    own = sentence(Number(value=reached.value, low=low, high=high, form=form_of(score.metric)))
    what = score_title(score.evaluation, score.metric)
    said = (
        f"On {board.images}, {best.label} stands first ({what} {own}, {_seeds(best)}).{_beside(board, reached.value)}"
    )
    for pair in board.pairs[score.key]:
        if pair.a is best and not pair.b.baseline:
            return f"{said} {_ahead(pair)}"
    return said


def _beside(board: Board, reached: float) -> str:
    """What the best baseline has of the first score, a sentence; empty without one."""
    score = board.scores[0]
    sign = -1.0 if is_higher_better(score.evaluation, score.metric) is False else 1.0
    values = {e.label: board.measured[e.label, score.key].value for e in board.entrants if e.baseline}
    values = {label: value for label, value in values.items() if math.isfinite(value)}
    if not values:
        return ""
    label = max(values, key=lambda k: sign * values[k])
    value = sentence(Number(value=values[label], form=form_of(score.metric)))
    if sign * values[label] < sign * reached:
        return f" The best baseline, {label}, has {value}."
    return f" That is not above the best baseline, {label}, which has {value}."


def _seeds(entrant: Entrant) -> str:
    return f"{entrant.seeds} seed" + ("s" if entrant.seeds > 1 else "")


def _ahead(pair: Pair) -> str:
    e = pair.estimate
    form: Form = "points" if form_of(pair.score.metric) == "share" else "number"
    low, high = e.interval if math.isfinite(e.interval[0]) else (None, None)
    by = sentence(Number(value=e.value, low=low, high=high, form=form)).removeprefix("+")
    if low is None or high is None or not math.isfinite(pair.corrected):
        return f"It is {by} ahead of {pair.b.label}; there is no test of that ({e.test})."
    over = "" if min(e.seeds) > 1 else "; one of the two has a single seed, of whose luck this says nothing"
    chance = "that may be chance" if low <= 0 <= high or pair.corrected > 0.05 else "more than chance"
    p = sentence(Number(value=pair.corrected))
    return f"It is {by} ahead of {pair.b.label}: {chance} (p = {p}, Holm{over})."


def _sections(board: Board, links: Mapping[Path, str], root: Path, figures: str | None, several: bool) -> list[Section]:
    prefix = f"{board.images}: " if several else ""
    table = board.table(links)
    sections: list[Section] = [table.model_copy(update={"title": f"{prefix}Which is best, and what does it cost?"})]
    sections += _cost_figure(board, root, figures)
    sections += few_label_figure(board, root, figures, prefix)
    if len(board.scores) > MAX_COLUMNS:
        rest = board.table(links, board.scores)
        folded = "All scores" if len(board.scores) > 2 * MAX_COLUMNS else ""
        sections.append(rest.model_copy(update={"title": f"{prefix}All scores", "folded": folded}))
    first = True
    for score in board.scores:
        found = board.pairs[score.key]
        if not found:
            continue
        made = pairs_table(found, score)
        name = score_column(score).title
        title = f"{prefix}Is the difference more than chance?" if first else ""
        sections.append(made.model_copy(update={"title": title, "folded": "" if first else f"Differences in {name}"}))
        first = False
    return [*sections, *_correlation_sections(board, prefix, root, figures)]


def pairs_table(found: Sequence[Pair], score: Score) -> Table:
    """Differences of one score, with their tests."""
    share = form_of(score.metric) == "share"
    title = score_column(score).title
    rows = []
    for pair in found:
        e = pair.estimate
        low, high = e.interval if math.isfinite(e.interval[0]) else (None, None)
        notes = () if low is not None else (f"No interval: {e.test}.",)
        value = Number(value=e.value, low=low, high=high, form="points" if share else "number", notes=notes)
        p = Number(value=pair.corrected, reason=f"No test: {e.test}.")
        told = [str(n) if _seeded(who) else "–" for who, n in zip((pair.a, pair.b), e.seeds, strict=True)]
        seeds = " / ".join(told)
        rows.append(Row(label=f"{pair.a.label} − {pair.b.label}", cells=(value, p, seeds, e.test)))
    return Table(
        label_title=title,
        columns=(
            Column(title="difference", form="points" if share else "number"),
            Column(title="p (Holm)", form="number"),
            Column(title="seeds"),
            Column(title="test"),
        ),
        rows=tuple(rows),
        caption="On the same test items. 95 % intervals of each pair by itself; p-values are corrected for the number "
        "of pairs (Holm). With one seed each they speak of these two trained networks, not of the methods.",
    )


def _seeded(entrant: Entrant) -> bool:
    """Whether another seed would change it: pixels and their components have none."""
    return not entrant.baseline or entrant.store.startswith("untrained")


def _cost_figure(board: Board, root: Path, figures: str | None) -> list[Section]:
    if figures is None or not board.scores:
        return []
    score, points = board.scores[0], []
    for entrant in board.entrants:
        known = [field(run.record, "result.minutes") for run in entrant.runs]
        minutes = [float(m) for m in known if isinstance(m, (int, float)) and m > 0]
        reached = board.measured[entrant.label, score.key]
        if not entrant.baseline and minutes and math.isfinite(reached.value):
            low, high = reached.interval or (None, None)
            points.append(Cost(entrant.label, sum(minutes) / len(minutes), reached.value, low, high))
    if len(points) < 2:
        return []
    rivals = [e for e in board.entrants if e.baseline and math.isfinite(board.measured[e.label, score.key].value)]
    best = max(rivals, key=lambda e: board.measured[e.label, score.key].value, default=None)
    level = None if best is None else (best.label, board.measured[best.label, score.key].value)
    name = score_column(score).title
    form: Literal["share", "number"] = "share" if form_of(score.metric) == "share" else "number"
    file = f"{figures}/cost-{safe_name(board.images)}.png"
    pareto(points, root / file, title=f"{name} against minutes of training", form=form, level=level)
    on = ", ".join(p.name for p in frontier(points))
    caption = (
        "Dots on the line are beaten by none that is as cheap (95 % intervals; minutes are means over seeds). "
        "The dashed line is the best baseline, which costs no training."
    )
    alt = f"{name} against minutes; not beaten at their cost: {on}"
    return [Figure(title="What does accuracy cost?", path=file, alt=alt, caption=caption)]


def _correlation_sections(board: Board, prefix: str, root: Path, figures: str | None) -> list[Section]:
    known = [c for c in board.correlations if math.isfinite(c.rho)]
    title = f"{prefix}Do the metrics agree on the order?"
    learnt = sum(not e.baseline for e in board.entrants)
    if len(board.scores) < 2:
        return []
    if not known:
        said = (
            f"Spearman's rank correlation between two metrics needs at least 3 methods that have both; of the {learnt} "
            "here fewer do."
        )
        return [Text(title=title, paragraphs=(said,))]
    rows = tuple(
        Row(
            label=f"{c.a.key} and {c.b.key}",
            cells=(
                Number(value=c.rho, form="number", reason="Fewer than 3 methods have both, or one is constant."),
                Number(value=c.p_value, form="number", reason="Undefined like the correlation."),
                Number(value=float(c.n), form="count"),
            ),
        )
        for c in board.correlations
    )
    columns = (Column(title="Spearman's ρ"), Column(title="p"), Column(title="n", form="count"))
    caption = f"Over {learnt} methods; baselines do not count. Few methods make large correlations by chance."
    folded = "The correlations as numbers" if len(board.scores) > 2 and figures else ""
    table = Table(label_title="Metrics", columns=columns, rows=rows, caption=caption, folded=folded)
    if not folded:
        return [table.model_copy(update={"title": title})]
    order = [s.key for s in board.scores]
    values = np.full((len(order), len(order)), np.nan)
    np.fill_diagonal(values, 1.0)
    for c in board.correlations:
        i, j = order.index(c.a.key), order.index(c.b.key)
        values[i, j] = values[j, i] = c.rho
    file = f"{figures}/agreement-{safe_name(board.images)}.png"
    heat(values, order, order, root / file, title="Rank correlation of metrics", label="Spearman's ρ", bounds=(-1, 1))
    drawn = Figure(path=file, alt="Rank correlations between metrics as a heat map", caption=caption)
    return [Gallery(title=title, figures=(drawn,)), table]


def _sources(boards: Sequence[Board], links: Mapping[Path, str], root: Path) -> list[Section]:
    """Each run with its report and the commands that repeat it; what links of the tables lead to."""
    rows, commands = [], []
    for board in boards:
        for entrant in board.entrants:
            for run in entrant.runs if not entrant.baseline else ():
                page = run.path / ("report.html" if (run.path / "report.html").is_file() else "run.json")
                link = Path(os.path.relpath(page, root)).as_posix()
                seed = field(run.record, "config.training.seed", "seed")
                status = str(field(run.record, "status") or "")
                minutes = Number(value=field(run.record, "result.minutes"), form="minutes", reason="Not trained here.")
                cells = (entrant.label, str("" if seed is None else seed), status, minutes, rerun_command(run))
                name = f"{run.path.parent.name}/{run.name}" if run.path.parent.name else run.name
                anchor = links[run.path].removeprefix("#")
                rows.append(Row(label=name, cells=cells, link="" if ":" in link else link, anchor=anchor))
                commands += [rerun_command(run), score_command(run, entrant, board.scores)]
    plain = [Column(title=name) for name in ("method", "seed", "status")]
    columns = (*plain, Column(title="minutes", form="minutes"), Column(title="repeat it"))
    title = "Where do the numbers come from?"
    table = Table(title=title, label_title="Run", columns=columns, rows=tuple(rows))
    code = Code(
        text="\n".join(dict.fromkeys(commands)), caption="Commands that train and score each run again", folded=True
    )
    return [table, code]


def _csv(boards: Sequence[Board]) -> str:
    """All boards in one table, with the images as a column; what a board lacks is empty."""
    rows: list[dict[str, str]] = []
    for board in boards:
        part = csv.DictReader(io.StringIO(to_csv(board.table(scores=board.scores))))
        runs = {e.label: " ".join(run.path.as_posix() for run in e.runs) for e in board.entrants}
        for entrant, row in zip(board.entrants, part, strict=True):
            rows.append({"images": csv_text(board.images), **row, "runs": csv_text(runs[entrant.label])})
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(dict.fromkeys(k for row in rows for k in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()
