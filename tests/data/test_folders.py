"""Folders as they are met with: links, loops, pipes, odd names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pictures import encode

from phispace.data import load_images
from phispace.data.folder import FolderListing
from phispace.data.names import escape, order
from phispace.errors import DataError


def test_ids_are_relative_paths_sorted_bytewise(pets: Path) -> None:
    (pets / "cat" / "Z.png").write_bytes(encode(7))
    (pets / "cat" / "é.png").write_bytes(encode(8))
    (pets / "cat" / "sub").mkdir()
    (pets / "cat" / "sub" / "1.png").write_bytes(encode(9))
    ids = load_images(pets).ids.tolist()
    assert ids == sorted(ids, key=lambda name: name.encode())
    assert "cat/sub/1.png" in ids


def test_a_loop_of_links_ends(pets: Path) -> None:
    (pets / "cat" / "loop").symlink_to(pets, target_is_directory=True)
    (pets / "cat" / "self").symlink_to("self")
    (pets / "cat" / "nowhere.png").symlink_to("missing.png")
    images = load_images(pets)
    assert len(images) == 6
    assert [q.id for q in images.quarantine] == ["cat/nowhere.png"]
    assert any("already read" in note for note in images.source["notes"])


def test_links_to_files_and_folders_elsewhere_are_followed(pets: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "1.png").write_bytes(encode(50))
    (pets / "bird").symlink_to(other, target_is_directory=True)
    (pets / "cat" / "link.png").symlink_to(pets / "dog" / "0.png")
    images = load_images(pets)
    assert images.classes == ("bird", "cat", "dog")
    assert "cat/link.png" in images.ids


def test_a_pipe_is_never_opened(pets: Path) -> None:
    os.mkfifo(pets / "cat" / "pipe.png")
    images = load_images(pets)
    assert [(q.id, "pipe" in q.reason) for q in images.quarantine] == [("cat/pipe.png", True)]


def test_a_folder_called_as_an_image(pets: Path) -> None:
    (pets / "cat" / "album.png").mkdir()
    (pets / "cat" / "album.png" / "1.png").write_bytes(encode(5))
    assert "cat/album.png/1.png" in load_images(pets).ids


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_may_not_be_read(pets: Path) -> None:
    (pets / "cat" / "0.png").chmod(0)
    (pets / "dog").chmod(0)
    try:
        found = {q.id for q in load_images(pets).quarantine}
    finally:
        (pets / "dog").chmod(0o755)
    assert found == {"cat/0.png", "dog/"}


def test_a_file_that_goes_away_is_quarantined(pets: Path) -> None:
    listing = FolderListing(pets)
    (pets / "cat" / "1.png").unlink()
    streamed = dict(listing.stream())
    assert "cannot be read" in streamed[1].reason


@pytest.mark.parametrize("name", [b"new\nline.png", b"\xff\xfe.png", b"tab\t.png", b"back\\slash.png", b"a b.png"])
def test_odd_names_have_readable_ids(pets: Path, name: bytes) -> None:
    (pets / "cat" / os.fsdecode(name)).write_bytes(encode(4))
    images = load_images(pets)
    new = next(
        i for i in images.ids.tolist() if i.count("/") == 1 and i.split("/")[1] not in ("0.png", "1.png", "2.png")
    )
    assert new.isprintable()
    assert new.encode("utf-8")
    assert len(images) == 7


def test_escapes_keep_names_apart() -> None:
    raw = ["a\nb", "a\\nb", "a\\x0ab", os.fsdecode(b"\xff"), "ÿ", "\\xff", "\u2028", "\U0001f600", "\ud800"]
    assert len({escape(name) for name in raw}) == len(raw)
    assert all(escape(name).isprintable() for name in raw)
    assert [type(order(name)) for name in raw] == [bytes] * len(raw)


def test_case_twins_are_two(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(1))
    (tmp_path / "A.PNG").write_bytes(encode(2))
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system folds case")
    assert load_images(tmp_path).ids.tolist() == ["A.PNG", "a.png"]


def test_what_systems_leave_behind_is_not_seen(pets: Path) -> None:
    for name in ("._0.png", ".DS_Store", ".hidden.png"):
        (pets / "cat" / name).write_bytes(b"junk")
    (pets / "__MACOSX").mkdir()
    (pets / "__MACOSX" / "x.png").write_bytes(b"junk")
    (pets / ".git").mkdir()
    (pets / ".git" / "x.png").write_bytes(b"junk")
    images = load_images(pets)
    assert (len(images), images.quarantine, images.classes) == (6, (), ("cat", "dog"))


def test_other_files_are_left_aside_and_counted(pets: Path) -> None:
    (pets / "README.md").write_text("pets")
    (pets / "cat" / "labels.csv").write_text("a,b")
    (pets / "old.zip").write_bytes(b"PK")
    notes = load_images(pets).source["notes"]
    assert any(note.startswith("2 files") for note in notes)
    assert any("1 archives" in note for note in notes)


def test_an_image_without_a_suffix_is_seen(pets: Path) -> None:
    (pets / "cat" / "noname").write_bytes(encode(3, form="JPEG"))
    (pets / "cat" / "other").write_text("no image")
    assert "cat/noname" in load_images(pets).ids
    assert len(load_images(pets)) == 7


def test_the_suffix_need_not_be_right(pets: Path) -> None:
    (pets / "cat" / "really.jpg").write_bytes(encode(3, form="PNG"))
    assert load_images(pets).quarantine == ()


def test_a_file_too_large_is_not_opened(pets: Path) -> None:
    with (pets / "cat" / "huge.png").open("wb") as stream:
        stream.truncate(2**31)
    images = load_images(pets)
    assert "2,147,483,648 bytes" in images.quarantine[0].reason


@pytest.mark.parametrize("content", [{}, {"notes.txt": b"x"}, {"a/b/c.txt": b"x"}, {"in.zip": b"PK"}])
def test_no_images_is_one_sentence(tmp_path: Path, content: dict[str, bytes]) -> None:
    root = tmp_path / "nothing"
    root.mkdir()
    for name, data in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    with pytest.raises(DataError, match=r"There are no images in the folder .*nothing"):
        load_images(root)


def test_a_single_image_is_a_set(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(encode(1))
    images = load_images(tmp_path)
    assert (len(images), images.split.tolist()) == (1, ["train"])


def test_one_class_folder_is_read_and_said(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    for i in range(4):
        (tmp_path / "cat" / f"{i}.png").write_bytes(encode(i))
    images = load_images(tmp_path)
    assert images.classes == ()
    assert any("'cat'" in note for note in images.source["layout"])


def test_labels_by_folder_and_splits(tmp_path: Path) -> None:
    for split, count in (("train", 30), ("test", 5), ("unlabelled", 4)):
        for name in ("10", "9"):
            folder = tmp_path / "set" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f"{i}.png").write_bytes(encode(i))
    images = load_images(tmp_path)
    assert images.classes == ("9", "10")
    assert images.counts() == {
        "train": {"9": 27, "10": 27},
        "val": {"9": 3, "10": 3},
        "test": {"9": 5, "10": 5},
        "unlabelled": {"9": 0, "10": 0, "(unknown)": 8},
    }
