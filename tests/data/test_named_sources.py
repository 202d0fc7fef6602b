"""The published files of CIFAR, STL-10 and SVHN, in small."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from pictures import encode
from scipy.io import savemat

from phispace.data import load_images
from phispace.data.cifar import JPEG_CAVEAT
from phispace.data.cifar_names import CIFAR10, CIFAR100_COARSE, CIFAR100_FINE
from phispace.data.cifar_pickles import read_batch
from phispace.errors import DataError

_BATCHES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def _cifar10(seed: int, n: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (n, 3072), dtype=np.uint8), generator.integers(0, 10, n)


def _binary(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for seed, name in enumerate(_BATCHES):
        pixels, labels = _cifar10(seed)
        (folder / f"{name}.bin").write_bytes(np.hstack([labels[:, None].astype(np.uint8), pixels]).tobytes())
    return folder


def _pickled(folder: Path, protocol: int = 2) -> Path:
    folder.mkdir(parents=True)
    for seed, name in enumerate(_BATCHES):
        pixels, labels = _cifar10(seed)
        batch = {b"data": pixels, b"labels": labels.tolist(), b"filenames": [b"x.png"] * 4, b"batch_label": b"1"}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=protocol))
    return folder


def _tarred(folder: Path, path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


class TestCifar:
    @pytest.mark.parametrize("form", ["bin", "bin.tar", "py", "py.tar", "py4"])
    def test_the_published_forms_agree(self, tmp_path: Path, form: str) -> None:
        data = tmp_path / "data"
        data.mkdir()
        if form.startswith("bin"):
            folder = _binary((tmp_path if "tar" in form else data) / "cifar-10-batches-bin")
            archive = "cifar-10-binary.tar.gz"
        else:
            protocol = 4 if form == "py4" else 2
            folder = _pickled((tmp_path if "tar" in form else data) / "cifar-10-batches-py", protocol)
            archive = "cifar-10-python.tar.gz"
        if form.endswith("tar"):
            _tarred(folder, data / archive)
        images = load_images("cifar10", data_dir=data, download=False)
        assert images.classes == CIFAR10
        assert images.ids[[0, 20]].tolist() == ["train/000000", "test/000000"]
        for seed in range(6):
            pixels, labels = _cifar10(seed)
            rows = slice(4 * seed, 4 * seed + 4)
            np.testing.assert_array_equal(images.images[rows], pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
            assert images.labels[rows].tolist() == labels.tolist()
        assert (images.split == "test").sum() == 4
        assert "caveats" not in images.source

    def test_a_jpeg_copy_says_so(self, tmp_path: Path) -> None:
        for name in CIFAR10:
            folder = tmp_path / "cifar10" / "train" / name
            folder.mkdir(parents=True)
            for i in range(2):
                (folder / f"{i}.jpg").write_bytes(encode(i, (32, 32), form="JPEG"))
        for spec, data_dir in (("cifar10", tmp_path), (tmp_path / "cifar10", None)):
            images = load_images(spec, data_dir=data_dir, download=False)
            assert images.source["caveats"] == [JPEG_CAVEAT]

    def test_a_png_copy_says_nothing(self, tmp_path: Path) -> None:
        for name in CIFAR10:
            (tmp_path / "cifar10" / name).mkdir(parents=True)
            (tmp_path / "cifar10" / name / "0.png").write_bytes(encode(1, (32, 32)))
        assert "caveats" not in load_images("cifar10", data_dir=tmp_path, download=False).source

    @pytest.mark.parametrize(("kind", "names"), [("fine", CIFAR100_FINE), ("coarse", CIFAR100_COARSE)])
    def test_cifar100(self, tmp_path: Path, kind: str, names: tuple[str, ...]) -> None:
        folder = tmp_path / "cifar-100-binary"
        folder.mkdir()
        generator = np.random.default_rng(0)
        for name in ("train", "test"):
            pixels = generator.integers(0, 256, (6, 3072), dtype=np.uint8)
            marks = np.stack([np.arange(6) + 10, np.arange(6) + 90], axis=1).astype(np.uint8)
            (folder / f"{name}.bin").write_bytes(np.hstack([marks, pixels]).tobytes())
        images = load_images("cifar100", data_dir=tmp_path, options={"labels": kind}, download=False)
        assert images.classes == names
        assert images.labels[:6].tolist() == list(range(90, 96) if kind == "fine" else range(10, 16))

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda f: (f / "data_batch_3.bin").unlink(),
            lambda f: (f / "data_batch_3.bin").write_bytes(b""),
            lambda f: (f / "data_batch_3.bin").write_bytes(bytes(3072)),
            lambda f: (f / "test_batch.bin").write_bytes(b"\x0a" + bytes(3072)),
        ],
        ids=["missing", "empty", "cut", "label 10"],
    )
    def test_bad_binary_files(self, tmp_path: Path, spoil) -> None:
        spoil(_binary(tmp_path / "cifar-10-batches-bin"))
        with pytest.raises(DataError):
            load_images("cifar10", data_dir=tmp_path, download=False)

    def test_a_cut_archive(self, tmp_path: Path) -> None:
        archive = _tarred(_binary(tmp_path / "x" / "cifar-10-batches-bin"), tmp_path / "cifar-10-binary.tar.gz")
        archive.write_bytes(archive.read_bytes()[:-5000])
        with pytest.raises(DataError, match="cut off"):
            load_images("cifar10", data_dir=tmp_path, download=False)


class _Call:
    def __init__(self, function, *arguments) -> None:
        self._state = function, arguments

    def __reduce__(self):
        return self._state


_PIXELS = np.zeros((2, 3072), np.uint8)
_GOOD = {b"data": _PIXELS, b"labels": [1, 2]}
BAD_PICKLES = {
    "empty": b"",
    "text": b"hello",
    "cut": pickle.dumps(_GOOD, 2)[:-100],
    "os.system": pickle.dumps({**_GOOD, b"x": _Call(__import__("os").system, "touch /var/tmp/phispace-pwned")}, 2),
    "eval": pickle.dumps({**_GOOD, b"x": _Call(eval, "1+1")}, 2),
    "exec": pickle.dumps({**_GOOD, b"x": _Call(exec, "pass")}, 2),
    "open": pickle.dumps({**_GOOD, b"x": _Call(open, "/etc/passwd")}, 2),
    "getattr": pickle.dumps({**_GOOD, b"x": _Call(getattr, "a", "upper")}, 2),
    "import": pickle.dumps({**_GOOD, b"x": _Call(__import__, "os")}, 2),
    "np.load": pickle.dumps({**_GOOD, b"x": _Call(np.load, "/etc/passwd")}, 2),
    "np.fromfile": pickle.dumps({**_GOOD, b"x": _Call(np.fromfile, "/etc/passwd")}, 2),
    "dotted name": b"cos\npath.join\n(S'a'\ntR.",
    "dotted name in numpy": b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
    "builtins by another way": b"cbuiltins\nexec\n(S'1'\ntR.",
    "persistent id": b"Pabc\n.",
    "extension": b"\x80\x02\x82\x01.",
    "an array of objects": pickle.dumps({b"data": np.array([[None] * 3072], object), b"labels": [1]}, 2),
    "a list": pickle.dumps([1, 2], 2),
    "no pixels": pickle.dumps({b"labels": [1, 2]}, 2),
    "no labels": pickle.dumps({b"data": _PIXELS}, 2),
    "pixels of floats": pickle.dumps({b"data": _PIXELS.astype(float), b"labels": [1, 2]}, 2),
    "pixels of another shape": pickle.dumps({b"data": _PIXELS[:, :100], b"labels": [1, 2]}, 2),
    "labels too few": pickle.dumps({b"data": _PIXELS, b"labels": [1]}, 2),
    "labels of text": pickle.dumps({b"data": _PIXELS, b"labels": ["a", "b"]}, 2),
    "an array of a million million bytes": b"cnumpy\nndarray\n((L1000000000000000L\ntS'u1'\ntR.",
    "deep nesting": b"(" * 100_000 + b".",
    "memo that is not there": b"h\x05.",
}


@pytest.mark.parametrize("name", BAD_PICKLES)
def test_a_pickle_that_is_no_batch_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="the batch"):
        read_batch(BAD_PICKLES[name], "labels", "the batch")


def test_the_hostile_pickle_did_not_run() -> None:
    assert not Path("/var/tmp/phispace-pwned").exists()


class TestStl10:
    def _write(self, folder: Path, unlabelled: int = 5) -> np.ndarray:
        folder.mkdir(parents=True)
        generator = np.random.default_rng(0)
        pixels = generator.integers(0, 256, (20, 3, 96, 96), dtype=np.uint8)
        (folder / "train_X.bin").write_bytes(pixels[:10].tobytes())
        (folder / "train_y.bin").write_bytes(bytes(range(1, 11)))
        (folder / "test_X.bin").write_bytes(pixels[10:15].tobytes())
        (folder / "test_y.bin").write_bytes(bytes(range(1, 6)))
        (folder / "unlabeled_X.bin").write_bytes(pixels[15 : 15 + unlabelled].tobytes())
        return pixels

    @pytest.mark.parametrize("packed", [False, True])
    def test_read(self, tmp_path: Path, packed: bool) -> None:
        pixels = self._write(tmp_path / "x" / "stl10_binary")
        data = tmp_path / "x"
        if packed:
            data = tmp_path / "data"
            data.mkdir()
            _tarred(tmp_path / "x" / "stl10_binary", data / "stl10_binary.tar.gz")
        images = load_images("stl10", data_dir=data, size=96, download=False)
        np.testing.assert_array_equal(images.images, pixels.transpose(0, 3, 2, 1))
        assert images.labels.tolist() == [*range(10), *range(5), *[-1] * 5]
        assert (images.split == "unlabelled").sum() == 5
        assert images.classes[0] == "airplane"

    def test_by_default_64_and_without_the_unlabelled(self, tmp_path: Path) -> None:
        self._write(tmp_path / "stl10_binary")
        images = load_images("stl10", data_dir=tmp_path, options={"unlabelled": False}, download=False)
        assert images.shape == (3, 64, 64)
        assert len(images) == 15

    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("train_X.bin", b""),
            ("train_X.bin", bytes(1000)),
            ("train_y.bin", bytes(10)),
            ("train_y.bin", b"\1"),
            ("test_y.bin", b"\x0b" * 5),
        ],
    )
    def test_bad_files(self, tmp_path: Path, name: str, data: bytes) -> None:
        self._write(tmp_path / "stl10_binary")
        (tmp_path / "stl10_binary" / name).write_bytes(data)
        with pytest.raises(DataError):
            load_images("stl10", data_dir=tmp_path, download=False)

    def test_a_missing_file(self, tmp_path: Path) -> None:
        self._write(tmp_path / "stl10_binary")
        (tmp_path / "stl10_binary" / "test_y.bin").unlink()
        with pytest.raises(DataError, match=r"no file test_y\.bin"):
            load_images("stl10", data_dir=tmp_path, download=False)


class TestSvhn:
    def _write(self, folder: Path) -> np.ndarray:
        pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 20), dtype=np.uint8)
        for part in ("train", "test"):
            savemat(
                folder / f"{part}_32x32.mat", {"X": pixels, "y": (np.arange(20) % 10 + 1)[:, None].astype(np.uint8)}
            )
        return pixels

    def test_read(self, tmp_path: Path) -> None:
        pixels = self._write(tmp_path)
        images = load_images("svhn", data_dir=tmp_path, download=False)
        np.testing.assert_array_equal(images.images[:20], pixels.transpose(3, 0, 1, 2))
        assert images.labels[:10].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
        assert (images.split == "test").sum() == 20

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"text",
            bytes(500),
            {"X": np.zeros((32, 32, 3, 4), np.uint8)},
            {"y": np.ones(4)},
            {"X": np.zeros((32, 32, 3, 4)), "y": np.ones(4)},
            {"X": np.zeros((4, 32, 32, 3), np.uint8), "y": np.ones(4)},
            {"X": np.zeros((32, 32, 3, 4), np.uint8), "y": np.ones(3)},
            {"X": np.zeros((32, 32, 3, 4), np.uint8), "y": np.full(4, 11)},
            {"X": "text", "y": "text"},
        ],
    )
    def test_bad_files(self, tmp_path: Path, content) -> None:
        self._write(tmp_path)
        if isinstance(content, bytes):
            (tmp_path / "train_32x32.mat").write_bytes(content)
        else:
            savemat(tmp_path / "train_32x32.mat", content)
        with pytest.raises(DataError, match="train_32x32"):
            load_images("svhn", data_dir=tmp_path, download=False)

    @pytest.mark.parametrize("step", range(8))
    def test_a_cut_file(self, tmp_path: Path, step: int) -> None:
        self._write(tmp_path)
        data = (tmp_path / "train_32x32.mat").read_bytes()
        (tmp_path / "train_32x32.mat").write_bytes(data[: step * len(data) // 8])
        with pytest.raises(DataError, match="train_32x32"):
            load_images("svhn", data_dir=tmp_path, download=False)


def test_a_pickle_reads_what_numpy_wrote() -> None:
    stream = io.BytesIO()
    pickle.dump(_GOOD, stream, protocol=2)
    pixels, labels = read_batch(stream.getvalue(), "labels", "x")
    assert pixels.shape == (2, 3072)
    assert labels.tolist() == [1, 2]
