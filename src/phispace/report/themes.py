"""Many scores as one answer: grouped by the question that they answer, evaluations down and representations across."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from phispace.report.document import Column, Number, Row, Section, Table, Text
from phispace.report.scores import evaluation_title, is_baseline, primary_of, score_table

Entry = Mapping[str, Any]
THEMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Do classes come out of it?",
        (
            *("classifier", "linear", "linear-sgd", "knn", "mlp", "dense-1", "dense-2", "dense-3", "conv-block"),
            *("zero-shot",),
        ),
    ),
    ("With few labels?", ("few-labels", "episodes")),
    (
        "Are neighbours and clusters of one class?",
        ("retrieval", "clustering", "density-clustering", "separation", "hierarchy", "groups"),
    ),
    ("Does it hold on other images?", ("robustness", "shared-factors", "smoothness", "drift")),
    ("What is it like, without labels?", ("health", "intrinsic-dimension", "manifold", "sparsity", "lidar", "cka")),
    ("Are factors apart?", ("mig", "dci", "sap", "factorvae")),
)
_OTHERS = "And beyond"
_COUNTS = "In brackets: 95 % intervals."
_BOLD = "Bold: the interval lies clear of every other representation's."
FEW = 5  # up to so many evaluations make one table with representations down


def themed(entries: Sequence[Entry], *, title: str, main: Sequence[str] | None = None) -> list[Section]:
    """A table a theme, and the evaluations that could say nothing here, by reason.

    Args:
        entries: rows as of scores.json.
        title: of the chapter.
        main: labels of the results; everything else is then a baseline.
    """
    silent = _silent(entries, main)
    told = [e for e in entries if str(e["evaluation"]) not in silent]
    sections: list[Section] = []
    for theme, mine in _by_theme(told):
        table = transposed(score_table(mine, main=main), theme)
        sections.append(table.model_copy(update={"title": "" if sections else title, "notes": ()}))
    if sections:
        told_once = (f"{_COUNTS} {_BOLD}",)
        sections[-1] = sections[-1].model_copy(update={"notes": told_once})
    if silent:
        reasons: dict[str, list[str]] = {}
        for evaluation, reason in silent.items():
            reasons.setdefault(reason, []).append(evaluation_title(evaluation))
        points = tuple(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
        named = Text(title="" if sections else title, paragraphs=("Asked, and undefined here:",), points=points)
        sections.append(named)
    return sections


def _by_theme(entries: Sequence[Entry]) -> list[tuple[str, list[Entry]]]:
    known = {name: theme for theme, names in THEMES for name in names}
    rank = {name: i for i, name in enumerate(known)}
    ordered = sorted(entries, key=lambda e: rank.get(str(e["evaluation"]), len(rank)))
    groups: dict[str, list[Entry]] = {}
    for entry in ordered:
        groups.setdefault(known.get(str(entry["evaluation"]), _OTHERS), []).append(entry)
    return list(groups.items())


def _silent(entries: Sequence[Entry], main: Sequence[str] | None) -> dict[str, str]:
    """Evaluation -> why its primary metric is defined for no representation that was learnt."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(str(e["evaluation"]) for e in entries):
        mine = [e for e in entries if e["evaluation"] == name and not is_baseline(str(e["store"]), main)]
        values = [e["metrics"].get(metric) for e in mine if (metric := primary_of(e)) is not None]
        if mine and all(value is None for value in values):
            caveats = [str(c) for e in mine for c in e.get("caveats", [])]
            found[name] = _without_name(caveats[0], name) if caveats else "no reason was kept."
    return found


def _without_name(reason: str, name: str) -> str:
    """The same reason for several evaluations reads the same."""
    return reason.removeprefix(f"The evaluation {name!r} ").removeprefix("Undefined: ")


def transposed(table: Table, label_title: str = "") -> Table:
    """The table with its columns as rows; what was emphasised in a column stays so in the row.

    Columns of baselines come last, and say so; a column that is empty for this theme is left out.
    """
    rows = sorted(table.rows, key=lambda row: row.baseline)
    kept = [row for row in rows if any(cell is not None for cell in row.cells)]
    made = []
    for i, column in enumerate(table.columns):
        cells = tuple(
            cell.formed(column.form) if isinstance(cell := row.cells[i], Number) else cell for row in kept
        )  # fmt: skip
        made.append(Row(label=column.title, cells=cells))
    columns = tuple(Column(title=row.label, form="number") for row in kept)
    return table.model_copy(
        update={"columns": columns, "rows": tuple(made), "label_title": label_title, "caption": "", "title": ""}
    )
