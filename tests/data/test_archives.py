"""Zip and tar archives: the same images as the folder that was packed, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import encode

from phispace.data import load_images, tars, zips
from phispace.errors import DataError

_IMAGES = {f"{split}/{name}/{i}.png": encode(i) for split in ("train", "test") for name in ("a", "b") for i in range(3)}
_TARS = {".tar": "w:", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def _tar(path: Path, members: list[tuple[tarfile.TarInfo | str, bytes]], mode: str = "w:") -> Path:
    with tarfile.open(path, mode) as archive:
        for member, data in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            if info.isreg():
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def _zip(path: Path, members: list[tuple[zipfile.ZipInfo | str, bytes]], **options) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for member, data in members:
            archive.writestr(member, data)
    return path


def _packed(path: Path, members: list[tuple[str, bytes]]) -> Path:
    if path.suffix == ".zip":
        return _zip(path, members)
    return _tar(path, members, next(mode for suffix, mode in _TARS.items() if path.name.endswith(suffix)))


@pytest.mark.parametrize("suffix", [".zip", *_TARS])
def test_an_archive_holds_what_its_folder_holds(tmp_path: Path, suffix: str) -> None:
    for name, data in _IMAGES.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(data)
    shuffled = sorted(_IMAGES.items(), key=lambda item: item[0][::-1])  # members lie in any order
    archive = load_images(_packed(tmp_path / f"packed{suffix}", shuffled))
    folder = load_images(tmp_path / "set")
    assert archive.fingerprint == folder.fingerprint
    assert archive.split.tolist() == folder.split.tolist()
    assert archive.classes == folder.classes
    assert archive.name == "packed"


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_a_top_folder_and_dot_slash(tmp_path: Path, suffix: str) -> None:
    images = load_images(_packed(tmp_path / f"x{suffix}", [(f"./top/{n}", d) for n, d in _IMAGES.items()]))
    assert images.classes == ("a", "b")
    assert (images.split == "test").sum() == 6


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_a_bad_member_is_quarantined(tmp_path: Path, suffix: str) -> None:
    members = [*_IMAGES.items(), ("train/a/9.png", b"no image"), ("train/a/8.png", b"")]
    images = load_images(_packed(tmp_path / f"x{suffix}", members))
    assert [q.id for q in images.quarantine] == ["train/a/8.png", "train/a/9.png"]
    assert len(images) == 12


_NAMES = {
    "climbs": "../../etc/x.png",
    "climbs in the middle": "train/a/../../../x.png",
    "absolute": "/var/x.png",
    "drive": "C:/x.png",
    "drive and backslashes": "C:\\windows\\x.png",
    "backslashes": "train\\a\\x.png",
    "climbs with backslashes": "..\\..\\x.png",
    "network share": "\\\\host\\share\\x.png",
    "prefix twin": "../x_evil/x.png",
}


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
@pytest.mark.parametrize("name", _NAMES.values(), ids=_NAMES)
def test_names_that_leave_the_archive_are_refused(tmp_path: Path, suffix: str, name: str) -> None:
    (tmp_path / "in").mkdir()
    before = set(tmp_path.rglob("*"))
    path = _packed(tmp_path / "in" / f"x{suffix}", [*_IMAGES.items(), (name, encode(1))])
    images = load_images(path)
    assert len(images) == 12
    assert len(images.quarantine) == 1
    assert "name" in images.quarantine[0].reason
    assert set(tmp_path.rglob("*")) - before == {path}


def _member(kind: bytes, target: str = "train/a/0.png", name: str = "train/a/link.png") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
    ids=["symlink", "hard link", "character device", "block device", "pipe"],
)
@pytest.mark.parametrize("target", ["train/a/0.png", "/etc/passwd", "../../x"])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes, target: str) -> None:
    images = load_images(_tar(tmp_path / "x.tar", [*_IMAGES.items(), (_member(kind, target), b"")]))
    assert [q.id for q in images.quarantine] == ["train/a/link.png"]
    assert len(images) == 12


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_are_refused(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("train/a/link.png")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    images = load_images(_zip(tmp_path / "x.zip", [*_IMAGES.items(), (info, b"/etc/passwd")]))
    assert [q.id for q in images.quarantine] == ["train/a/link.png"]


def test_the_same_name_twice_keeps_the_first(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        path = _zip(tmp_path / "x.zip", [("a/1.png", encode(1)), ("b/1.png", encode(2)), ("a/1.png", encode(3))])
    images = load_images(path)
    assert images.ids.tolist() == ["a/1.png", "b/1.png"]
    assert "same name" in images.quarantine[0].reason
    tar = load_images(
        _tar(tmp_path / "x.tar", [("a/1.png", encode(1)), ("b/1.png", encode(2)), ("./a/1.png", encode(3))])
    )
    assert tar.fingerprint == images.fingerprint


def test_case_twins_are_two(tmp_path: Path) -> None:
    images = load_images(
        _zip(tmp_path / "x.zip", [("a/1.png", encode(1)), ("a/1.PNG", encode(2)), ("A/1.png", encode(3))])
    )
    assert images.ids.tolist() == ["A/1.png", "a/1.PNG", "a/1.png"]


def test_an_archive_within_is_not_opened(tmp_path: Path) -> None:
    inner = _zip(tmp_path / "inner.zip", list(_IMAGES.items())).read_bytes()
    with pytest.raises(DataError, match=r"1 archives inside were not opened"):
        load_images(_zip(tmp_path / "outer.zip", [("inner.zip", inner)]))
    with pytest.raises(DataError, match=r"1 archives inside were not opened"):
        load_images(_tar(tmp_path / "outer.tar", [("inner.zip", inner)]))


def _with_flag(path: Path) -> bytes:
    """The zip with its last member marked as encrypted, in both headers."""
    data = bytearray(path.read_bytes())
    central = data.rindex(b"PK\x01\x02")
    data[central + 8] |= 1
    local = data.rindex(b"PK\x03\x04")
    data[local + 6] |= 1
    return bytes(data)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.zip", [*_IMAGES.items(), ("z.png", encode(1))])
    path.write_bytes(_with_flag(path))
    images = load_images(path)
    assert [(q.id, q.reason) for q in images.quarantine] == [("z.png", "is encrypted")]


class TestBombs:
    def test_a_zip_member_that_inflates_a_thousand_times(self, tmp_path: Path) -> None:
        members = [*_IMAGES.items(), ("z.bmp", bytes(40 * 2**20))]
        images = load_images(_zip(tmp_path / "x.zip", members, compression=zipfile.ZIP_DEFLATED))
        assert "claims to inflate" in images.quarantine[0].reason

    def test_a_zip_member_larger_than_the_cap(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(zips, "MAX_BYTES", 5000)
        images = load_images(_zip(tmp_path / "x.zip", [*_IMAGES.items(), ("z.bmp", bytes(6000))]))
        assert "6,000 bytes" in images.quarantine[0].reason

    def test_a_zip_whose_directory_lies_about_a_size(self, tmp_path: Path) -> None:
        path = _zip(tmp_path / "x.zip", [*_IMAGES.items(), ("z.bmp", bytes(50_000))], compression=zipfile.ZIP_DEFLATED)
        data = bytearray(path.read_bytes())
        central = data.rindex(b"PK\x01\x02")
        data[central + 24 : central + 28] = struct.pack("<I", 900)
        path.write_bytes(data)
        images = load_images(path)
        assert [q.id for q in images.quarantine] == ["z.bmp"]

    def test_overlapping_members_refuse_the_zip(self, tmp_path: Path) -> None:
        path = _zip(tmp_path / "x.zip", [("a.png", encode(1)), ("b.png", encode(2)), ("c.png", encode(3))])
        data = bytearray(path.read_bytes())
        first = data.index(b"PK\x01\x02")
        for central in (data.index(b"PK\x01\x02", first + 1), data.rindex(b"PK\x01\x02")):
            data[central + 42 : central + 46] = struct.pack("<I", 0)  # all point at the first member
        path.write_bytes(data)
        with pytest.raises(DataError, match="overlap"):
            load_images(path)

    def test_too_many_members(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(zips, "MAX_MEMBERS", 5)
        monkeypatch.setattr(tars, "MAX_MEMBERS", 5)
        for path in (_zip(tmp_path / "x.zip", list(_IMAGES.items())), _tar(tmp_path / "x.tar", list(_IMAGES.items()))):
            with pytest.raises(DataError, match="members"):
                load_images(path)

    def test_a_total_over_the_cap(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(zips, "MAX_TOTAL", 3000)
        monkeypatch.setattr(tars, "MAX_TOTAL", 3000)
        for path in (_zip(tmp_path / "x.zip", list(_IMAGES.items())), _tar(tmp_path / "x.tar", list(_IMAGES.items()))):
            with pytest.raises(DataError, match="inflates to more than 3,000 bytes"):
                load_images(path)

    @pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2", ".tar.xz"])
    def test_a_tar_that_inflates_without_end(
        self, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tars, "RATIO_MATTERS_FROM", 2**20)
        members = [*_IMAGES.items(), ("zeros.txt", bytes(40 * 2**20)), ("z.png", encode(1))]
        with pytest.raises(DataError, match="inflates more than 200 times"):
            load_images(_packed(tmp_path / f"x{suffix}", members))

    @pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGLINK])
    def test_a_tar_header_of_gigabytes(self, tmp_path: Path, kind: bytes) -> None:
        info = tarfile.TarInfo("././@LongLink")
        info.type, info.size = kind, 10 * 2**30
        path = tmp_path / "x.tar"
        path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
        with pytest.raises(DataError):
            load_images(path)

    def test_a_tar_member_that_claims_gigabytes(self, tmp_path: Path) -> None:
        info = tarfile.TarInfo("a.png")
        info.size = 7 * 2**30
        path = tmp_path / "x.tar"
        path.write_bytes(info.tobuf() + bytes(4096))
        with pytest.raises(DataError, match=r"cut off|cannot be used"):
            load_images(path)

    def test_a_sparse_member(self, tmp_path: Path) -> None:
        info = tarfile.TarInfo("a.png")
        info.type = tarfile.GNUTYPE_SPARSE
        images = load_images(_tar(tmp_path / "x.tar", [*_IMAGES.items(), (info, b"")]))
        assert [(q.id, q.reason) for q in images.quarantine] == [("a.png", "is a sparse file")]


_CUTS = (0.0, 0.01, 0.2, 0.5, 0.8, 0.95)


@pytest.mark.parametrize("share", _CUTS)
@pytest.mark.parametrize("suffix", [".zip", *_TARS])
def test_a_cut_archive_is_an_error(tmp_path: Path, suffix: str, share: float) -> None:
    path = _packed(tmp_path / f"x{suffix}", list(_IMAGES.items()))
    data = path.read_bytes()
    if suffix == ".tar":  # the padding at the end is no loss
        data = data.rstrip(b"\0")
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DataError, match=r"x\."):
        load_images(path)


def test_a_tar_cut_between_members_is_an_error(tmp_path: Path) -> None:
    path = _tar(tmp_path / "x.tar", list(_IMAGES.items()))
    with tarfile.open(path) as archive:
        place = archive.getmembers()[6].offset
    path.write_bytes(path.read_bytes()[:place])
    with pytest.raises(DataError, match="the mark at the end"):
        load_images(path)


@pytest.mark.parametrize("place", range(0, 512, 37))
def test_a_tar_with_a_damaged_header_is_an_error_or_complete(tmp_path: Path, place: int) -> None:
    path = _tar(tmp_path / "x.tar", list(_IMAGES.items()))
    with tarfile.open(path) as archive:
        header = archive.getmembers()[5].offset
    data = bytearray(path.read_bytes())
    data[header + place] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError):
        load_images(path)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, bytes], ids=["gz", "bz2", "xz", "plain"])
@pytest.mark.parametrize("content", [b"", b"no tar", bytes(300), b"\xff" * 2000])
def test_what_is_no_tar_is_an_error(tmp_path: Path, pack: Callable[[bytes], bytes], content: bytes) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(pack(content))
    with pytest.raises(DataError):
        load_images(path)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\3\4", b"PK\5\6" + bytes(18), bytes(300)])
def test_what_is_no_zip_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.zip"):
        load_images(path)


def test_a_flipped_bit_in_a_zip_member_is_noticed(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.zip", [(n, encode(i, form="BMP")) for i, n in enumerate(_IMAGES)])
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.infolist()[4]
    data[info.header_offset + 30 + len(info.filename) + 200] ^= 1
    path.write_bytes(data)
    images = load_images(path)
    assert [q.id for q in images.quarantine] == [info.filename]
    assert "CRC" in images.quarantine[0].reason


def test_an_unknown_compression_is_a_reason(tmp_path: Path) -> None:
    path = _zip(tmp_path / "x.zip", [*_IMAGES.items(), ("z.png", encode(1))])
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 10] = 99
    data[data.rindex(b"PK\x03\x04") + 8] = 99
    path.write_bytes(data)
    images = load_images(path)
    assert [q.id for q in images.quarantine] == ["z.png"]


def test_an_archive_is_known_by_how_it_begins(tmp_path: Path) -> None:
    for suffix in (".zip", ".tar"):
        path = _packed(tmp_path / f"x{suffix}", list(_IMAGES.items()))
        plain = path.rename(tmp_path / f"without-{suffix[1:]}")
        assert len(load_images(plain)) == 12


def test_large_sets_decode_the_same_in_any_chunks(tmp_path: Path) -> None:
    members = [(f"{'ab'[i % 2]}/{i:04d}.png", encode(i, (9, 9))) for i in range(400)]
    images = load_images(_packed(tmp_path / "x.tar.gz", members))
    assert len(images) == 400
    again = load_images(_packed(tmp_path / "y.zip", members[::-1]))
    np.testing.assert_array_equal(images.images, again.images)
