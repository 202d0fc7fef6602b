"""A section from stored scores: what corruptions and shifts take away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from phispace.report.document import Figure, Gallery, Section
from phispace.report.figures.robustness import MAX_PANELS, Panel, robustness
from phispace.report.scores import by_options, is_baseline, short_name, store_name
from phispace.run import Run

Entry = Mapping[str, Any]


def robustness_section(run: Run, entries: Sequence[Entry], folder: str = "report") -> list[Section]:
    """Accuracy by kind and severity of each representation, one figure for each set of options."""
    figures = []
    for number, group in enumerate(by_options(entries, "robustness")):
        group = sorted(group, key=lambda e: is_baseline(str(e["store"])))
        first = next((e["details"] for e in group if (e.get("details") or {}).get("accuracy")), None)
        if first is None:
            continue
        panels = [
            Panel(short_name(str(e["store"])), _value(e["metrics"].get("clean_accuracy")), e["details"]["accuracy"])
            for e in group
            if (e.get("details") or {}).get("kinds") == first["kinds"]
        ][:MAX_PANELS]
        name = "robustness.png" if number == 0 else f"robustness-{number + 1}.png"
        words = "linear classifier" if first.get("classifier") == "linear" else "kNN classifier"
        path = robustness(
            panels, first["kinds"], first["severities"], run.path / folder / name, title=f"Accuracy of a {words}"
        )
        told = "; ".join(
            f"{store_name(str(e['store']))} keeps {e['metrics']['retained']:.0%}"
            for e in group
            if e["metrics"].get("retained") is not None
        )
        alt = f"Accuracy by corruption and severity. Of the clean accuracy {told}."
        figures.append(Figure(path=path.relative_to(run.path).as_posix(), alt=alt))
    caption = (
        "A classifier fitted on clean training images, asked about the same test images under corruptions of five "
        "severities (the kinds and constants of CIFAR-10-C)."
    )
    return (
        [Gallery(title="Does it hold when images get worse?", figures=tuple(figures), caption=caption)]
        if figures
        else []
    )


def _value(number: Any) -> float:
    return float("nan") if number is None else float(number)
