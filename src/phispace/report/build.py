"""The report of one run, from what lies in its directory. Nothing is trained and no model is loaded.

runs/NAME/ report.html   one file that can be mailed
           report.json   what it says (`phispace.report.document`)
           report/       its charts, for light and for dark pages
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from phispace.errors import DataError
from phispace.report import pictures
from phispace.report.answer import answer, main_entry
from phispace.report.document import Fact, Number, Report, Section, Text
from phispace.report.few_labels import cluster_section, few_label_section
from phispace.report.history import History, read_history
from phispace.report.latents import latent_sections
from phispace.report.priors import prior_sections
from phispace.report.record import (
    cost_facts,
    encoder_name,
    field,
    images_name,
    is_foreign,
    method_name,
    method_title,
    provenance_of,
)
from phispace.report.render import render
from phispace.report.retrieval import retrieval_section
from phispace.report.robustness import robustness_section
from phispace.report.samples import sample_sections
from phispace.report.scores import evaluation_title, metric_name, number_of, primary_of, score_section
from phispace.report.similarity import similarity_section
from phispace.report.themes import FEW, themed
from phispace.run import Run, now

Entry = Mapping[str, Any]
_STATES = {
    "running": "Training has not ended; these are its numbers so far.",
    "interrupted": "Training was interrupted; it goes on with --resume.",
    "diverged": "Training stopped at a loss that is not finite; the last good checkpoint is shown.",
    "collapsed": "Training stopped at a collapsed representation; the last checkpoint before it is shown.",
    "failed": "Training failed; what it left is shown.",
}


def write(path: Path | str) -> Path:
    """Write report.html (and report.json) of a run; a study's directory is rendered again from its report.json.

    Returns:
        the path of report.html.

    Raises:
        DataError: neither a run nor a directory with a report.
    """
    path = Path(path)
    if (path / "run.json").is_file():
        report = run_report(Run.open(path))
        report.save(path / "report.json")
    elif (path / "report.json").is_file():
        report = Report.open(path / "report.json")
    else:
        raise DataError(f"{path} holds no run.json and no report.json; a run or a study's directory is expected.")
    return render(report, path / "report.html")


def build_report(path: Path | str) -> Report:
    """The report of a directory: made anew for a run, read back for a study."""
    path = Path(path)
    if (path / "run.json").is_file():
        return run_report(Run.open(path))
    return Report.open(path / "report.json")


def run_report(run: Run) -> Report:
    """The report of a run, from run.json, metrics.csv, scores.json and maps/. Its charts go to `run.path/report/`.

    What is not there is left out, or said to be missing where a reader would look for it.

    Raises:
        DataError: a file that is there and damaged.
    """
    history = read_history(run.path / "metrics.csv")
    everything = [e for e in run.scores() if e.get("evaluation") and e.get("store")]
    entries = [e for e in everything if not e.get("images")]
    main = main_entry(entries)
    sections: list[Section] = [
        *_scores(run, entries),
        *few_label_section(run, entries),
        *pictures.curves(run, history),
        *pictures.maps(run),
        *sample_sections(run),
        *latent_sections(run),
        *pictures.confusions(run, entries),
        *retrieval_section(entries),
        *cluster_section(run),
        *robustness_section(run, entries),
        *similarity_section(run, entries),
        *prior_sections(run, entries),
        *_on_other_images(everything),
    ]
    status = str(run.record.get("status", ""))
    caveats = [_STATES[status]] if status in _STATES else []
    caveats += _image_caveats(run)
    if field(run.record, "config.training.refit"):
        caveats.append(
            "It was trained on train and val together; what a probe chooses on val is chosen on images it knows."
        )
    if not is_foreign(run):
        seed = field(run.record, "config.training.seed") or 0
        caveats += [f"One seed ({seed}): an anecdote until it is repeated."]
    sources = [n for n in ("run.json", "config.toml", "metrics.csv", "scores.json") if (run.path / n).is_file()]
    title, subtitle = f"{method_name(run)} on {images_name(run)}", f"run {run.name}, encoder {encoder_name(run)}"
    question = f"How good is the representation that {method_title(run)} learnt on {images_name(run)}?"
    if is_foreign(run):
        title, subtitle = f"Embeddings {method_name(run)}", "made by another tool"
        question = f"How good are the embeddings {method_name(run)}?"
    return Report(
        title=title,
        subtitle=subtitle,
        question=question,
        answer=answer(entries, main, history),
        headline=tuple(_headline(run, entries, main, history)),
        sections=tuple(sections),
        caveats=tuple(caveats),
        provenance=provenance_of(run, tuple(sources)),
        made=now(),
    )


def _scores(run: Run, entries: Sequence[Entry]) -> list[Section]:
    title = "How good is it, beside its baselines?"
    parts: list[Section] = list(score_section(entries, title=title))
    if not parts:
        hint = f"This run has not been scored yet. phispace evaluate {run.path.name} scores it beside its baselines."
        return [Text(title="How good is it?", paragraphs=(hint,), tone="caution")]
    table, folded = parts
    if len({e["evaluation"] for e in entries}) > FEW:
        return [*themed(entries, title=title), *pictures.score_chart(run, entries), folded]
    return [table, *pictures.score_chart(run, entries), folded]


def _on_other_images(entries: Sequence[Entry]) -> list[Section]:
    """A table for each further set of images that the run was scored on."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.get("images"):
            groups.setdefault(str(entry["images"]["name"]), []).append(entry)
    sections: list[Section] = []
    for name, mine in groups.items():
        title = f"How good is it on {name}, which it was not trained on?"
        many = len({e["evaluation"] for e in mine}) > FEW
        sections += themed(mine, title=title) if many else score_section(mine, title=title)
    return sections


def _headline(run: Run, entries: Sequence[Entry], main: Entry | None, history: History | None) -> list[Fact]:
    facts: list[Fact] = []
    if main is not None:
        first = {name: i for i, name in enumerate(("linear", "knn", "classifier"))}
        for entry in sorted(entries, key=lambda e: first.get(str(e["evaluation"]), len(first))):
            metric = primary_of(entry)
            if entry["store"] != main["store"] or metric is None or len(facts) == 3:
                continue
            number = number_of(entry, metric, caveats=False)
            title = evaluation_title(str(entry["evaluation"]))
            name = title if number.form == "share" else f"{title}: {metric_name(metric)}"
            facts.append(Fact(name=name, value=number))
    elif history is not None and math.isfinite(history.last("accuracy")):
        facts.append(Fact(name="Validation accuracy", value=Number(value=history.last("accuracy"), form="share")))
    return [*facts, *cost_facts(run)][:6]


def _image_caveats(run: Run) -> list[str]:
    caveats = [str(c) for c in field(run.record, "images.caveats", "images.source.caveats") or []]
    left_out = field(run.record, "images.quarantined", "images.quarantine")
    count = len(left_out) if isinstance(left_out, list) else left_out
    if isinstance(count, int) and count:
        caveats.append(f"{count} images could not be decoded and were left out.")
    return caveats
