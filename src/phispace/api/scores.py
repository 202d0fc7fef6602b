"""Scores of a run, a store or a file of embeddings, beside their baselines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phispace.api.sources import Source, absent_baselines, keep_store, open_source
from phispace.errors import InputError
from phispace.progress import Progress
from phispace.run import Run, safe_name

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet
    from phispace.embeddings.baselines import Components
    from phispace.embeddings.store import Embeddings
    from phispace.evaluation.base import Scores

DEFAULT_EVALUATIONS = ("knn", "linear", "clustering", "retrieval", "health")


def evaluate(
    source: Run | Path | str | Embeddings,
    names: Sequence[str] = DEFAULT_EVALUATIONS,
    *,
    settings: Sequence[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    layer: str = "features",
    checkpoint: str = "best",
    baselines: bool = True,
    images: str | Path | ImageSet | None = None,
    data_dir: Path | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Score a run's layer beside its baselines, or embeddings from elsewhere.

    A run keeps the scores in scores.json and their items in scores/; of embeddings they are kept only in `out`.

    Args:
        source: a run, a store, or a file of embeddings (see `phispace.load_embeddings`).
        names: evaluations, or `["all"]`.
        settings: options as text, for example `knn.k=5`.
        options: the same as values: evaluation -> option -> value.
        layer, checkpoint: of a run.
        baselines: score the baselines too: raw pixels, their PCA and the untrained encoder; n/a without an encoder.
        images: others than the run was trained on; their rows say so under `images`.
        out: for embeddings: a directory that keeps the store, its scores and a report.

    Returns:
        one JSON-able row an evaluation and store.

    Raises:
        InputError: an unknown evaluation or option; `out` for a run, which keeps its scores itself.
        DataError: as for what the source is.
    """
    from phispace.evaluation.evaluate import resolve_names, score_table, wanted_variants

    chosen = resolve_names(["all"] if "all" in names else names)
    asked = {**(options or {}), **options_of(chosen, settings)}
    wanted = wanted_variants(chosen, asked)
    found = open_source(
        source, layer=layer, checkpoint=checkpoint, images=images, data_dir=data_dir, progress=progress
    )  # fmt: skip
    if out is not None and found.trained:
        raise InputError("A run keeps its own scores; --out is for embeddings without a run.")
    run = keep_store(found.store, out) if out is not None else found.run
    stores, components = {found.label: found.store}, None
    if baselines and found.trained and found.run is not None and found.images is not None:
        more, components = _baselines(found.run, found.images, found.store.dim, layer, progress)
        stores |= more
    others: dict[str, dict[str, Embeddings]] = {}
    if wanted and found.trained and found.run is not None and found.images is not None:
        from phispace.embeddings.variants import variant_stores

        others = variant_stores(
            found.run, found.images, layer=layer, checkpoint=checkpoint, wanted=wanted, labels=list(stores),
            components=components, seed=seed, progress=progress,
        )  # fmt: skip
    elsewhere = _other_images(found, chosen, asked, stores, components, layer, checkpoint, data_dir, progress)
    for label, more in elsewhere.items():
        others[label] = {**others.get(label, {}), **more}
    keep = _Keeper(run, stores, _other(run, found)) if run is not None else None
    rows = score_table(
        stores, chosen, options=asked, others=others, seed=seed, keep=keep, progress=progress
    )  # fmt: skip
    if not found.trained:
        told = [str(c) for c in found.store.manifest.get("caveats", [])]
        rows = [{**row, "caveats": [*row["caveats"], *told]} for row in rows]
        rows += absent_baselines(rows, found.label) if baselines else []
    if run is not None:
        rows = [{**row, **_other(run, found)} for row in rows]
        run.add_scores(rows)
        _draw_clusters(run, found, rows)
    return rows


def _other(run: Run, found: Source) -> dict[str, Any]:
    """Names the scored images where they are not those that the run was trained on."""
    if not found.trained or found.images is None:
        return {}
    own = run.record.get("images", {}).get("fingerprint")
    if found.images.fingerprint == own:
        return {}
    return {"images": {"name": found.images.name, "fingerprint": found.images.fingerprint}}


def _draw_clusters(run: Run, found: Source, rows: Sequence[Mapping[str, Any]]) -> None:
    """A contact sheet of the clusters of the scored store, where there are images."""
    for row in rows:
        clusters = (row["details"] or {}).get("clusters")
        if found.images is None or row["store"] != found.label or not clusters:
            continue
        from phispace.evaluation.evaluate import make_evaluation
        from phispace.search.clusters import draw_clusters

        name = str(row["evaluation"])
        on = f"-on-{safe_name(row['images']['name'])}" if "images" in row else ""
        path = run.path / "scores" / f"{name}-{safe_name(found.label)}{on}.png"
        title = f"{make_evaluation(name).title} of {found.label}"
        draw_clusters(found.store, found.images, path, row["details"], title=title)


