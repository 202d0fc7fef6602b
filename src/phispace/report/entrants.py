"""Who takes part in a comparison: runs that differ only by their seed are one entrant, and so are their baselines.

Runs meet only where their test images are the same, by the images' fingerprint.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from phispace.errors import DataError, InputError
from phispace.evaluation.items import Items
from phispace.report.record import encoder_name, field, images_name, is_foreign, method_name
from phispace.report.scores import BASELINES, is_baseline, primary_of, rule, store_name
from phispace.run import Run

Entry = Mapping[str, Any]
# What changes how a run is watched or where it lies, and not what it learns.
_WATCHING = (
    *("seed", "tensorboard", "log_every", "checkpoint_seconds", "checkpoint_steps", "health_every", "health_items"),
    "checkpoints",
)


@dataclass(frozen=True)
class Score:
    """What is compared: a metric of an evaluation under the same options."""

    evaluation: str
    metric: str
    options: str

    @property
    def key(self) -> str:
        return f"{self.evaluation}.{self.metric}"

    def entry_of(self, entries: Iterable[Entry], store: str) -> Entry | None:
        """The entry of this score on this store."""
        for entry in entries:
            same = entry["evaluation"] == self.evaluation and entry["store"] == store
            if same and self.metric in entry["metrics"] and options_text(entry) == self.options:
                return entry
        return None


@dataclass(frozen=True)
class Entrant:
    """One row: a method, encoder and settings over its seeds, or a baseline.

    Attributes:
        label: for people; unique in a board.
        runs: that differ by their seed alone (of a baseline: the runs whose scores have it).
        store: the label of the scored store in these runs.
        baseline: whether nobody trained it.
    """

    label: str
    runs: tuple[Run, ...]
    store: str
    baseline: bool = False

    @cached_property
    def seeds(self) -> int:
        return len({field(run.record, "config.training.seed", "seed") for run in self.runs})

    def entries(self, score: Score) -> list[tuple[Run, Entry]]:
        """Runs that have this score, with a value, and their entries."""
        found = [(run, score.entry_of(scored(run), self.store)) for run in self.runs]
        return [(run, e) for run, e in found if e is not None and e["metrics"][score.metric] is not None]

    def items(self, score: Score) -> list[Items] | None:
        """The stored items of this score in each run that has it, or None where one has none."""
        found = []
        for run, entry in self.entries(score):
            path = field(entry, "items.path")
            if not path or not (run.path / str(path)).is_file():
                return None
            items = Items.open(run.path / str(path))
            if score.metric not in items.values:
                return None
            found.append(items)
        return found or None


def scored(run: Run) -> list[Entry]:
    """The scores of a run on its own images, read once."""
    cached: list[Entry] | None = run.__dict__.get("_entries")
    if cached is None:
        cached = [e for e in run.scores() if e.get("evaluation") and e.get("store") and not e.get("images")]
        run.__dict__["_entries"] = cached
    return cached


def options_text(entry: Entry) -> str:
    """The options of an entry in one canonical text."""
    return json.dumps(entry.get("options") or {}, sort_keys=True, default=str)


def open_runs(sources: Iterable[Run | Path | str]) -> list[Run]:
    """Runs by their directories; a folder without a run.json gives all runs below it.

    Raises:
        InputError: nothing was named.
        DataError: a folder without any run.
    """
    found: dict[Path, Run] = {}
    for source in sources:
        if isinstance(source, Run):
            some = [source]
        elif (Path(source) / "run.json").is_file():
            some = [Run.open(source)]
        else:
            some = find_runs(source)
        found |= {run.path.resolve(): run for run in some}
    if not found:
        raise InputError("A comparison needs at least one run; got none.")
    return list(found.values())


def find_runs(folder: Path | str) -> list[Run]:
    """All runs below a folder, by path.

    Raises:
        DataError: there is none.
    """
    found = [Run.open(record.parent) for record in sorted(Path(folder).rglob("run.json"))]
    if not found:
        there = "" if Path(folder).exists() else "; it does not exist"
        raise DataError(f"There is no run below {folder}{there}; a run has a run.json.")
    return found


def by_images(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Name of the images -> the runs on them; images of one name and different content are kept apart."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((images_name(run), str(field(run.record, "images.fingerprint"))), []).append(run)
    names = Counter(name for name, _ in groups)
    return {name if names[name] == 1 else f"{name} ({mark[:8]}…)": found for (name, mark), found in groups.items()}


def entrants(runs: Sequence[Run], *, layer: str | None = None, baselines: bool = True) -> list[Entrant]:
    """The entrants of runs on the same images, in the order of the runs; baselines last.

    Args:
        layer: only stores of this layer; by default the one that most of an entrant's runs were scored on.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(_identity(run), []).append(run)
    made = []
    for group, label in zip(groups.values(), _labels(list(groups.values())), strict=True):
        store = _store_of(group, layer)
        kept = "features" if store.startswith("features @") or is_foreign(group[0]) else store.split(" @ ")[0]
        made.append(Entrant(label if kept == "features" else f"{label}, {kept}", tuple(group), store))
    return [*made, *(_baseline_entrants(list(groups.values())) if baselines else [])]


