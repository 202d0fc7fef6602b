"""A run: one directory; nothing outside it is needed to understand, resume, extend or repeat it.

    runs/NAME/ run.json  config.toml  metrics.csv  checkpoints/  embeddings/{images}/{checkpoint}/{layer}/
               scores.json  maps/  report.html  tensorboard/

`run.json` is the record: status, arguments, resolved configuration, provenance, the images' fingerprint, the choices
that were measured, the result. `config.toml` is the same configuration for people. A process that writes holds
`run.lock`; the kernel frees it when the process dies.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomli_w
from filelock import FileLock, Timeout

from phispace import storage
from phispace.errors import DataError, RunError

STATUSES = ("running", "interrupted", "diverged", "collapsed", "failed", "completed")


def now() -> str:
    """This moment, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def safe_name(text: str) -> str:
    """A file name made from any text: letters, digits, dot, dash, underscore and equals sign are kept."""
    name = re.sub(r"[^A-Za-z0-9._=+-]+", "-", text).strip("-.")
    return name[:80] or "unnamed"


def distinct_name(text: str) -> str:
    """The same, with a digest behind it where it is not the text: names that differ stay apart."""
    name = safe_name(text)
    return name if name == text else f"{name[:64]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


class Run:
    """A run directory.

    Attributes:
        path: the directory.
        record: what `run.json` holds; change it through `update`.
    """

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path = path
        self.record = record

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Open an existing run for reading or for further work.

        Raises:
            DataError: not a run directory, or its record is damaged.
        """
        path = Path(path)
        if not (path / "run.json").is_file():
            raise DataError(f"{path} is not a run: it has no run.json. A run is made by `phispace train --out {path}`.")
        return cls(path, storage.read_json(path / "run.json"))

    @classmethod
    def create(cls, path: Path | str, record: dict[str, Any], config: dict[str, Any]) -> Run:
        """Begin a run in a directory that is new or empty.

        Args:
            record: what `run.json` shall hold beside `status`, `created` and `config`.
            config: tables [images] [encoder] [method] [training], plain values only.

        Raises:
            RunError: the directory holds something already.
        """
        path = Path(path)
        refuse_unless_empty(path)
        run = cls(path, {"status": "running", "created": now(), "config": config, **record})
        storage.write_text(path / "config.toml", tomli_w.dumps(drop_none(config)))
        run.update()
        return run

    def update(self, **fields: Any) -> None:
        """Set fields of the record and write it, with its own digest."""
        self.record.update(fields)
        self.record["digest"] = record_digest(self.record)
        storage.write_json(self.path / "run.json", self.record)

    @property
    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = self.record.get("config", {})
        return found

    @property
    def name(self) -> str:
        return self.path.name

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for writing.

        Raises:
            RunError: another process holds it; the message names it.
        """
        with lock_directory(self.path):
            yield

    def checkpoints(self) -> list[Path]:
        """Checkpoint directories that are whole, in training order (by step)."""
        found = []
        for record in (self.path / "checkpoints").glob("*/checkpoint.json"):
            if record.parent.name.startswith("."):
                continue  # the one before `last`, and what is being written
            found.append((int(storage.read_json(record).get("step", 0)), record.parent))
        return [path for _, path in sorted(found, key=lambda pair: (pair[0], pair[1].name))]

    def checkpoint(self, name: str = "best") -> Path:
        """The directory of a checkpoint by name.

        Args:
            name: a directory's name; `last`; or `best`, that of the lowest validation loss, or the last one if there
                was no validation or the method's losses do not compare from epoch to epoch.

        Raises:
            RunError: there is none of that name; the existing ones are listed.
        """
        known = self.checkpoints()
        by_name = {path.name: path for path in known}
        if name in by_name:
            return by_name[name]
        if name in ("best", "last") and known:
            if name == "best":
                best = self.record.get("best_checkpoint")
                return by_name.get(best, known[-1]) if best else known[-1]
            return known[-1]
        there = ", ".join(by_name) or "none at all"
        raise RunError(f"{self.path} has no checkpoint {name!r}; there are: {there}.")

    def embeddings_path(self, images: str, checkpoint: str, layer: str) -> Path:
        """Where the store of this layer lies, whether it exists or not."""
        return self.path / "embeddings" / safe_name(images) / safe_name(checkpoint) / distinct_name(layer)

    def scores(self) -> list[dict[str, Any]]:
        """All stored scores: objects with `evaluation`, `store`, `metrics`, `interval`, `n`, `caveats` ..."""
        path = self.path / "scores.json"
        return list(storage.read_json(path).get("scores", [])) if path.exists() else []

    def add_scores(self, entries: list[dict[str, Any]]) -> None:
        """Add scores; one of the same evaluation, store, options and further images is replaced."""

        def identity(entry: dict[str, Any]) -> str:
            options = sorted(entry.get("options", {}).items())
            return repr([entry.get("evaluation"), entry.get("store"), options, entry.get("images")])

        kept = {identity(e): e for e in [*self.scores(), *(storage.jsonable(e) for e in entries)]}
        scores = list(kept.values())
        body = {"digest": record_digest({"scores": scores}), "scores": scores}
        storage.write_json(self.path / "scores.json", body)


def record_digest(record: dict[str, Any]) -> str:
    """sha256 over a record's canonical JSON, its own digest left out: whether it is as it was written."""
    body = {k: v for k, v in storage.jsonable(record).items() if k not in ("digest", "schema_version")}
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


@contextlib.contextmanager
def lock_directory(path: Path) -> Iterator[None]:
    """Hold `path/run.lock`; see `Run.lock`. What ends in an error before anything is written leaves no directory."""
    made = not path.exists()
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / "run.lock")
    owner = path / "run.lock.owner"
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        who = owner.read_text(encoding="utf-8") if owner.exists() else "another process"
        raise RunError(f"{path} is in use by {who}. Wait for it, or choose another --out.") from error
    try:
        storage.sweep(path)
        storage.write_text(owner, f"process {os.getpid()} on {socket.gethostname()} since {now()}")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
        if made and [p.name for p in path.iterdir()] == ["run.lock"]:
            (path / "run.lock").unlink()
            path.rmdir()


def refuse_unless_empty(path: Path) -> None:
    """Raise RunError unless a run can begin in this directory; a lock does not count."""
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file; a run needs a directory.")
    if path.is_dir() and any(not p.name.startswith("run.lock") for p in path.iterdir()):
        raise RunError(f"{path} is not empty. Continue the run there with --resume, or choose another --out.")


def drop_none(value: Any) -> Any:
    """Plain values for TOML, which has no null: keys whose value is None are left out; tuples become lists."""
    if isinstance(value, dict):
        return {k: drop_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple)):
        return [drop_none(v) for v in value]
    return value


def read_toml(path: Path | str) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        DataError: missing or not TOML; the message has the line.
    """
    path = Path(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not TOML: {error}") from error