def _other_images(
    found: Source,
    chosen: Sequence[str],
    options: Mapping[str, Mapping[str, Any]],
    stores: Mapping[str, Embeddings],
    components: Components | None,
    layer: str,
    checkpoint: str,
    data_dir: Path | None,
    progress: Progress | None,
) -> dict[str, dict[str, Embeddings]]:
    """Label -> stores of the other image sets that the evaluations ask for."""
    from phispace.api.learn import images_of
    from phispace.evaluation.evaluate import wanted_images

    wanted, run, own = wanted_images(chosen, options), found.run, found.images
    if not wanted or not found.trained or run is None or own is None:
        return {}
    from phispace.embeddings.other_images import other_image_stores

    return other_image_stores(
        run, own, wanted=wanted, labels=list(stores), layer=layer, checkpoint=checkpoint,
        components=components, progress=progress,
        load=lambda name: images_of(run, name, data_dir=data_dir, progress=progress),
    )  # fmt: skip


def options_of(chosen: Sequence[str], settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`["knn.k=5"]` -> `{"knn": {"k": 5}}`, for evaluations that are among the chosen ones.

    Raises:
        InputError: no EVALUATION.OPTION=VALUE, or an evaluation that is not run.
    """
    from phispace.evaluation import REGISTRY
    from phispace.training.settings import parse_settings

    options: dict[str, dict[str, Any]] = {}
    for name, table in parse_settings(settings).items():
        if not isinstance(table, dict):
            raise InputError(f"An option is EVALUATION.OPTION=VALUE, for example knn.k=5; got {name!r} alone.")
        resolved = REGISTRY.resolve(name)
        if resolved not in chosen:
            raise InputError(f"Options are given for {resolved}, which is not among {', '.join(chosen)}.")
        options[resolved] = table
    return options


def _baselines(
    run: Run, images: ImageSet, width: int, layer: str, progress: Progress | None
) -> tuple[dict[str, Embeddings], Components]:
    """The stores to hold a layer of this width against, and the components that further stores are projected on."""
    from phispace.embeddings.baselines import fit_pca, in_components, pixels
    from phispace.embeddings.extract import extract_untrained
    from phispace.report.scores import baseline_label

    raw = pixels(images)
    components = fit_pca(raw, width)
    untrained = extract_untrained(run, images, (layer,), progress=progress)[layer]
    stores = {
        "pixels": raw,
        baseline_label("pca", layer): in_components(raw, components),
        baseline_label("untrained", layer): untrained,
    }
    return stores, components


class _Keeper:
    """Writes the items of scores beside scores.json, and says which vectors a score rests on."""

    def __init__(self, run: Run, stores: Mapping[str, Embeddings], other: Mapping[str, Any]) -> None:
        self.run = run
        self.stores = stores
        self.other = other

    def __call__(self, name: str, label: str, options: Mapping[str, Any], scores: Scores) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if self.stores[label].digest:
            more["vectors_sha256"] = self.stores[label].digest
        return more | keep_items(self.run, name, label, options, scores, *self.other.values())


def keep_items(
    run: Run, name: str, label: str, options: Mapping[str, Any], scores: Scores, *further: Any
) -> dict[str, Any]:
    """Write the items of a score beside scores.json; what its row says of them: `items`, with path and sha256.

    Args:
        further: what else tells this score from others of the same name, store and options.
    """
    from phispace.storage import sha256_file

    if scores.items is None:
        return {}
    text = json.dumps([label, dict(options), *further], sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    path = run.path / "scores" / f"{name}-{safe_name(label)}-{digest}.parquet"
    scores.items.save(path)
    return {"items": {"path": path.relative_to(run.path).as_posix(), "sha256": sha256_file(path)}}


def score_lines(rows: Sequence[Mapping[str, Any]], *, everything: bool = False) -> list[str]:
    """Rows of scores as a table in text: metrics down, stores across, notes below.

    Args:
        everything: all metrics; by default the one that each evaluation is about.
    """
    from phispace.report.scores import primary_of

    stores = list(dict.fromkeys(str(row["store"]) for row in rows))
    lines: dict[str, dict[str, str]] = {}
    first = {str(row["evaluation"]): primary_of(row) for row in reversed(rows) if row["store"] != "majority"}
    for row in rows:
        shown = list(row["metrics"]) if everything else [first.get(str(row["evaluation"]))]
        for metric in shown:
            if metric is not None and metric in row["metrics"]:
                key = f"{row['evaluation']}.{metric}"
                lines.setdefault(key, {})[str(row["store"])] = _cell(row, metric, row["store"] == stores[0])
    table = [["", *stores], *([key, *(cells.get(store, "") for store in stores)] for key, cells in lines.items())]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    text = ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
    notes: dict[str, dict[str, None]] = {}
    for row in rows:
        for caveat in row["caveats"]:
            notes.setdefault(str(caveat), {})[str(row["evaluation"])] = None
    several = len({row["evaluation"] for row in rows}) > 1
    return [*text, *(f"note{f' ({_few(list(of))})' if several else ''}: {note}" for note, of in notes.items())]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _cell(row: Mapping[str, Any], metric: str, interval: bool) -> str:
    value = row["metrics"][metric]
    if value is None or value != value:
        return "n/a"
    low, high = row["interval"].get(metric) or (None, None)
    around = f" [{low:.4f}, {high:.4f}]" if interval and low is not None and high is not None else ""
    return (f"{value:.4f}" if abs(value) < 1e4 else f"{value:.4g}") + around