def _baseline_entrants(groups: Sequence[Sequence[Run]]) -> list[Entrant]:
    made: dict[str, list[Run]] = {}
    for group in groups:
        for run in group:
            for store in dict.fromkeys(str(e["store"]) for e in scored(run) if is_baseline(str(e["store"]))):
                shown = f"{encoder_name(run)}, untrained" if rule(store) == "untrained" else store_name(store)
                more = store.partition(" @ ")[0].partition(" ")[2]
                if rule(store) == "untrained" and more:
                    shown += f", {more}"
                if rule(store) == "pca" and not more:
                    width = field(run.record, "encoder.width")
                    shown += f" ({width})" if width else ""
                made.setdefault(f"{store}\x1f{shown}", []).append(run)
    order = sorted(made, key=lambda key: BASELINES.index(rule(key.split("\x1f")[0])))
    found = []
    for key in order:
        store, label = key.split("\x1f")
        # All seeds meet the same pixels, components and majority: one run tells them.
        runs = made[key] if rule(store) == "untrained" else made[key][:1]
        distinct = {field(run.record, "config.training.seed", "seed"): run for run in runs}
        found.append(Entrant(label, tuple(distinct.values()), store, baseline=True))
    return found


def _identity(run: Run) -> str:
    """What the runs of one entrant share: everything in the configuration but the seed and how it was watched."""
    config = json.loads(json.dumps(run.config, default=str))
    for key in _WATCHING:
        config.get("training", {}).pop(key, None)
    config.get("images", {}).pop("data_dir", None)
    config.pop("embeddings", None)
    return json.dumps([config, field(run.record, "images.fingerprint")], sort_keys=True)


def _store_of(group: Sequence[Run], layer: str | None) -> str:
    stores: Counter[str] = Counter()
    for run in group:
        labels = dict.fromkeys(str(e["store"]) for e in scored(run) if not is_baseline(str(e["store"])))
        stores.update(s for s in labels if layer is None or s.split(" @ ")[0] == layer)
    if not stores:
        return f"{layer or 'features'} @ best"
    most = max(stores.values())
    first = [s for s, n in stores.items() if n == most]
    return next((s for s in first if s == "features @ best"), first[0])


def _labels(groups: Sequence[Sequence[Run]]) -> list[str]:
    """Method and encoder; where that does not tell groups apart, the settings in which they differ."""
    plain = [_plain_label(group[0]) for group in groups]
    labels = []
    for label, group in zip(plain, groups, strict=True):
        rivals = [_flat(other[0].config) for other, name in zip(groups, plain, strict=True) if name == label]
        own = _flat(group[0].config)
        keys = sorted({k for r in rivals for k in r if r[k] != own.get(k, r[k])}, key=_tells)
        told = [f"{k.split('.')[-1]} {own[k]}" for k in keys if own[k] != "None"][:3]
        labels.append(f"{label} ({', '.join(told)})" if told else label)
    counts = Counter(labels)
    return [f"{n} ({g[0].name})" if counts[n] > 1 else n for n, g in zip(labels, groups, strict=True)]


def _tells(key: str) -> tuple[int, str]:
    """The method's own settings tell most, how the work was done least."""
    tables = ("method.", "encoder.", "images.")
    return next((i for i, table in enumerate(tables) if key.startswith(table)), len(tables)), key


def _plain_label(run: Run) -> str:
    return method_name(run) if is_foreign(run) else f"{method_name(run)}, {encoder_name(run)}"


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        elif f"{prefix}{key}" != "images.data_dir" and not (prefix == "training." and key in _WATCHING):
            found[f"{prefix}{key}"] = str(value)
    return found


def scores_of(found: Sequence[Entrant], wanted: Sequence[str] | None = None) -> list[Score]:
    """What can be compared: the primary metric of each evaluation, under the options that most runs were scored with.

    Args:
        wanted: evaluations, or `evaluation.metric`, in this order; by default all that any entrant has.
    """
    options: dict[tuple[str, str], Counter[str]] = {}
    for entrant in found:
        for run in entrant.runs if not entrant.baseline else ():
            for entry in scored(run):
                primary = primary_of(entry)
                if entry["store"] != entrant.store or primary is None:
                    continue
                for metric in entry["metrics"]:
                    options.setdefault((str(entry["evaluation"]), metric), Counter())[options_text(entry)] += 1
                options.setdefault((str(entry["evaluation"]), ""), Counter())[primary] += 1
    names = wanted if wanted is not None else [e for e, metric in options if not metric]
    made = []
    for name in names:
        evaluation, _, metric = name.partition(".")
        known = options.get((evaluation, ""))
        metric = metric or (known.most_common(1)[0][0] if known else "")
        used = options.get((evaluation, metric))
        made.append(Score(evaluation, metric or "accuracy", used.most_common(1)[0][0] if used else "{}"))
    return made
