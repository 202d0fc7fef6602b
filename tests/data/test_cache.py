"""Decoded once; opened again without decoding; made again when it is damaged or when anything changed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from pictures import encode

from phispace import storage
from phispace.data import assemble, cache, load_images
from phispace.errors import StorageError
from phispace.progress import Progress


class Listener(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "own-cache"


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch):
    """Call it, and from then on decoding fails the test."""

    def forbid() -> None:
        def decode(*arguments, **options):
            raise AssertionError("decoded again")

        monkeypatch.setattr(assemble, "decode", decode)

    return forbid


def _entry(root: Path) -> Path:
    [entry] = cache.entries(root)
    return entry


def test_the_second_opening_does_not_decode(pets: Path, root: Path, no_decoding) -> None:
    (pets / "cat" / "x.png").write_bytes(b"bad")
    first = load_images(pets, cache_dir=root)
    no_decoding()
    second = load_images(pets, cache_dir=root)
    assert isinstance(second.images, np.memmap)
    assert not second.images.flags.writeable
    np.testing.assert_array_equal(first.images, second.images)
    for name in ("labels", "ids", "split"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert (first.classes, first.quarantine, first.fingerprint) == (
        second.classes,
        second.quarantine,
        second.fingerprint,
    )
    assert dict(first.source) == dict(second.source)


def test_nothing_temporary_is_left(pets: Path, root: Path) -> None:
    load_images(pets, cache_dir=root)
    assert sorted(p.name for p in _entry(root).iterdir()) == [
        "ids.npy",
        "images.npy",
        "labels.npy",
        "set.json",
        "split.npy",
    ]
    assert not [p for p in root.rglob("*") if "tmp" in p.name or "scratch" in p.name]


@pytest.mark.parametrize("change", ["add", "remove", "rewrite", "rename"])
def test_a_changed_folder_is_decoded_again(pets: Path, root: Path, change: str) -> None:
    before = load_images(pets, cache_dir=root)
    target = pets / "cat" / "1.png"
    if change == "add":
        (pets / "cat" / "9.png").write_bytes(encode(99))
    elif change == "remove":
        target.unlink()
    elif change == "rename":
        target.rename(pets / "cat" / "5.png")
    else:
        target.write_bytes(encode(98))
        os.utime(target, ns=(1, 1))
    assert load_images(pets, cache_dir=root).fingerprint != before.fingerprint


def test_size_and_options_have_their_own_entries(pets: Path, root: Path) -> None:
    assert load_images(pets, cache_dir=root).shape == (3, 20, 20)
    assert load_images(pets, cache_dir=root, size=10).shape == (3, 10, 10)
    assert load_images(pets, cache_dir=root, options={"channels": 1}).shape == (1, 20, 20)
    assert len(list(cache.entries(root))) == 3


def test_a_new_version_of_the_code_decodes_again(pets: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_images(pets, cache_dir=root)
    monkeypatch.setattr(cache, "CODE_VERSION", cache.CODE_VERSION + 1)
    load_images(pets, cache_dir=root)
    assert len(list(cache.entries(root))) == 2


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.write_bytes(data)


_DAMAGE = {
    "pixels changed": lambda e: _flip(e / "images.npy"),
    "labels changed": lambda e: _flip(e / "labels.npy"),
    "splits changed": lambda e: _flip(e / "split.npy"),
    "pixels cut": lambda e: (e / "images.npy").write_bytes((e / "images.npy").read_bytes()[:-1]),
    "pixels gone": lambda e: (e / "images.npy").unlink(),
    "ids gone": lambda e: (e / "ids.npy").unlink(),
    "ids empty": lambda e: (e / "ids.npy").write_bytes(b""),
    "ids of another length": lambda e: np.save(e / "ids.npy", np.array(["a", "b"])),
    "ids pickled": lambda e: np.save(e / "ids.npy", np.array([{}] * 6, object), allow_pickle=True),
    "description cut": lambda e: (e / "set.json").write_text('{"name": "pets", '),
    "description empty": lambda e: (e / "set.json").write_text("{}"),
    "description a list": lambda e: (e / "set.json").write_text("[]"),
    "description of a newer version": lambda e: (e / "set.json").write_text('{"schema_version": 999}'),
    "description gone": lambda e: (e / "set.json").unlink(),
}


@pytest.mark.parametrize("damage", _DAMAGE.values(), ids=_DAMAGE)
def test_a_damaged_entry_is_made_again_and_that_is_said(pets: Path, root: Path, damage) -> None:
    whole = load_images(pets, cache_dir=root)
    pixels = np.array(whole.images)
    damage(_entry(root))
    listener = Listener()
    again = load_images(pets, cache_dir=root, progress=listener)
    np.testing.assert_array_equal(again.images, pixels)
    assert again.fingerprint == whole.fingerprint
    assert any("damaged" in line for line in listener.said)
    listener.said.clear()
    load_images(pets, cache_dir=root, progress=listener)
    assert listener.said == []


def test_a_set_that_is_in_use_survives_the_repair_of_its_entry(pets: Path, root: Path) -> None:
    images = load_images(pets, cache_dir=root)
    copy = np.array(images.images)
    _DAMAGE["description cut"](_entry(root))
    load_images(pets, cache_dir=root)
    np.testing.assert_array_equal(images.images, copy)


def test_a_cache_that_cannot_be_written_is_done_without(pets: Path, root: Path) -> None:
    root.write_text("a file where the folder should be")
    listener = Listener()
    images = load_images(pets, cache_dir=root, progress=listener)
    assert len(images) == 6
    assert any("in memory" in line for line in listener.said)


def test_a_full_disk_is_done_without(pets: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path, value) -> None:
        raise StorageError("Could not write: the disk is full.")

    monkeypatch.setattr(storage, "write_json", refuse)
    listener = Listener()
    images = load_images(pets, cache_dir=root, progress=listener)
    assert len(images) == 6
    assert any("disk is full" in line for line in listener.said)
    assert not list(cache.entries(root))


def test_two_at_once_decode_once(pets: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builds = []
    build = cache._build
    monkeypatch.setattr(cache, "_build", lambda *a: (builds.append(1), build(*a))[1])
    threads = [threading.Thread(target=load_images, args=(pets,), kwargs={"cache_dir": root}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1


def test_what_a_dead_process_left_is_swept(pets: Path, root: Path) -> None:
    stale = root / "images" / ".phispace-tmp-999999999-abcd"
    stale.mkdir(parents=True)
    (stale / "scratch-0.npy").write_bytes(b"x")
    load_images(pets, cache_dir=root)
    assert not stale.exists()


def test_sweeping_passes_over_what_another_process_removes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes sweep one cache: a folder may go away between being listed and being looked into."""
    for name in ("a", ".phispace-tmp-999999999-abcd", "z"):
        (tmp_path / name).mkdir()
    remove = storage.shutil.rmtree
    monkeypatch.setattr(
        storage.shutil, "rmtree", lambda path, **kw: (remove(path), remove(tmp_path / "a"), remove(tmp_path / "z"))
    )
    assert storage.sweep(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache.cache_root(tmp_path) == tmp_path
    monkeypatch.setenv("PHISPACE_CACHE", str(tmp_path / "a"))
    assert cache.cache_root() == tmp_path / "a"
    monkeypatch.delenv("PHISPACE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert cache.cache_root() == tmp_path / "b" / "phispace"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_root() == tmp_path / ".cache" / "phispace"
