"""Retrieval by class: whose images find their own kind, as a table from stored scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from phispace.report.document import Column, Number, Row, Table
from phispace.report.scores import by_options, is_baseline, metric_name, store_name

Entry = Mapping[str, Any]
MANY = 20  # classes beyond which the table is folded
_NO_QUERY = "No query of this class has an item of its class in the gallery."


def retrieval_section(entries: Sequence[Entry], *, main: Sequence[str] | None = None) -> list[Table]:
    """Average precision, precision and recall at k by the query's class: a table a store, those of baselines folded.

    Args:
        entries: rows as of scores.json.
        main: labels (or layers) of the results; everything else is then a baseline.
    """
    sections: list[Table] = []
    for group in by_options(entries, "retrieval"):
        told = [e for e in group if (e.get("details") or {}).get("per_class")]
        for entry in sorted(told, key=lambda e: is_baseline(str(e["store"]), main)):
            quiet = is_baseline(str(entry["store"]), main) or len(entry["details"]["per_class"]) > MANY
            name = store_name(str(entry["store"]))
            table = _table(entry, name)
            title = "" if sections else "Which classes find their own kind?"
            sections.append(
                table.model_copy(update={"title": title, "folded": f"Retrieval by class: {name}" if quiet else ""})
            )
    return sections


def _table(entry: Entry, name: str) -> Table:
    """Classes as rows below all queries, measures as columns."""
    details = entry["details"]
    by_class: dict[str, Mapping[str, Any]] = {"map": details["per_class"]}
    for kind in ("precision", "recall"):
        by_class |= {f"{kind}_{k}": values for k, values in (details.get(f"per_class_{kind}") or {}).items()}
    shown = [metric for metric in by_class if entry["metrics"].get(metric) is not None]
    # Intervals stand in the table of all metrics; here they would push half of the columns off the page.
    whole = Row(label="all queries", cells=tuple(_number(entry["metrics"][m]) for m in shown))
    rows = [Row(label=c, cells=tuple(_number(by_class[m].get(c)) for m in shown)) for c in details["per_class"]]
    chosen = details.get("chosen") or {}
    gallery = "the test images themselves" if chosen.get("gallery") == "test" else "the training images"
    caption = (
        f"Test images look for their class among {gallery}, {_nearness(chosen)}, on {name}; "
        "means over the queries of a class."
    )
    if any(m.startswith("recall") for m in shown):
        caption += " Recall at k is at most k over the images of the class in the gallery."
    columns = tuple(Column(title=_title(m), form="share") for m in shown)
    return Table(label_title="Class", columns=columns, rows=(whole, *rows), caption=caption)


def _nearness(chosen: Mapping[str, Any]) -> str:
    return "by Euclidean distance" if chosen.get("metric") == "euclidean" else "by cosine similarity"


def _title(metric: str) -> str:
    kind, _, k = metric.partition("_")
    return f"{kind} at {k}" if k else metric_name(metric)


def _number(value: float | None) -> Number:
    return Number(value=value, form="share", reason="" if value is not None else _NO_QUERY)
