"""Files that survive: atomic writes, checked reads, run directories and their locks.

The only module that opens a file for writing. A write goes to a temporary file in the target's own directory, is
flushed and fsynced, replaces the target in one step, and the directory is fsynced. Whoever reads sees the old file
or the new one, never half of either. Libraries that write files themselves get the temporary path.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from phispace.errors import DataError, StorageError

SCHEMA_VERSION = 1
_TEMPORARY = ".phispace-tmp-"


def _fsync(path: Path) -> None:
    """Bring a file's data, or a directory's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(path: Path, error: OSError) -> StorageError:
    free = ""
    with contextlib.suppress(OSError):
        free = f" ({shutil.disk_usage(path.parent).free:,} bytes free)"
    reason = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the quota is used up",
        errno.EFBIG: "the file would pass the size limit",
        errno.EROFS: "the disk is read-only",
        errno.EACCES: "permission was denied",
    }.get(error.errno or 0, str(error))
    return StorageError(f"Could not write {path}: {reason}{free}. What was there before is unchanged.")


@contextlib.contextmanager
def atomic_path(path: Path | str, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on leaving without an error it becomes `path` in one step.

    The temporary keeps the suffix of `path`, so that libraries that look at it write the right format. It may be
    made a directory instead of a file, if nothing exists at `path` yet.

    Args:
        durable: False leaves it to the system when the data reach the disk; for what can be made again, and for files
            in a directory that is made durable as a whole.

    Raises:
        StorageError: the disk refused; `path` is as it was.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(path, error) from error
    temporary = path.parent / f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}{path.suffix}"
    try:
        yield temporary
        if durable and temporary.is_file():
            _fsync(temporary)
        os.replace(temporary, path)
        if durable:
            _fsync(path.parent)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_directory(path: Path | str, previous: Path | None = None) -> Iterator[Path]:
    """Yield a new directory beside `path`; on leaving without an error it takes the place of `path`.

    What was at `path` is moved to `previous`, replacing what is there, or removed where none is given. A process that
    dies in between leaves the old one, under one of the two names, or the new one.

    Raises:
        StorageError: the disk refused; `path` is as it was.
    """
    path = Path(path)
    old = previous or path.parent / f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}"
    temporary = path.parent / f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}"
    try:
        try:
            temporary.mkdir(parents=True)
            yield temporary
            for file in (*temporary.iterdir(), temporary):
                _fsync(file)
            if path.exists():
                remove_directory(old)
                os.replace(path, old)
            os.replace(temporary, path)
            _fsync(path.parent)
        except OSError as error:
            raise _refused(path, error) from error
        except StorageError as error:  # of a file inside: name the place that the user knows
            if isinstance(error.__cause__, OSError):
                raise _refused(path, error.__cause__) from error
            raise
        if previous is None:
            remove_directory(old)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_directory(path: Path) -> None:
    """Remove a directory, if it is there; under its own name it is whole until it is gone."""
    if not path.exists():
        return
    doomed = path.parent / f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}"
    os.replace(path, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def link(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the disk has no links. For files that are never changed.

    Not durable by itself: for use inside `atomic_directory`.
    """
    try:
        os.link(source, target)
    except OSError:
        with atomic_path(target, durable=False) as temporary:
            shutil.copyfile(source, temporary)


@contextlib.contextmanager
def atomic_open(path: Path | str, mode: str = "wb", durable: bool = True) -> Iterator[IO[Any]]:
    """Open for writing atomically (`"wb"` or `"w"`, the latter in UTF-8); `durable` as for `atomic_path`."""
    encoding = None if "b" in mode else "utf-8"
    with atomic_path(path, durable) as temporary, temporary.open(mode, encoding=encoding, newline=None) as stream:
        yield stream


def write_bytes(path: Path | str, data: bytes, durable: bool = True) -> None:
    """Write bytes atomically."""
    with atomic_open(path, durable=durable) as stream:
        stream.write(data)


def write_text(path: Path | str, text: str, durable: bool = True) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8"), durable)


def jsonable(value: Any) -> Any:
    """The same value with numpy scalars, paths and non-finite floats made plain (NaN and infinities become None)."""
    if isinstance(value, dict):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(v) for v in value]
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return jsonable(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    return value


def write_json(path: Path | str, value: dict[str, Any], durable: bool = True) -> None:
    """Write one JSON object atomically, with `schema_version` first."""
    body = {"schema_version": SCHEMA_VERSION, **jsonable(value)}
    write_text(path, json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False) + "\n", durable)


def read_json(path: Path | str) -> dict[str, Any]:
    """Read one JSON object that `write_json` wrote.

    Raises:
        DataError: missing, not JSON, not an object, or written by a newer phispace.
    """
    path = Path(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} holds a {type(value).__name__}, an object is expected.")
    version = value.get("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise DataError(f"{path} has schema version {version}; this phispace reads up to {SCHEMA_VERSION}. Upgrade it.")
    return value


def sha256_file(path: Path | str) -> str:
    """Hexadecimal sha256 of a file, read in pieces."""
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def check_sha256(path: Path | str, expected: str) -> None:
    """Compare a file with its recorded digest.

    Raises:
        DataError: naming the file, what was expected and what was found.
    """
    found = sha256_file(path)
    if found != expected:
        raise DataError(f"{path} has changed or is damaged: sha256 is {found[:16]}…, {expected[:16]}… is expected.")


def sweep(directory: Path | str) -> int:
    """Remove temporaries that dead processes left below `directory`; return how many."""
    removed = 0
    for folder, inner, files in os.walk(directory):  # which passes over what others remove meanwhile
        stale = [name for name in (*inner, *files) if name.startswith(_TEMPORARY)]
        inner[:] = [name for name in inner if name not in stale]
        for name in stale:
            owner = name.removeprefix(_TEMPORARY).split("-")[0]
            if owner.isdigit() and _alive(int(owner)):
                continue
            if (Path(folder) / name).is_dir():
                shutil.rmtree(Path(folder) / name, ignore_errors=True)
            else:
                (Path(folder) / name).unlink(missing_ok=True)
            removed += 1
    return removed


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
