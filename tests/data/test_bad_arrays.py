"""Arrays that are not what they claim to be."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from phispace.data import load_images
from phispace.data.npy import map_npy, read_npy
from phispace.errors import DataError, PhispaceError

_IMAGES = np.zeros((6, 8, 8), np.uint8)
_LABELS = np.arange(6) % 2


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def _header(text: str, version: int = 1) -> bytes:
    body = text.encode("latin1") + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(body))
    return b"\x93NUMPY" + bytes([version, 0]) + length + body


def _claim(shape: str, descr: str = "'|u1'", fortran: str = "False") -> bytes:
    return _header(f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}")


class _Run:
    def __reduce__(self):
        return (exec, ("raise SystemExit('pickle ran')",))


_WHOLE = _npy(_IMAGES)
BAD_NPY = {
    "empty": b"",
    "magic alone": b"\x93NUMPY",
    "text": b"not an array at all",
    "version 9": b"\x93NUMPY\x09\0" + _WHOLE[8:],
    "pickled object": _npy(np.array([_Run(), 1], dtype=object)),
    "raw pickle": pickle.dumps(_Run()),
    "header that is no literal": _header("__import__('os').system('false')"),
    "header that is a list": _header("[1, 2, 3]"),
    "header without shape": _header("{'descr': '|u1', 'fortran_order': False}"),
    "header with more keys": _header("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2), 'x': 1}"),
    "header of deep brackets": _header("(" * 3000 + ")" * 3000),
    "header of endless digits": _header("9" * 60_000),
    "header that is cut": _WHOLE[:40],
    "header length beyond the end": b"\x93NUMPY\x01\0\xff\xff" + b"{" * 10,
    "header of gigabytes": b"\x93NUMPY\x02\0" + struct.pack("<I", 2**32 - 1) + b"{",
    "a million million floats": _claim("(1000000, 1000, 1000)", "'<f8'"),
    "more than 2^63 values": _claim("(4611686018427387904, 4611686018427387904)"),
    "negative shape": _claim("(-6, 8, 8)") + bytes(384),
    "shape of floats": _claim("(6.0, 8, 8)") + bytes(384),
    "shape that is no tuple": _claim("384") + bytes(384),
    "fortran_order 7": _claim("(6, 8, 8)", fortran="7") + bytes(384),
    "type that is none": _claim("(6, 8, 8)", "'zz9'") + bytes(384),
    "structured type": _claim("(6,)", "[('a', '<f4'), ('b', '<f4')]") + bytes(48),
    "object type": _claim("(6, 8, 8)", "'|O'") + bytes(3072),
    "void type": _claim("(6, 8, 8)", "'|V1'") + bytes(384),
    "complex type": _npy(np.zeros((6, 8, 8), np.complex64)),
    "dates": _npy(np.zeros((6, 8, 8), "M8[s]")),
    "text array": _npy(np.full((6, 8, 8), "a")),
    "one byte short": _WHOLE[:-1],
    "one byte long": _WHOLE + b"\0",
    "half": _WHOLE[: len(_WHOLE) // 2],
    "one dimension": _npy(np.zeros(64, np.uint8)),
    "five dimensions": _npy(np.zeros((2, 2, 2, 2, 3), np.uint8)),
    "a single number": _npy(np.uint8(3)),
    "rows of no square": _npy(np.zeros((6, 63), np.uint8)),
    "two channels": _npy(np.zeros((6, 8, 8, 2), np.uint8)),
    "seven channels": _npy(np.zeros((6, 8, 8, 7), np.uint8)),
    "no items": _npy(np.zeros((0, 8, 8), np.uint8)),
    "no width": _npy(np.zeros((6, 8, 0), np.uint8)),
    "a side of 5,000": _npy(np.zeros((1, 5000, 2), np.uint8)),
    "all NaN": _npy(np.full((6, 8, 8), np.nan)),
}


@pytest.mark.parametrize("name", BAD_NPY)
@pytest.mark.parametrize("form", ["npy", "npz", "folder"])
def test_a_bad_array_is_one_sentence(tmp_path: Path, name: str, form: str) -> None:
    if form == "npz":
        path = tmp_path / "x.npz"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("images.npy", BAD_NPY[name])
    else:
        path = tmp_path / "x.npy"
        path.write_bytes(BAD_NPY[name])
        path = tmp_path if form == "folder" else path
    with pytest.raises(DataError) as caught:
        load_images(path)
    assert "\n" not in str(caught.value)


BAD_LABELS = {
    "too few": np.zeros(5, int),
    "too many": np.zeros(7, int),
    "a single number": np.int64(3),
    "none": np.zeros(0, int),
    "fractions": np.linspace(0, 1, 6),
    "infinite": np.full(6, np.inf),
    "negative": np.array([0, 1, -2, 0, 1, 0]),
    "huge floats": np.full(6, 1e300),
    "beyond int64": np.full(6, 2**64 - 1, np.uint64),
    "rows that are not one-hot": np.full((6, 3), 0.5),
    "rows of two ones": np.ones((6, 2)),
    "three dimensions": np.zeros((6, 2, 2)),
    "complex": np.zeros(6, complex),
    "dates": np.zeros(6, "M8[s]"),
    "objects": np.array([_Run()] * 6, dtype=object),
}


@pytest.mark.parametrize("name", BAD_LABELS)
def test_bad_labels_are_one_sentence(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "x.npz", images=_IMAGES, labels=BAD_LABELS[name])
    with pytest.raises(DataError):
        load_images(tmp_path / "x.npz")


def test_labels_of_different_kinds_in_two_parts(tmp_path: Path) -> None:
    names = np.array(["a", "b"])[_LABELS]
    np.savez(tmp_path / "x.npz", x_train=_IMAGES, y_train=_LABELS, x_test=_IMAGES, y_test=names)
    with pytest.raises(DataError, match="names in one part and numbers in another"):
        load_images(tmp_path / "x.npz")


def test_lengths_that_do_not_match_are_both_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=_IMAGES, labels=np.zeros(4, int))
    with pytest.raises(DataError, match="6 images and 4 labels"):
        load_images(tmp_path / "x.npz")


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("step", range(12))
def test_a_cut_npz_is_an_error(tmp_path: Path, compress: bool, step: int) -> None:
    path = tmp_path / "x.npz"
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    (np.savez_compressed if compress else np.savez)(path, images=images, labels=_LABELS)
    data = path.read_bytes()
    path.write_bytes(data[: step * len(data) // 12])
    with pytest.raises(DataError):
        load_images(path)


@pytest.mark.parametrize("step", range(40))
def test_a_flipped_bit_is_an_error_or_harmless(tmp_path: Path, step: int) -> None:
    """Zip checks its members' sums, so no pixel or label changes unseen."""
    path = tmp_path / "x.npz"
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    np.savez(path, images=images, labels=_LABELS)
    data = bytearray(path.read_bytes())
    data[step * len(data) // 40] ^= 1 << step % 8
    path.write_bytes(data)
    try:
        found = load_images(path)
    except PhispaceError:
        return
    np.testing.assert_array_equal(found.images[..., 0], images)


def test_an_npz_of_zeros_that_inflates_a_thousand_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phispace.data.npz._RATIO_MATTERS_FROM", 2**20)
    np.savez_compressed(tmp_path / "x.npz", images=np.zeros((1000, 64, 64), np.uint8))
    with pytest.raises(DataError, match="200 to 1"):
        load_images(tmp_path / "x.npz")


def test_an_array_larger_than_memory_is_not_allocated(tmp_path: Path) -> None:
    """Header and directory agree on 40 TB; nothing of it is there."""
    header = _claim("(40000000, 1000, 1000)")
    with pytest.raises(DataError, match="of memory"):
        read_npy(io.BytesIO(header), len(header) + 40_000_000 * 10**6, "It")


def test_a_sparse_file_of_zeros_is_mapped_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    header = _claim("(1000000, 100, 100)")
    with path.open("wb") as stream:
        stream.write(header)
        stream.truncate(len(header) + 10**10)
    assert map_npy(path).shape == (1_000_000, 100, 100)


BAD_NPZ = {
    "empty file": b"",
    "text": b"no archive",
    "npy that is called npz": _WHOLE,
    "zip end alone": b"PK\5\6" + bytes(18),
    "zip begin alone": b"PK\3\4" + bytes(40),
}


@pytest.mark.parametrize("name", BAD_NPZ)
def test_what_is_no_npz(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(BAD_NPZ[name])
    with pytest.raises(DataError, match=r"x\.npz"):
        load_images(path)


@pytest.mark.parametrize(
    "members", [{}, {"readme.txt": b"x"}, {"images.png": b"x"}, {"a.npy": _WHOLE, "b.npy": _WHOLE}]
)
def test_an_npz_without_images(tmp_path: Path, members: dict[str, bytes]) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(PhispaceError, match=r"x\.npz"):
        load_images(path)


def test_two_arrays_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", _WHOLE)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("images.npy", _WHOLE)
    with pytest.raises(DataError, match="two arrays named 'images'"):
        load_images(path)
