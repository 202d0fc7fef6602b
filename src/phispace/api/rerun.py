"""A run repeated from its record, and what differs: weights, metrics, scores, versions, machine."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phispace.errors import DataError, InputError
from phispace.progress import SILENT, Progress
from phispace.run import Run

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet


@dataclass(frozen=True)
class Rerun:
    """What came of it.

    Attributes:
        first, again: the run and its repetition.
        weights: checkpoint -> largest difference of a weight; 0.0 is bit-equal, NaN where one of the two lacks it.
        columns: of metrics.csv -> (epochs that differ, largest difference); only those that differ.
        scores: `evaluation.metric of store` -> (before, after); only those that differ; None where not scored again.
        versions: what is another one now -> (before, after): packages, git commit, processor, precision ...
        fingerprint: of the images, the same in both.
        minutes: of training, before and after.
    """

    first: Run
    again: Run
    weights: dict[str, float]
    columns: dict[str, tuple[int, float]]
    scores: dict[str, tuple[Any, Any]] | None
    versions: dict[str, tuple[Any, Any]]
    fingerprint: str
    minutes: tuple[float | None, float | None] = field(default=(None, None))

    @property
    def equal(self) -> bool:
        """Whether weights, metrics and (if they were taken) scores are the same to the last bit."""
        return not any(d != 0 for d in self.weights.values()) and not self.columns and not self.scores

    def as_dict(self) -> dict[str, Any]:
        return {
            "first": str(self.first.path), "again": str(self.again.path), "equal": self.equal, "weights": self.weights,
            "columns": self.columns, "scores": self.scores, "versions": self.versions,
            "fingerprint": self.fingerprint, "minutes": self.minutes,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """For a terminal."""
        same = [name for name, d in self.weights.items() if d == 0]
        lines = [f"{self.again.path} repeats {self.first.path}; images {self.fingerprint[:12]}…, the same."]
        lines.append(f"Weights: {len(same)} of {len(self.weights)} checkpoints are bit-equal.")
        for name, largest in self.weights.items():
            if largest != 0:
                lines.append(f"  {name}: " + ("is in one of the two only" if math.isnan(largest) else f"{largest:.3g}"))
        lines.append("metrics.csv: " + ("the same." if not self.columns else f"{len(self.columns)} columns differ."))
        lines += [f"  {name}: {n} epochs, by up to {most:.3g}" for name, (n, most) in self.columns.items()]
        if self.scores is not None:
            lines.append("Scores: " + ("the same." if not self.scores else f"{len(self.scores)} differ."))
            lines += [f"  {name}: {_show(a)} -> {_show(b)}" for name, (a, b) in self.scores.items()]
        lines.append("Versions and machine: " + ("the same." if not self.versions else "other ones now."))
        lines += [f"  {name}: {_show(a)} -> {_show(b)}" for name, (a, b) in self.versions.items()]
        before, after = self.minutes
        if before is not None and after is not None:
            lines.append(f"Minutes: {before:.3g} then, {after:.3g} now.")
        return lines


def rerun(
    run: Run | Path | str,
    out: Path | str | None = None,
    *,
    images: ImageSet | None = None,
    data_dir: Path | None = None,
    scores: bool = False,
    progress: Progress | None = None,
) -> Rerun:
    """Train again what a run's record says: configuration, seed, threads, precision; extensions where they were made.

    Args:
        run: a completed run.
        out: directory of the repetition; by default RUN-again.
        images: for a run on images that have no name to load them by.
        data_dir: where named images lie now.
        scores: also take the scores again that the run has.

    Raises:
        InputError: a run that is not complete, or that trained nothing.
        DataError: the images are not those of the run.
        RunError: `out` is not empty.
    """
    from phispace.api.known import known_for
    from phispace.api.learn import images_of, open_run
    from phispace.run import refuse_unless_empty
    from phispace.training.config import RunConfig
    from phispace.training.settings import deep_update
    from phispace.training.train import train

    first, progress = open_run(run), progress or SILENT
    if first.record.get("kind") is not None:
        raise InputError(f"{first.path} trained nothing; it holds the scores of embeddings from elsewhere.")
    if first.record.get("status") != "completed":
        raise InputError(f"{first.path} is {first.record.get('status')}; only a completed run can be compared with.")
    target = Path(out) if out is not None else first.path.with_name(f"{first.name}-again")
    refuse_unless_empty(target)
    found = images if images is not None else images_of(first, data_dir=data_dir, progress=progress)
    expected = str(first.record["images"]["fingerprint"])
    if found.fingerprint != expected:
        raise DataError(
            f"These are not the images of {first.path}: their fingerprint is {found.fingerprint[:12]}…, "
            f"{expected[:12]}… is expected."
        )
    config = RunConfig.build(_as_chosen(first))
    extensions: Sequence[Mapping[str, Any]] = first.record.get("extensions", [])
    begun = config.with_epochs(int(extensions[0]["from"])) if extensions else config
    again = train(begun, target, images=found, progress=progress, look_up=known_for)
    for extension in extensions:
        asked = RunConfig.build(
            deep_update(again.config, {"training": {"extend": extension.get("extend", "continue")}})
        )
        again = train(
            asked, target, images=found, resume=True, epochs=int(extension["to"]), progress=progress, look_up=known_for
        )
    return Rerun(
        first,
        again,
        weights=_weights(first, again),
        columns=_columns(first, again),
        scores=_scores(first, again, found, progress) if scores else None,
        versions=_versions(first.record, again.record),
        fingerprint=expected,
        minutes=(_minutes(first), _minutes(again)),
    )


def _as_chosen(run: Run) -> dict[str, Any]:
    """The configuration with what was measured then written out, so that nothing is measured now."""
    tables = {name: dict(table) for name, table in run.config.items()}
    chosen = run.record.get("choices", {})
    for key in ("precision", "threads", "drop_last"):
        if chosen.get(key) is not None:
            tables["training"][key] = chosen[key]
    return tables


def _minutes(run: Run) -> float | None:
    value = run.record.get("result", {}).get("minutes")
    return float(value) if isinstance(value, (int, float)) else None


def _weights(first: Run, again: Run) -> dict[str, float]:
    from phispace.training.checkpoints import WEIGHTS, load_weights, read_record

    places = [{p.name: p for p in run.checkpoints()} for run in (first, again)]
    found: dict[str, float] = {}
    for name in dict.fromkeys([*places[0], *places[1]]):
        a, b = (p.get(name) for p in places)
        if a is None or b is None:
            found[name] = math.nan
        elif read_record(a)["sha256"][WEIGHTS] == read_record(b)["sha256"][WEIGHTS]:
            found[name] = 0.0
        else:
            x, y = load_weights(a), load_weights(b)
            same = set(x) == set(y) and all(x[k].shape == y[k].shape for k in x)
            largest = [float((x[k].double() - y[k].double()).abs().max()) for k in x if x[k].numel()] if same else []
            found[name] = max(largest) if largest else math.nan
    return found


def _columns(first: Run, again: Run) -> dict[str, tuple[int, float]]:
    from phispace.training.table import read_table

    tables = [{row["epoch"]: row for row in read_table(run.path / "metrics.csv")} for run in (first, again)]
    found: dict[str, tuple[int, float]] = {}
    for epoch in sorted(set(tables[0]) | set(tables[1])):
        a, b = (table.get(epoch, {}) for table in tables)
        for name in dict.fromkeys([*a, *b]):
            x, y = a.get(name), b.get(name)
            if x == y or (x != x and y != y):
                continue
            by = abs(float(x) - float(y)) if isinstance(x, (int, float)) and isinstance(y, (int, float)) else math.nan
            count, most = found.get(name, (0, 0.0))
            found[name] = (count + 1, by if math.isnan(by) or by > most else most)
    return found


def _scores(first: Run, again: Run, images: ImageSet, progress: Progress) -> dict[str, tuple[Any, Any]]:
    """Each layer and checkpoint that was scored, scored again with the same evaluations and options."""
    from phispace.api.scores import evaluate
    from phispace.report.scores import is_baseline

    entries = [entry for entry in first.scores() if not entry.get("images")]  # others' are not the run's
    wanted: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for entry in entries:
        layer, _, checkpoint = str(entry["store"]).partition(" @ ")
        if checkpoint and not is_baseline(str(entry["store"])):
            wanted.setdefault((layer, checkpoint), {})[str(entry["evaluation"])] = dict(entry.get("options") or {})
    beside = any(is_baseline(str(entry["store"])) and entry["store"] != "majority" for entry in entries)
    for (layer, checkpoint), options in wanted.items():
        evaluate(
            again, list(options), options=options, layer=layer, checkpoint=checkpoint, baselines=beside, images=images,
            progress=progress,
        )  # fmt: skip
    then, now = ({_name(e, m): v for e in run for m, v in e["metrics"].items()} for run in (entries, again.scores()))
    return {name: (then.get(name), now.get(name)) for name in then if name in now and then[name] != now[name]}


def _name(entry: Mapping[str, Any], metric: str) -> str:
    import json

    return (
        f"{entry['evaluation']}.{metric} of {entry['store']} {json.dumps(entry.get('options') or {}, sort_keys=True)}"
    )


def _versions(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    def told(record: Mapping[str, Any]) -> dict[str, Any]:
        made = record.get("provenance", {})
        git = made.get("git") or {}
        found = {"phispace": made.get("phispace"), "git commit": git.get("commit"), "changes": git.get("dirty")}
        found |= {"python": made.get("python"), **made.get("packages", {})}
        found |= {key: made.get(key) for key in ("platform", "processor", "processors")}
        return found | {key: record.get("choices", {}).get(key) for key in ("precision", "threads", "drop_last")}

    a, b = told(before), told(after)
    return {name: (a.get(name), b.get(name)) for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name)}


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "(none)" if value is None else str(value)[:40]
