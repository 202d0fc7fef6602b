"""Extraction in parts: each part is a store of its own beside the target, and the parts are merged in order.

    features.shard-0000-of-0002/  features.shard-0001-of-0002/  ->  features/

A part is whole or absent, so an extraction that was cut is continued by running the missing parts.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa

from phispace.embeddings.store import Embeddings
from phispace.embeddings.writer import plain_manifest, writing_store
from phispace.errors import DataError, InputError
from phispace.progress import SILENT, Progress

_PER_SHARD = ("shard", "seconds", "cpu_seconds")
_ROWS = 4096


def check_shard(shard: tuple[int, int]) -> None:
    """Raise InputError unless `shard` is (rank, world) with 0 <= rank < world."""
    rank, world = shard
    if world < 1 or not 0 <= rank < world:
        raise InputError(f"A shard is (rank, world) with 0 <= rank < world; got ({rank}, {world}).")


def shard_path(path: Path | str, shard: tuple[int, int]) -> Path:
    """Where a part of the store at `path` lies."""
    check_shard(shard)
    path = Path(path)
    return path.with_name(f"{path.name}.shard-{shard[0]:04d}-of-{shard[1]:04d}")


def shard_rows(n: int, batch_size: int, shard: tuple[int, int] | None) -> tuple[int, int]:
    """The rows (start, stop) of a part: whole batches, so that each batch is the one of the unsharded extraction."""
    if shard is None:
        return 0, n
    check_shard(shard)
    rank, world = shard
    batches = -(-n // batch_size)
    return min(n, batches * rank // world * batch_size), min(n, batches * (rank + 1) // world * batch_size)


def find_shards(path: Path | str) -> list[Path]:
    """The parts that belong to the store at `path`, by rank.

    Raises:
        DataError: none, some missing, or parts of different divisions.
    """
    path = Path(path)
    pattern = re.compile(re.escape(path.name) + r"\.shard-(\d+)-of-(\d+)")
    there: dict[tuple[int, int], Path] = {}
    for sibling in path.parent.iterdir() if path.parent.is_dir() else ():
        if match := pattern.fullmatch(sibling.name):
            there[int(match[1]), int(match[2])] = sibling
    worlds = sorted({world for _, world in there})
    if len(worlds) != 1:
        found = f"divisions into {', '.join(map(str, worlds))}" if worlds else "none"
        raise DataError(f"{path} needs the shards of one division beside it; there are {found}.")
    missing = [rank for rank in range(worlds[0]) if (rank, worlds[0]) not in there]
    if missing:
        raise DataError(f"{path} lacks the shards {', '.join(map(str, missing))} of {worlds[0]}; extract them first.")
    return [there[key] for key in sorted(there)]


def merge_shards(path: Path | str, *, keep: bool = False, progress: Progress | None = None) -> Embeddings:
    """Put the parts beside `path` together, in order, and remove them.

    The result has the bytes that an extraction in one go would have written.

    Args:
        path: the store to make.
        keep: leave the parts where they are.

    Raises:
        DataError: parts that are missing, damaged, or not of the same weights, images and options.
    """
    path = Path(path)
    folders = find_shards(path)
    parts = [Embeddings.open(folder) for folder in folders]
    first = _common(parts[0])
    for folder, part in zip(folders, parts, strict=True):
        other = _common(part)
        changed = [k for k in sorted(first.keys() | other.keys()) if first.get(k) != other.get(k)]
        if changed:
            raise DataError(f"{folder.name} differs from {folders[0].name} in {', '.join(changed)}; extract it again.")
    n = sum(len(part) for part in parts)
    with (
        (progress or SILENT).task(f"Merging {len(parts)} shards", total=n) as task,
        writing_store(path, n, parts[0].dim, str(parts[0].vectors.dtype)) as writer,
    ):
        for part in parts:
            for start in range(0, len(part), _ROWS):
                rows = part.vectors[start : start + _ROWS]
                writer.append(rows)
                task.advance(len(rows))
        writer.items = pa.concat_tables([part.items for part in parts])
        spent = {
            key: round(sum(float(part.manifest.get(key, 0)) for part in parts), 2) for key in ("seconds", "cpu_seconds")
        }
        writer.manifest = {**plain_manifest(parts[0].manifest), **spent}
        writer.manifest.pop("shard", None)
    if not keep:
        for folder in folders:
            shutil.rmtree(folder)
    return Embeddings.open(path, verify=False)


def _common(part: Embeddings) -> dict[str, Any]:
    """What all parts must share."""
    manifest = {k: v for k, v in plain_manifest(part.manifest).items() if k not in _PER_SHARD}
    return {**manifest, "dim": part.dim, "dtype": str(part.vectors.dtype)}
