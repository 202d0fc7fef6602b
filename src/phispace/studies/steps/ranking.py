"""Which metric ranks representations as downstream tasks do? Rank correlations over the stores of one or more tables.

    rho(metric) = Spearman's correlation, over the stores, of the metric and of the target (accuracy with few labels)

A metric whose lower values are better counts with its sign turned, so that +1 is always the same order. The answer is
that over learnt layers; the correlation over all representations, untrained encoders and plain baselines too, stands
beside it, since baselines far below everything else make any metric look good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from phispace.report.document import Column, Finding, Findings, Number, Row, Table
from phispace.report.scores import score_title
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions

NAN = float("nan")
LOWER_IS_BETTER = ("health.uniformity", "health.class_alignment", "health.alignment")
WITHOUT_LABELS = ("health.rankme", "health.uniformity", "health.alignment")


class RankingOptions(StepOptions):
    """Options of the step `ranking`."""

    of: tuple[str, ...] = Field(min_length=1, description="steps `evaluate`, whose tables are put together")
    target: str = "few-labels.linear_20"
    metrics: tuple[str, ...] = (
        "knn.accuracy",
        "linear.accuracy",
        "retrieval.map",
        "separation.silhouette",
        "health.rankme",
        "health.uniformity",
        "health.alignment",
        "health.class_alignment",
    )
    guess: str = ""


@dataclass(frozen=True)
class Agreement:
    """Spearman's rho of a metric, turned so that higher is better, with the target, over `n` stores; `nan` where fewer
    than 4 have both."""

    metric: str
    rho: float
    p_value: float
    n: int


class Ranking(Step[RankingOptions]):
    """Rank correlation of each metric with the accuracy of few labels, over all stores and over the learnt ones."""

    Options = RankingOptions

    def title(self, options: RankingOptions) -> str:
        return "Asking which metric ranks representations as few-label accuracy does"

    def run(self, context: Context, name: str, options: RankingOptions) -> Outcome:
        table: dict[str, dict[str, float]] = {}
        learnt: set[str] = set()
        for step in options.of:
            result = context.result(step)
            for row in result["rows"]:
                found = table.setdefault(str(row["store"]), {})
                found |= {f"{row['evaluation']}.{m}": v for m, v in row["metrics"].items() if v is not None}
            learnt |= set(result["layers"])
        table = {store: found for store, found in table.items() if options.target in found}
        everything = correlations(list(table.values()), options.metrics, options.target)
        alone = correlations([v for store, v in table.items() if store in learnt], options.metrics, options.target)
        sections: list[Any] = [_table(everything, alone, options.target)]
        words = _words(alone, options.target)
        if options.guess:
            sections.insert(0, Findings(findings=(Finding(claim=options.guess, verdict="open", answer=words),)))
        result = {
            "over": sorted(table),
            "all": [vars(a) for a in everything],
            "learnt": [vars(a) for a in alone],
        }
        return Outcome(result, sections, words)


def correlations(rows: Sequence[Mapping[str, float]], metrics: Sequence[str], target: str) -> list[Agreement]:
    """Spearman's rho of each metric, turned so that higher is better, with the target over the rows that have both."""
    from scipy import stats

    made = []
    for metric in metrics:
        both = np.array([(r[metric], r[target]) for r in rows if np.isfinite([r.get(metric, NAN), r[target]]).all()])
        rho = p_value = NAN
        if len(both) >= 4 and (np.ptp(both, axis=0) > 0).all():
            tested: Any = stats.spearmanr(both[:, 0], both[:, 1])
            sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
            rho, p_value = sign * float(tested.statistic), float(tested.pvalue)
        made.append(Agreement(metric, rho, p_value, len(both)))
    return made


def _title(key: str) -> str:
    return score_title(*key.split(".", 1))


def _table(everything: Sequence[Agreement], alone: Sequence[Agreement], target: str) -> Table:
    few = "Fewer than 4 stores have both scores, or one of them is constant."
    rows = [
        Row(
            label=_title(b.metric),
            note="" if b.metric in WITHOUT_LABELS else "reads labels",
            cells=(
                Number(value=b.rho, reason=few),
                Number(value=b.p_value, reason=few),
                Number(value=float(b.n), form="count"),
                Number(value=a.rho, reason=few),
                Number(value=float(a.n), form="count"),
            ),
        )
        for a, b in sorted(zip(everything, alone, strict=True), key=lambda pair: -np.nan_to_num(pair[1].rho, nan=-2))
    ]
    return Table(
        title="Which metric ranks representations as downstream tasks do?",
        label_title="Metric",
        columns=(
            Column(title="among learnt ones", higher_is_better=True),
            Column(title="p-value"),
            Column(title="learnt ones", form="count"),
            Column(title="among all", higher_is_better=True),
            Column(title="representations", form="count"),
        ),
        rows=tuple(rows),
        caption=f"Spearman's correlation with {_title(target)} on test, over representations; +1: the same order. "
        "Uniformity and alignment, which are better when lower, count with their sign turned. "
        "P-values are not corrected for the number of metrics; layers of one network are not independent.",
    )


def _words(found: Sequence[Agreement], target: str) -> str:
    known = sorted((a for a in found if np.isfinite(a.rho)), key=lambda a: -a.rho)
    if len(known) < 2:
        return "Too few learnt representations have both scores to compare orders."
    best, worst = known[0], known[-1]
    words = (
        f"Over {best.n} learnt representations, {_title(best.metric)} orders them most like {_title(target)} "
        f"(rank correlation {best.rho:.2f}), {_title(worst.metric)} least ({worst.rho:.2f})"
    )
    blind = next((a for a in known if a.metric in WITHOUT_LABELS), None)
    if blind is None or blind is best:
        return f"{words}."
    return f"{words}; of those that need no labels, {_title(blind.metric)} does most ({blind.rho:.2f})."
