"""What a verb is given: a run, a store, or a file of embeddings that another tool made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phispace.api.learn import images_of
from phispace.errors import DataError, InputError
from phispace.progress import Progress
from phispace.run import Run, safe_name

if TYPE_CHECKING:
    from phispace.data.imageset import ImageSet
    from phispace.embeddings.store import Embeddings

EMBEDDINGS = "embeddings"
"""`kind` in the record of a directory that holds the scores of a foreign store; other runs were trained."""

Given = "Run | Path | str | Embeddings"


@dataclass(frozen=True)
class Source:
    """Attributes:
    run: where results are kept, or None.
    label: of the store among its baselines.
    store: the embeddings.
    images: their images, or None where there are only vectors.
    trained: whether there is an encoder behind them.
    """

    run: Run | None
    label: str
    store: Embeddings
    images: ImageSet | None
    trained: bool


def run_of(source: Any) -> Run | None:
    """The run that this is or names, else None."""
    if isinstance(source, Run):
        return source
    if isinstance(source, (str, Path)) and (Path(source) / "run.json").is_file():
        return Run.open(source)
    return None


def open_source(
    source: Run | Path | str | Embeddings,
    *,
    layer: str = "features",
    checkpoint: str = "best",
    images: str | Path | ImageSet | None = None,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Source:
    """Open whatever it is; a run's layer is extracted unless it is there.

    Raises:
        InputError: none of the three.
        DataError, RunError: as for what it is.
    """
    from phispace.embeddings.store import Embeddings

    run = run_of(source)
    if run is not None and run.record.get("kind") == EMBEDDINGS:
        store = Embeddings.open(run.path / str(run.record["store"]))
        return _foreign(run, store, images, data_dir, progress)
    if run is not None:
        from phispace.embeddings.extract import extract_run

        found = images_of(run, images, data_dir=data_dir, progress=progress)
        store = extract_run(run, found, (layer,), checkpoint=checkpoint, progress=progress)[layer]
        return Source(run, f"{layer} @ {checkpoint}", store, found, trained=True)
    if isinstance(source, Embeddings):
        return _foreign(None, source, images, data_dir, progress)
    from phispace.embeddings.foreign import describe, load_embeddings
    from phispace.embeddings.store import is_store

    path = Path(str(source))
    if not path.exists() or (path.is_dir() and not is_store(path)):
        raise InputError(
            f"{path} is neither a run, an embeddings store nor a file of embeddings"
            + ("." if path.exists() else "; it does not exist.")
        )
    store = load_embeddings(path)
    if progress is not None and path.is_file():
        progress.say(describe(store))
    return _foreign(None, store, images, data_dir, progress)


def _foreign(
    run: Run | None,
    store: Embeddings,
    images: str | Path | ImageSet | None,
    data_dir: Path | None,
    progress: Progress | None,
) -> Source:
    found: ImageSet | None = None
    if images is not None:
        from phispace.data.imageset import ImageSet
        from phispace.data.loading import load_images

        ready = images if isinstance(images, ImageSet) else None
        found = ready or load_images(str(images), data_dir=data_dir, progress=progress)
        store = with_images(store, found)
    label = str(store.manifest.get("name") or store.manifest.get("layer") or "store")
    return Source(run, label, store, found, trained=False)


def with_images(store: Embeddings, images: ImageSet) -> Embeddings:
    """The store with the column `image` that points into these images, by id.

    Raises:
        DataError: an item that is not among the images.
    """
    import numpy as np
    import pyarrow as pa

    place = {identity: i for i, identity in enumerate(images.ids.tolist())}
    found = np.array([place.get(identity, -1) for identity in store.ids.tolist()], np.int64)
    if (found < 0).any():
        missing = store.ids[int(np.argmax(found < 0))]
        raise DataError(
            f"{int((found < 0).sum()):,} of {len(store):,} items have no image of the same id in {images.name!r}, "
            f"for example {str(missing)!r} (its ids are like {str(images.ids[0])!r}); name the items as the images are."
        )
    from phispace.embeddings.store import Embeddings

    items = store.items.drop_columns(["image"]) if "image" in store.items.column_names else store.items
    return Embeddings(store.vectors, items.append_column("image", pa.array(found)), store.manifest, check=False)


def keep_store(store: Embeddings, out: Path | str) -> Run:
    """A directory for the scores and the report of a foreign store: the store itself and a record of its files.

    An existing directory of the same vectors is opened again.

    Raises:
        RunError: the directory holds something else.
        InputError: it holds other embeddings.
    """
    import hashlib

    import numpy as np

    from phispace.provenance import arguments, provenance
    from phispace.run import now

    name = str(store.manifest.get("name") or "embeddings")
    digest = hashlib.sha256(np.ascontiguousarray(store.vectors).data)
    digest.update("\x1f".join(store.ids.tolist()).encode())
    run = run_of(out)
    if run is not None:
        if (
            run.record.get("kind") != EMBEDDINGS
            or run.record.get("images", {}).get("fingerprint") != digest.hexdigest()
        ):
            raise InputError(f"{out} holds the scores of something else; choose another --out.")
        return run
    where = Path("embeddings") / safe_name(name)
    counts = {s: int((store.splits == s).sum()) for s in dict.fromkeys(store.splits.tolist())}
    record: dict[str, Any] = {
        "kind": EMBEDDINGS,
        "store": where.as_posix(),
        "argv": arguments(),
        "provenance": provenance(),
        "method": {"name": name, "title": "foreign embedding"},
        "encoder": {"name": "unknown encoder", "width": store.dim},
        "images": {
            "name": name,
            "items": counts,
            "classes": list(store.classes),
            "fingerprint": digest.hexdigest(),
            "source": {"caveats": list(store.manifest.get("caveats", []))},
        },
    }
    config = {"embeddings": dict(store.manifest.get("foreign", {})), "images": {"name": name}}
    config |= {"method": {"name": name}, "encoder": {"name": "unknown encoder"}}
    run = Run.create(out, record, config)
    store.save(run.path / where)
    run.update(status="completed", completed=now())
    return run


def absent_baselines(entries: Sequence[dict[str, Any]], label: str) -> list[dict[str, Any]]:
    """Entries that say n/a for the baselines that only an encoder and its images could give."""
    why = "There are only vectors: raw pixels, their PCA and the untrained encoder cannot be scored."
    made = []
    for entry in entries:
        if entry["store"] != label or not entry["metrics"]:
            continue
        nothing = dict.fromkeys(entry["metrics"])
        made += [
            {"evaluation": entry["evaluation"], "store": store, "options": entry["options"], "metrics": nothing}
            | {"interval": {}, "n": {}, "caveats": [why], "details": {}}
            for store in ("pixels", "pca", "untrained")
        ]
    return made
