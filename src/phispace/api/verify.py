"""Whether a run is still what it was: every digest computed again, and what is missing or changed named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phispace import storage
from phispace.errors import DataError, PhispaceError
from phispace.progress import SILENT, Progress
from phispace.run import Run, drop_none, read_toml, record_digest

_TABLES = ("config.toml", "metrics.csv")


@dataclass
class Verified:
    """What was found.

    Attributes:
        path: the run.
        sound: places whose digests are right.
        faults: a sentence for each that is missing or changed.
        unsealed: what has no digest and could not be checked.
    """

    path: Path
    sound: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unsealed: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        return {
            "run": str(self.path), "ok": self.ok, "sound": self.sound, "faults": self.faults, "unsealed": self.unsealed,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """For a terminal."""
        verdict = f"{len(self.sound)} places are as they were written"
        verdict += "." if self.ok else f", {len(self.faults)} are not:"
        lines = [f"{self.path}: {verdict}", *(f"  {fault}" for fault in self.faults)]
        return [*lines, f"  without a digest: {', '.join(self.unsealed)}"] if self.unsealed else lines


def verify(run: Run | Path | str, *, progress: Progress | None = None) -> Verified:
    """Hash everything that a run has a digest of: record, tables, checkpoints, stores, scores and their items.

    Maps, films and pages have none; they can be made again from what is checked.

    Raises:
        DataError: no run, or a record that cannot be read.
    """
    from phispace.api.learn import open_run

    run = open_run(run)
    found = Verified(run.path)
    checks = [_record, _tables, _checkpoints, _stores, _scores]
    with (progress or SILENT).task(f"Verifying {run.name}", total=len(checks)) as task:
        for check in checks:
            task.note(check.__name__.strip("_"))
            check(run, found)
            task.advance()
    loose = [p.relative_to(run.path).as_posix() for p in sorted((run.path / "maps").glob("*.npz"))]
    found.unsealed += loose
    return found


def _hash(found: Verified, file: Path, expected: str, name: str) -> None:
    if not file.is_file():
        found.faults.append(f"{name} is missing.")
        return
    try:
        digest = storage.sha256_file(file)
    except DataError as error:
        found.faults.append(str(error))
        return
    if digest == expected:
        found.sound.append(name)
    else:
        found.faults.append(f"{name} has changed: sha256 is {digest[:16]}…, {expected[:16]}… is expected.")


def _record(run: Run, found: Verified) -> None:
    from phispace.training.config import difference
    from phispace.training.resume import MAY_DIFFER

    expected = run.record.get("digest")
    if expected is None:
        found.unsealed.append("run.json")
    elif expected == record_digest(run.record):
        found.sound.append("run.json")
    else:
        found.faults.append("run.json has changed: it is not the record that was written.")
    try:
        begun, now = read_toml(run.path / "config.toml"), drop_none(storage.jsonable(run.config))
    except DataError as error:
        found.faults.append(f"config.toml: {error}")
        return
    # A run that was extended keeps the configuration that it was begun with; the record has the newest.
    same = all(name in MAY_DIFFER for name, _, _ in difference(begun, now))  # what a run that goes on may change
    if not same and not run.record.get("extensions"):
        found.faults.append("config.toml is not the configuration that run.json has.")


def _tables(run: Run, found: Verified) -> None:
    sealed = run.record.get("sha256")
    if sealed is None:
        found.unsealed += [name for name in _TABLES if (run.path / name).is_file()]
        return
    for name, digest in sealed.items():
        _hash(found, run.path / name, str(digest), name)


def _checkpoints(run: Run, found: Verified) -> None:
    from phispace.training.checkpoints import WEIGHTS, read_record

    folder = run.path / "checkpoints"
    seen = set()
    for place in sorted(p for p in folder.glob("*") if p.is_dir()):
        name = f"checkpoints/{place.name}"
        if place.name.startswith(".phispace-tmp"):
            continue
        try:
            sums = read_record(place)["sha256"]
        except PhispaceError as error:
            found.faults.append(f"{name}: {error}")
            continue
        seen.add(place.name)
        for file, digest in sums.items():
            if f"{name}/{file}" not in found.sound or file != WEIGHTS:
                _hash(found, place / file, str(digest), f"{name}/{file}")
    best = run.record.get("best_checkpoint")
    if best and best not in seen:
        found.faults.append(f"checkpoints/{best}, the best one, is missing.")
    found.faults[:] = list(dict.fromkeys(found.faults))


def _manifests(run: Run) -> Iterator[Path]:
    yield from (p.parent for p in sorted(run.path.rglob("vectors.npy")))
    yield from (p.parent for p in sorted(run.path.rglob("manifest.json")) if not (p.parent / "vectors.npy").is_file())


def _stores(run: Run, found: Verified) -> None:
    from phispace.training.checkpoints import RECORD, WEIGHTS, read_record

    for place in _manifests(run):
        name = place.relative_to(run.path).as_posix()
        try:
            manifest = storage.read_json(place / "manifest.json")
            sums = manifest["sha256"]
        except (PhispaceError, KeyError) as error:
            found.faults.append(f"{name} is no whole store: {error}")
            continue
        for file, digest in sums.items():
            _hash(found, place / file, str(digest), f"{name}/{file}")
        checkpoint, made_by = manifest.get("checkpoint"), manifest.get("weights_sha256")
        of = run.path / "checkpoints" / str(checkpoint)
        if checkpoint and made_by and (of / RECORD).is_file():
            now = read_record(of)["sha256"].get(WEIGHTS)
            if now != made_by and manifest.get("run") == run.name:
                found.faults.append(f"{name} was made by other weights than checkpoints/{checkpoint} has now.")


def _scores(run: Run, found: Verified) -> None:
    path = run.path / "scores.json"
    if not path.is_file():
        return
    try:
        body = storage.read_json(path)
    except DataError as error:
        found.faults.append(str(error))
        return
    if "digest" not in body:
        found.unsealed.append("scores.json")
    elif body["digest"] == record_digest({"scores": body.get("scores", [])}):
        found.sound.append("scores.json")
    else:
        found.faults.append("scores.json has changed: its scores are not those that were written.")
    there = {_vectors_digest(place) for place in _manifests(run)}
    gone = set()
    for entry in body.get("scores", []):
        items = entry.get("items")
        if isinstance(items, dict):
            _hash(found, run.path / str(items.get("path")), str(items.get("sha256")), str(items.get("path")))
        if entry.get("vectors_sha256") and entry["vectors_sha256"] not in there:
            gone.add(str(entry["store"]))
    found.faults += [
        f"The vectors that the scores of {store} rest on are not there any more." for store in sorted(gone)
    ]


def _vectors_digest(place: Path) -> str | None:
    try:
        return storage.read_json(place / "manifest.json").get("sha256", {}).get("vectors.npy")
    except DataError:
        return None
