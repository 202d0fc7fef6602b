"""What each training cost and what its representation is worth: the table method x minutes, and its picture."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field

from phispace.report.document import Column, Figure, Number, Part, Row, Table
from phispace.report.figures.pareto import Cost, pareto
from phispace.report.scores import score_title
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions


class CostsOptions(StepOptions):
    """Options of the step `costs`."""

    runs: tuple[str, ...] = Field(min_length=1)
    scores: str = Field(description="the step that made the table of scores over these runs' stores")
    metrics: tuple[str, ...] = ("linear.accuracy", "knn.accuracy", "health.rankme")
    title: str = "What does accuracy cost?"


class Costs(Step[CostsOptions]):
    """Scores of each run, at the first of its layers, beside its minutes, epochs, images seen, parameters and
    multiply-adds."""

    Options = CostsOptions

    def title(self, options: CostsOptions) -> str:
        return "Setting scores against minutes"

    def run(self, context: Context, name: str, options: CostsOptions) -> Outcome:
        scored: dict[str, dict[str, Any]] = {}
        for row in context.result(options.scores)["rows"]:
            found = scored.setdefault(str(row["store"]), {})
            for metric, value in row["metrics"].items():
                low, high = (row["interval"].get(metric) or (math.nan, math.nan))[:2]
                found[f"{row['evaluation']}.{metric}"] = (math.nan if value is None else value, low, high)
        rows, points = [], []
        for identity in options.runs:
            trained = context.result(identity)
            of_run = {k: v for k, v in scored.items() if k == identity or k.startswith(f"{identity} ")}
            first = options.metrics[0]
            store = next(iter(of_run), "")  # which layer counts is declared: test scores choose nothing
            values = [_number(of_run.get(store, {}), metric) for metric in options.metrics]
            encoder = trained.get("encoder", {})
            rows.append(
                Row(
                    label=trained["label"],
                    note=store.removeprefix(identity).strip(),
                    cells=(
                        *values,
                        Number(value=trained.get("minutes"), form="minutes"),
                        Number(value=trained.get("epochs"), form="count"),
                        Number(value=trained.get("images_seen"), form="count"),
                        Number(value=encoder.get("parameters"), form="count"),
                        Number(value=encoder.get("multiply_adds"), form="count"),
                    ),
                )
            )
            minutes = float(trained.get("minutes") or 0.0)
            score = float(of_run.get(store, {}).get(first, (math.nan,))[0])
            if minutes > 0 and math.isfinite(score):
                _, low, high = of_run[store][first]
                points.append(Cost(str(trained["label"]), minutes, score, low, high))
        sections: list[Part] = []
        if len(points) > 1:
            picture = context.place("figures", f"{name}.png")
            pareto(points, picture)
            sections.append(
                Figure(
                    title=options.title,
                    path=picture.relative_to(context.out).as_posix(),
                    alt=f"{score_title(*options.metrics[0].split('.', 1))} of each method against its minutes",
                    caption="Minutes of training on this machine; the steps join what nothing beats at its cost.",
                )
            )
        sections.append(
            Table(
                title="" if sections else options.title,
                label_title="Method",
                columns=(
                    *(
                        Column(title=score_title(*m.split(".", 1)), form="share" if "accuracy" in m else "number")
                        for m in options.metrics
                    ),
                    Column(title="minutes", form="minutes"),
                    Column(title="epochs", form="count"),
                    Column(title="images seen", form="count"),
                    Column(title="parameters", form="count"),
                    Column(title="multiply-adds an image", form="count"),
                ),
                rows=tuple(rows),
                caption="Each run at the first of the layers that were taken of it, named under it; one seed.",
            )
        )
        return Outcome({"runs": list(options.runs)}, sections)


def _number(found: dict[str, Any], metric: str) -> Number:
    value, low, high = found.get(metric, (math.nan, math.nan, math.nan))
    return Number(value=value, low=low, high=high, reason="Not scored." if not math.isfinite(value) else "")
