"""What accuracy on new images costs: frozen backbones, trained ones and networks from the start, against minutes and
multiply-adds."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from phispace.metrics.intervals import wilson
from phispace.report.document import Column, Fact, Figure, Finding, Findings, Number, Part, Row, Table, Verdict
from phispace.report.figures.pareto import Cost, pareto
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.train import images_of, run_of
from phispace.studies.steps.transfer_by_labels import predicted


class TransferCostsOptions(StepOptions):
    """Options of the step `transfer-costs`."""

    frozen: tuple[str, ...] = Field((), description="steps `backbone-resolutions` whose probes are shown")
    runs: tuple[str, ...] = Field((), description="steps that trained a run")
    goal: float = Field(0.9, gt=0, lt=1, description="test accuracy that is looked for at the least cost")
    claim: str = Field(description="a guess that the goal answers")


class TransferCosts(Step[TransferCostsOptions]):
    """The table and the two pictures of accuracy against cost, and the cheapest that reaches the goal."""

    Options = TransferCostsOptions

    def title(self, options: TransferCostsOptions) -> str:
        return "Setting accuracy against minutes and multiply-adds"

    def run(self, context: Context, name: str, options: TransferCostsOptions) -> Outcome:
        rows = [row for step in options.frozen for row in _probes(context, step)]
        rows += [_classifier(context, identity) for identity in options.runs]
        rows.sort(key=lambda row: row["cpu_minutes"])
        parts: list[Part] = [_table(rows)]
        for key, title, xlabel in (
            ("cpu_minutes", "Accuracy against minutes", "processor minutes, one thread: extraction and training"),
            ("multiply_adds", "Accuracy against arithmetic", "million multiply-adds an image, forward"),
        ):
            path = context.place("figures", f"{name}-{key}.png")
            scale = 1e6 if key == "multiply_adds" else 1
            costs = [Cost(row["label"], row[key] / scale, row["accuracy"], *row["interval"]) for row in rows]
            pareto(costs, path, title=title, xlabel=xlabel)
            parts.append(
                Figure(path=path.relative_to(context.out).as_posix(), alt=title,
                       caption="Blue: nothing is as cheap and better. Bars: Wilson's interval over test images, 95 %.")
            )  # fmt: skip
        finding, answer = _goal(rows, options)
        parts.append(Findings(findings=(finding,)))
        best = max(rows, key=lambda row: row["accuracy"])
        headline: list[Part] = [Fact(name="Best", value=_share(best), note=best["label"])]
        return Outcome({"rows": rows}, parts, answer, headline)


def _probes(context: Context, step: str) -> list[dict[str, Any]]:
    several = len({row["encoder"] for row in context.result(step)["rows"]}) > 1
    return [
        {
            "label": f"frozen at {row['resolution']}{' ' + row['encoder'] if several else ''} "
            f"({row['n_train']:,} labels)",
            "trained": 0,
            **{k: row[k] for k in ("accuracy", "interval", "n_train", "n_test", "cpu_minutes", "multiply_adds")},
        }
        for row in context.result(step)["rows"]
    ]


def _classifier(context: Context, identity: str) -> dict[str, Any]:
    run, images = run_of(context, identity), images_of(context, identity)
    test = images.where("test", labelled=True)
    right = predicted(run, images, test, "best") == images.labels[test]
    n_train = int(run.record["images"]["trained_on"])
    method = run.record["method"]
    return {
        "label": f"{context.result(identity)['label']} ({n_train:,} labels)",
        "trained": method.get("trained_parameters", method["parameters"]),
        "accuracy": float(right.mean()),
        "interval": list(wilson(int(right.sum()), len(right))),
        "n_train": n_train,
        "n_test": len(right),
        "cpu_minutes": float(run.record["result"]["cpu_minutes"]),
        "multiply_adds": run.record["encoder"]["multiply_adds"],
    }


def _share(row: dict[str, Any]) -> Number:
    return Number(value=row["accuracy"], low=row["interval"][0], high=row["interval"][1], form="share")


def _table(rows: list[dict[str, Any]]) -> Table:
    return Table(
        title="What does accuracy cost?",
        label_title="Way",
        columns=(
            Column(title="test accuracy", form="share", higher_is_better=True),
            Column(title="processor minutes"),
            Column(title="multiply-adds an image", form="count"),
            Column(title="trained weights of the encoder and head", form="count"),
        ),
        rows=tuple(
            Row(
                label=row["label"],
                cells=(
                    _share(row),
                    f"{row['cpu_minutes']:.2f}",
                    Number(value=row["multiply_adds"], form="count"),
                    Number(value=row["trained"], form="count") if row["trained"] else "a linear probe",
                ),
            )
            for row in rows
        ),
        caption=f"Test accuracy on {rows[0]['n_test']:,} images, Wilson's interval, 95 %, one seed. Trained networks "
        "at the checkpoint of the lowest validation loss; probes with their strength chosen on val. Minutes are the "
        "processor's: of a frozen backbone the features of all images, val and test included, and the probe.",
    )


def _goal(rows: list[dict[str, Any]], options: TransferCostsOptions) -> tuple[Finding, str]:
    reached = [row for row in rows if row["accuracy"] >= options.goal]
    best = max(rows, key=lambda row: row["accuracy"])
    verdict: Verdict
    if reached:
        cheapest = min(reached, key=lambda row: row["cpu_minutes"])
        surely = cheapest["interval"][0] >= options.goal
        verdict = "yes" if surely else "partly"
        text = (
            f"{cheapest['label']} reaches {cheapest['accuracy']:.1%} [{cheapest['interval'][0]:.1%}, "
            f"{cheapest['interval'][1]:.1%}] in {cheapest['cpu_minutes']:.1f} processor minutes, the least of those at "
            f"or above {options.goal:.0%}."
        )
    else:
        verdict = "no"
        text = (
            f"None of these reaches {options.goal:.0%}; the best is {best['label']}, {best['accuracy']:.1%} in "
            f"{best['cpu_minutes']:.1f} processor minutes."
        )
    return Finding(claim=options.claim, verdict=verdict, answer=text), text
