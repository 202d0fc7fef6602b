"""IDX files and MNIST."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from phispace.data import load_images
from phispace.data.idx import read_idx
from phispace.errors import DataError

_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(array: np.ndarray, code: int = 8) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


def write_mnist(folder: Path, packed: bool = True, n: int = 30) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = [
        generator.integers(0, 256, (n, 28, 28), dtype=np.uint8),
        (np.arange(n) % 10).astype(np.uint8),
        generator.integers(0, 256, (10, 28, 28), dtype=np.uint8),
        np.arange(10, dtype=np.uint8),
    ]
    for name, array in zip(_FILES, arrays, strict=True):
        (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return arrays


_ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
_WHOLE = idx(_ARRAY)
_PACKED = gzip.compress(_WHOLE)


@pytest.mark.parametrize("data", [_WHOLE, _PACKED], ids=["plain", "gzip"])
def test_read(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    np.testing.assert_array_equal(read_idx(tmp_path / "x"), _ARRAY)


def test_other_types(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(idx(np.array([1.5, -2.0], ">f4"), 13))
    assert read_idx(tmp_path / "x").tolist() == [1.5, -2.0]


BAD = {
    "empty": b"",
    "two bytes": b"\0\0",
    "header cut": _WHOLE[:9],
    "wrong magic": b"\1" + _WHOLE[1:],
    "wrong type": b"\0\0\7\3" + _WHOLE[4:],
    "no dimensions": b"\0\0\x08\0" + _WHOLE[4:],
    "nine dimensions": b"\0\0\x08\x09" + _WHOLE[4:],
    "one byte short": _WHOLE[:-1],
    "one byte long": _WHOLE + b"\0",
    "claims 16 TB": b"\0\0\x08\3" + struct.pack(">3I", 2**32 - 1, 64, 64) + bytes(100),
    "claims 4 GB": b"\0\0\x08\1" + struct.pack(">I", 2**32 - 1) + bytes(100),
    "text": b"<html>not found</html>",
    "gzip of nothing": gzip.compress(b""),
    "gzip of text": gzip.compress(b"hello hello"),
    "gzip magic alone": b"\x1f\x8b",
    "gzip cut in its header": _PACKED[:6],
    "gzip cut in the middle": _PACKED[: len(_PACKED) // 2],
    "gzip cut before its checksum": _PACKED[:-8],
    "gzip cut in its checksum": _PACKED[:-3],
    "gzip with a flipped byte": _PACKED[:20] + bytes([_PACKED[20] ^ 0xFF]) + _PACKED[21:],
    "gzip with a wrong checksum": _PACKED[:-8] + b"\0\0\0\0" + _PACKED[-4:],
    "gzip of one byte short": gzip.compress(_WHOLE[:-1]),
    "gzip of one byte long": gzip.compress(_WHOLE + b"\0"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_sentence_with_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "train-images").write_bytes(BAD[name])
    with pytest.raises(DataError, match="train-images"):
        read_idx(tmp_path / "train-images")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing-here"):
        read_idx(tmp_path / "nothing-here")


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("folder", ["mnist", "MNIST/raw"])
def test_mnist_is_found(tmp_path: Path, packed: bool, folder: str) -> None:
    arrays = write_mnist(tmp_path / folder, packed)
    images = load_images("mnist", data_dir=tmp_path, download=False)
    np.testing.assert_array_equal(images.images[:30, ..., 0], arrays[0])
    assert images.labels.tolist() == [*arrays[1].tolist(), *arrays[3].tolist()]
    assert (images.split == "test").sum() == 10
    assert images.classes == tuple("0123456789")


def test_its_own_folder_may_be_named(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist")
    assert len(load_images("mnist", data_dir=tmp_path / "mnist", download=False)) == 40


def test_mnist_is_not_taken_for_fashion_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have files of the same names."""
    monkeypatch.setattr("phispace.data.mnist.FashionMnist.installed", ())
    write_mnist(tmp_path / "mnist")
    for folder in (tmp_path, tmp_path / "mnist"):
        with pytest.raises(DataError, match="files of fashion-mnist"):
            load_images("fashion-mnist", data_dir=folder, download=False)


def test_a_systems_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phispace.data.mnist.FashionMnist.installed", (str(tmp_path / "share"),))
    write_mnist(tmp_path / "share")
    images = load_images("fashion-mnist", download=False)
    assert images.classes[9] == "Ankle boot"


def _swap(folder: Path) -> None:
    images, labels = folder / f"{_FILES[0]}.gz", folder / f"{_FILES[1]}.gz"
    data = images.read_bytes()
    images.write_bytes(labels.read_bytes())
    labels.write_bytes(data)


def _labels(array: np.ndarray):
    return lambda folder: (folder / f"{_FILES[1]}.gz").write_bytes(gzip.compress(idx(array)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_swap, "dimensions"),
        (_labels(np.zeros(29, np.uint8)), "30 images and 29 labels"),
        (_labels(np.full(30, 10, np.uint8)), "label 10"),
        (_labels(np.zeros((30, 1), np.uint8)), "dimensions"),
        (lambda folder: (folder / f"{_FILES[2]}.gz").write_bytes(b""), "t10k-images"),
    ],
    ids=["swapped", "mismatched", "label 10", "labels of two dimensions", "an empty file"],
)
def test_files_that_do_not_fit_together(tmp_path: Path, spoil, message: str) -> None:
    write_mnist(tmp_path / "mnist")
    spoil(tmp_path / "mnist")
    with pytest.raises(DataError, match=message):
        load_images("mnist", data_dir=tmp_path, download=False)
