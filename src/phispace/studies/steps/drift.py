"""How soon do representations notice that a stream of images changes? The evaluation `drift` on several runs, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from phispace.embeddings.baselines import fit_pca, in_components, pixels
from phispace.embeddings.extract import extract_run, extract_untrained
from phispace.embeddings.store import Embeddings
from phispace.embeddings.variants import variant_stores
from phispace.evaluation.evaluate import score_table, wanted_variants
from phispace.report.document import Column, Figure, Number, Part, Row, Table
from phispace.report.figures import lines
from phispace.report.scores import store_name
from phispace.studies.runner import Context
from phispace.studies.steps.base import Outcome, Step, StepOptions
from phispace.studies.steps.train import images_of, run_of


class DriftOptions(StepOptions):
    """Options of the step `drift`."""

    runs: tuple[str, ...] = Field(min_length=1)
    layer: str = "features"
    components: int = Field(64, ge=1, description="of the baseline PCA")
    options: dict[str, Any] = Field(default_factory=dict, description="of the evaluation `drift`")
    drawn: str = Field("mmd", description="the test whose alarms are drawn")


class DriftStep(Step[DriftOptions]):
    """Drift detectors on each run's layer, its untrained encoder, pixels and PCA: false alarms, delays, alarms over
    time."""

    Options = DriftOptions

    def title(self, options: DriftOptions) -> str:
        return f"Watching streams of images with {', '.join(options.runs)}"

    def run(self, context: Context, name: str, options: DriftOptions) -> Outcome:
        asked = {"drift": options.options}
        wanted = wanted_variants(["drift"], asked)
        stores: dict[str, Embeddings] = {}
        changed: dict[str, Mapping[str, Embeddings]] = {}
        for number, identity in enumerate(options.runs):
            mine, theirs = self._of_run(context, identity, options, wanted, plain=number == 0)
            stores |= mine
            changed |= theirs
        rows = score_table(
            stores, ["drift"], options=asked, others=changed, seed=context.seed, progress=context.progress
        )
        rows = [row for row in rows if row["store"] in stores]
        learnt = set(options.runs)
        sections = [*self._figures(context, name, rows, learnt, options.drawn), *_tables(rows, learnt)]
        return Outcome({"rows": rows, "layers": list(options.runs)}, sections, _words(rows, learnt, options.drawn))

    def _of_run(
        self, context: Context, identity: str, options: DriftOptions, wanted: Mapping[str, str], *, plain: bool
    ) -> tuple[dict[str, Embeddings], dict[str, Mapping[str, Embeddings]]]:
        """Stores of the clean images by label, and of the changed ones; pixels and PCA once, with the first run."""
        run, images, layer = run_of(context, identity), images_of(context, identity), options.layer
        own = {layer: extract_run(run, images, (layer,), progress=context.progress)[layer]}
        own["untrained"] = extract_untrained(run, images, (layer,), progress=context.progress)[layer]
        components = None
        if plain:
            raw = pixels(images)
            components = fit_pca(raw, min(options.components, raw.dim))
            own |= {"pixels": raw, "pca": in_components(raw, components)}
        found = variant_stores(
            run,
            images,
            layer=layer,
            wanted=wanted,
            labels=list(own),
            components=components,
            seed=context.seed,
            progress=context.progress,
        )
        names = {
            layer: identity,
            "untrained": f"untrained {identity}",
            "pixels": "pixels",
            "pca": "PCA",
        }  # as `variant_stores` has them
        return {names[k]: store for k, store in own.items()}, {names[k]: v for k, v in found.items()}

    def _figures(
        self, context: Context, name: str, rows: Sequence[Mapping[str, Any]], learnt: set[str], test: str
    ) -> list[Part]:
        """Share of the streams in alarm over time, a picture a change."""
        sections: list[Part] = []
        told = [row for row in rows if row["details"].get("alarms")]
        changes = [key for key in (told[0]["details"]["alarms"] if told else {}) if key.endswith(f"_{test}")]
        for key in changes:
            change = key.removesuffix(f"_{test}")
            picture = context.place("figures", f"{name}-{change}.png")
            drawn = [row for row in told if row["store"] in learnt | {"pixels"} and key in row["details"]["alarms"]]
            series = {row["store"]: row["details"]["alarms"][key] for row in drawn}
            shares = told[0]["details"]["share_changed"]
            lines(
                list(range(1, len(shares) + 1)),
                series,
                picture,
                xlabel="window",
                ylabel="streams in alarm",
                form="share",
                quiet=[label for label in series if label not in learnt],
            )
            full = next((step for step, share in enumerate(shares, 1) if share >= 1), len(shares))
            sections.append(
                Figure(
                    title=_NAMES.get(change, f"When the look changes: {change.removeprefix('look_')}"),
                    path=picture.relative_to(context.out).as_posix(),
                    alt=f"Share of streams in alarm by window, {change}",
                    caption="Nothing changes: alarms are false."
                    if change == "nothing"
                    else f"The change begins with window 1 and is whole at window {full}. Detector: {test}.",
                )
            )
        return sections


_NAMES = {"nothing": "When nothing changes", "mix": "When the mix of classes changes"}


def _tables(rows: Sequence[Mapping[str, Any]], learnt: set[str]) -> list[Table]:
    """One table a detector: false alarms, the run length without change, delays by change."""
    metrics = list(rows[0]["metrics"])
    tests = [m.removeprefix("false_alarms_") for m in metrics if m.startswith("false_alarms_")]
    tables = []
    for number, test in enumerate(tests):
        shown = {m: m.removesuffix(f"_{test}").replace("_", " ") for m in metrics if m.endswith(f"_{test}")}
        shown = {
            m: title.replace("delay look", "delay,").replace("delay mix", "delay, mix") for m, title in shown.items()
        }
        if not number and "delay_mean" in metrics:
            shown["delay_mean"] = "mean delay, all detectors"
        tables.append(
            Table(
                title=f"How often is the alarm false, and how late is it? {_DETECTORS.get(test, test)}",
                label_title="Representation",
                columns=tuple(
                    Column(
                        title=title,
                        form="share" if m.startswith("false") else "number",
                        higher_is_better=None if m.startswith("run") else False,
                    )
                    for m, title in shown.items()
                ),
                rows=tuple(
                    Row(
                        label=store_name(str(row["store"])),
                        baseline=row["store"] not in learnt,
                        cells=tuple(
                            Number(value=row["metrics"].get(m), reason="Not measured on this store.") for m in shown
                        ),
                    )
                    for row in rows
                ),
                caption=""
                if number
                else " ".join(rows[0]["caveats"][-1:])
                + " Delays are in windows from the beginning of the change; no alarm counts as the length plus one.",
            )
        )
    return tables


_DETECTORS = {"mmd": "MMD", "ks": "KS by component", "classifier": "Classifier of two samples"}


def _words(rows: Sequence[Mapping[str, Any]], learnt: set[str], test: str) -> str:
    worst = max(
        (v for row in rows for m, v in row["metrics"].items() if m.startswith("false_alarms") and v is not None)
    )
    mean = {row["store"]: row["metrics"].get("delay_mean") for row in rows}
    known = {label: value for label, value in mean.items() if value is not None}
    if not known:
        return f"False alarms: at most {worst:.0%} of the windows without change."
    best = min(known, key=known.__getitem__)
    return (
        f"False alarms on at most {worst:.0%} of the windows without change; the mean delay over changes and tests is "
        f"shortest on {best} ({known[best]:.1f} windows)"
        + (f", {known['pixels']:.1f} on pixels." if "pixels" in known and best != "pixels" else ".")
    )
