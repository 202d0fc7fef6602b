"""Score stores beside their baselines, on test, read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import Field, model_validator

from phispace.embeddings.store import Embeddings
from phispace.embeddings.variants import variant_stores
from phispace.evaluation.evaluate import score_table, wanted_variants
from phispace.registry import registry
from phispace.report.document import Fact, Number
from phispace.report.numerals import sentence
from phispace.report.scores import best_facts, primary_facts, score_section, store_name
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.embed import stores_of
from phispace.studies.steps.train import images_of, run_of


class EvaluateOptions(StepOptions):
    """Options of the step `evaluate`."""

    of: str
    evaluations: tuple[str, ...] = ("knn", "linear", "health")
    options: dict[str, dict[str, Any]] = Field(default_factory=dict, description="evaluation -> its options")
    headline: dict[str, str] = Field(
        default_factory=dict, description="evaluation -> the metric to name in the headline, if not its first one"
    )
    title: str = "How good is it?"

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = [name for name in (*self.options, *self.headline) if name not in self.evaluations]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not one of the evaluations; there are: {', '.join(self.evaluations)}")
        return self


class Evaluate(Step[EvaluateOptions]):
    """The table of scores; the rows also go into the run's scores.json."""

    Options = EvaluateOptions

    def title(self, options: EvaluateOptions) -> str:
        return f"Scoring with {', '.join(options.evaluations)}"

    def run(self, context: Context, name: str, options: EvaluateOptions) -> Outcome:
        stores = stores_of(context, options.of)
        made = context.result(options.of)
        names = list(options.evaluations)
        rows = score_table(
            stores,
            names,
            options=options.options,
            others=self._changed(context, options, made),
            seed=context.seed,
            progress=context.progress,
        )
        if not made.get("several"):  # the scores of several runs belong to the study
            run_of(context, made["run"]).add_scores(rows)
        sections = score_section(rows, title=options.title, main=tuple(made["layers"]))
        learnt = [str(layer) for layer in made["layers"]]
        side_by_side = len(learnt) > 1
        for evaluation, metric in options.headline.items():
            there = dict.fromkeys(m for row in rows if row["evaluation"] == evaluation for m in row["metrics"])
            if metric not in there:
                context.progress.say(f"{evaluation} has no metric {metric!r}, only: {', '.join(there)}.")
        named = options.headline
        facts = best_facts(rows, learnt, named) if side_by_side else primary_facts(rows, learnt[0], named)
        answer = _best_answer(facts) if side_by_side else _answer(rows, learnt[0])
        headline = [Fact(name=f.name, value=f.value, note=f.note) for f in facts if isinstance(f.value, Number)]
        return Outcome({"rows": rows, "layers": made["layers"]}, list(sections), answer, headline)

    def _changed(
        self, context: Context, options: EvaluateOptions, made: Mapping[str, Any]
    ) -> dict[str, Mapping[str, Embeddings]]:
        """What the learnt layers make of changed images, for the evaluations that ask for some."""
        wanted = wanted_variants(options.evaluations, options.options)
        found: dict[str, Mapping[str, Embeddings]] = {}
        for label, (identity, layer) in made.get("sources", {}).items() if wanted else ():
            stores = variant_stores(
                run_of(context, identity),
                images_of(context, identity),
                layer=layer,
                checkpoint=made["checkpoint"],
                wanted=wanted,
                labels=["learnt"],
                seed=context.seed,
                progress=context.progress,
            )
            found[label] = stores["learnt"]
        return found


def _best_answer(facts: Sequence[Fact]) -> str:
    """A sentence on several representations: the headline's first number, that of the first evaluation."""
    for fact in facts:
        if isinstance(fact.value, Number):
            return f"{fact.name[:1].upper()}{fact.name[1:]}: {sentence(fact.value)} on {fact.note}."
    return ""


def _answer(rows: Sequence[Mapping[str, Any]], layer: str) -> str:
    """A sentence: the layer's linear probe (or first accuracy) beside its baselines."""
    scored = [r for r in rows if r["metrics"].get("accuracy") is not None]
    own = next((r for r in scored if r["store"] == layer), None)
    if own is None:
        return ""
    same = {r["store"]: r["metrics"]["accuracy"] for r in scored if r["evaluation"] == own["evaluation"]}
    interval = own["interval"].get("accuracy")  # of an accuracy over test images; a score over votes has none
    share = f" of the test images [{interval[0]:.1%}, {interval[1]:.1%}]" if interval else ""
    others = ", ".join(f"{value:.1%} on {store_name(store)}" for store, value in same.items() if store != layer)
    title = registry("evaluations").get(own["evaluation"]).title
    return f"{title[:1].upper()}{title[1:]} on {layer}: {same[layer]:.1%}{share}" + (f"; {others}." if others else ".")
