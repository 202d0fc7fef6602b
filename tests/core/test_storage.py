"""Files that survive."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phispace import storage
from phispace.errors import DataError, StorageError


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*") if "phispace-tmp" in p.name]


def test_a_write_replaces_the_file_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "a.txt"
    storage.write_text(path, "one")
    storage.write_text(path, "zwölf")
    assert path.read_text(encoding="utf-8") == "zwölf"
    assert leftovers(tmp_path) == []


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    storage.write_text(path, "old")

    def half() -> None:
        with storage.atomic_open(path) as stream:
            stream.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only")]
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_what_the_disk_refuses_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str, call: str
) -> None:
    path = tmp_path / "a.txt"
    storage.write_text(path, "old")

    def refuse(*_: Any) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(storage.os, call, refuse)
    with pytest.raises(StorageError, match=rf"a\.txt: .*{words}.* What was there before is unchanged"):
        storage.write_text(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == []


def test_a_directory_takes_the_place_of_another(tmp_path: Path) -> None:
    path, previous = tmp_path / "last", tmp_path / ".previous"
    for text in ("one", "two", "three"):
        with storage.atomic_directory(path, previous=previous) as new:
            storage.write_text(new / "a.txt", text, durable=False)
    assert (path / "a.txt").read_text() == "three"
    assert (previous / "a.txt").read_text() == "two"
    with pytest.raises(ZeroDivisionError), storage.atomic_directory(path, previous=previous) as new:
        raise ZeroDivisionError
    assert (path / "a.txt").read_text() == "three"
    with storage.atomic_directory(path) as new:
        storage.write_text(new / "a.txt", "four", durable=False)
    assert (path / "a.txt").read_text() == "four"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".previous", "last"]
    storage.remove_directory(path)
    storage.remove_directory(path)
    assert not path.exists()


def test_a_link_is_the_same_file_and_a_copy_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.write_text(tmp_path / "a", "text")
    storage.link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").samefile(tmp_path / "b")

    def refuse(*_: Any) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(storage.os, "link", refuse)
    storage.link(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c").read_text() == "text"
    assert not (tmp_path / "a").samefile(tmp_path / "c")


def test_json_has_a_version_and_no_nan(tmp_path: Path) -> None:
    value = {"x": np.float32(1.5), "n": float("nan"), "a": np.arange(2), "p": tmp_path, "t": (1, {2: math.inf})}
    storage.write_json(tmp_path / "a.json", value)
    found = storage.read_json(tmp_path / "a.json")
    expected = {"schema_version": 1, "x": 1.5, "n": None, "a": [0, 1], "p": str(tmp_path), "t": [1, {"2": None}]}
    assert found == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "a list, an object is expected"),
        ("{", "cannot be read as JSON"),
        ('{"schema_version": 99}', "schema version 99; this phispace reads up to 1. Upgrade"),
        ('{"schema_version": "x"}', "schema version x"),
        ("\udcff", "cannot be read"),
    ],
)
def test_json_that_is_not_ours(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=words):
        storage.read_json(tmp_path / "a.json")
    with pytest.raises(DataError, match="does not exist"):
        storage.read_json(tmp_path / "b.json")


def test_digests(tmp_path: Path) -> None:
    storage.write_bytes(tmp_path / "a", b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert storage.sha256_file(tmp_path / "a") == digest
    storage.check_sha256(tmp_path / "a", digest)
    with pytest.raises(DataError, match=r"changed or is damaged: sha256 is ba7816bf8f01cfea…, 0000"):
        storage.check_sha256(tmp_path / "a", "0" * 64)
    with pytest.raises(DataError, match="cannot be read"):
        storage.sha256_file(tmp_path / "b")


WRITER = """
import sys
from pathlib import Path
from phispace import storage
path = Path(sys.argv[1])
print("ready", flush=True)
number = 0
while True:
    number += 1
    storage.write_json(path, {"number": number, "padding": "x" * 20000, "again": number})
"""


def test_a_reader_never_sees_half_a_file_and_a_kill_leaves_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        seen = set()
        until = time.monotonic() + 20
        while len(seen) < 20 and time.monotonic() < until:
            if path.exists():
                body = json.loads(path.read_text())
                assert body["number"] == body["again"]
                seen.add(body["number"])
        writer.kill()
        writer.wait()
        writer.stdout.close()
        body = storage.read_json(path)
        assert body["number"] == body["again"]
    storage.sweep(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_sweeping_spares_the_living(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    stale = tmp_path / f".phispace-tmp-{dead.pid}-aa"
    mine = tmp_path / f".phispace-tmp-{os.getpid()}-bb"
    folder = tmp_path / "deep" / f".phispace-tmp-{dead.pid}-cc"
    folder.mkdir(parents=True)
    (folder / "x").write_text("x")
    for path in (stale, mine):
        path.write_text("x")
    assert storage.sweep(tmp_path) == 2
    assert mine.exists()
    assert not stale.exists()
    assert not folder.exists()
