"""Few labels in a report: the curve of a run beside its baselines', and what the clusters look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from phispace.report.document import Figure, Section
from phispace.report.figures.few_labels import few_label_curves
from phispace.report.pictures import FOLDER
from phispace.report.scores import by_options, is_baseline, store_name
from phispace.run import Run

Entry = Mapping[str, Any]
CLUSTERS = ("clustering", "density-clustering")


def few_label_section(run: Run, entries: Sequence[Entry]) -> list[Section]:
    """Accuracy over the number of labels, where it was measured; one figure for each set of options."""
    sections: list[Section] = []
    for number, group in enumerate(by_options(entries, "few-labels")):
        curves = {
            store_name(str(e["store"])): e["details"]
            for e in group
            if ((e.get("details") or {}).get("curves") or {}).get("linear")
        }
        if not curves:
            continue
        quiet = [store_name(str(e["store"])) for e in group if is_baseline(str(e["store"]))]
        classes = next(iter(curves.values())).get("classes") or []
        path = run.path / FOLDER / (f"few-labels-{number + 1}.png" if number else "few-labels.png")
        few_label_curves(
            curves, path, baselines=quiet, chance=1 / len(classes) if classes else None,
            title="Linear classifier on few labels",
        )  # fmt: skip
        sections.append(
            Figure(
                title="" if sections else "How far do few labels go?",
                path=path.relative_to(run.path).as_posix(),
                alt=f"Accuracy over the number of labelled items a class, for {', '.join(curves)}",
                caption="Means over draws of labels that all representations share; bands: 95 % intervals over them.",
            )
        )
    return sections


def cluster_section(run: Run) -> list[Section]:
    """The contact sheets of clusters that `phispace evaluate` drew."""
    sections: list[Section] = []
    for name in CLUSTERS:
        for path in sorted((run.path / "scores").glob(f"{name}-*.png")):
            if "-on-" in path.stem:
                continue  # other images than the run's own
            sections.append(
                Figure(
                    title="" if sections else "What do its clusters look like?",
                    path=path.relative_to(run.path).as_posix(),
                    alt=f"A row a cluster: the images nearest to its centre ({path.stem})",
                    caption="Each row is a cluster, largest first, with the images nearest to its centre.",
                )
            )
    return sections
