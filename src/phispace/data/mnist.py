"""MNIST and Fashion-MNIST, from their four IDX files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from phispace.data.arrays import ArrayWishes, Part, from_arrays
from phispace.data.cache import file_identity
from phispace.data.download import Remote, obtain
from phispace.data.idx import read_idx
from phispace.data.imageset import ImageSet
from phispace.data.origin import Allocate, Origin, Request
from phispace.data.source import Source
from phispace.errors import DataError
from phispace.progress import Progress

_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_MAX_BYTES = 64 * 2**20


class Mnist(Source):
    """70,000 grey handwritten digits of 28 x 28 pixels, 10,000 of them for testing."""

    name = "mnist"
    title = "MNIST"
    reference = (
        "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition, 1998"
    )
    classes: ClassVar[tuple[str, ...]] = tuple("0123456789")
    folders: ClassVar[tuple[str, ...]] = ("mnist", "MNIST/raw", "MNIST")
    installed: ClassVar[tuple[str, ...]] = ()
    mirrors: ClassVar[tuple[str, ...]] = ("https://ossci-datasets.s3.amazonaws.com/mnist/",)
    checksums: ClassVar[tuple[str, ...]] = (
        "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "md5:d53e105ee54ea40749a09fcbcd1e9432",
        "md5:9fb629c4189551a2d022fa330f9573f3",
        "md5:ec29112dd5afa0611ce80d1b7f02629c",
    )

    def origin(self, request: Request) -> Origin:
        remotes = [
            Remote(f"{file}.gz", tuple(f"{mirror}{file}.gz" for mirror in self.mirrors), checksum, _MAX_BYTES)
            for file, checksum in zip(_FILES, self.checksums, strict=True)
        ]
        also = {f"{file}.gz": (file, file.replace("-idx", ".idx")) for file in _FILES}
        installed = [Path(place) for place in self.installed]
        # Both sets use the same file names, so only the folder tells which one they are.
        paths = obtain(remotes, request, self.name, self.folders, also, installed, anywhere=False)

        def build(allocate: Allocate, progress: Progress) -> ImageSet:
            return self._build(paths, request, allocate, progress)

        identity = {"name": self.name, "size": request.size, "files": [file_identity(path) for path in paths]}
        return Origin(self.name, identity, build)

    def _build(self, paths: list[Path], request: Request, allocate: Allocate, progress: Progress) -> ImageSet:
        arrays = [read_idx(path) for path in paths]
        for array, path, dimensions in zip(arrays, paths, (3, 1, 3, 1), strict=True):
            if array.ndim != dimensions or array.dtype != "u1":
                raise DataError(
                    f"{path} holds {array.dtype} {array.shape}; {dimensions} dimensions of bytes are expected."
                )
        return from_arrays(
            [Part("train", arrays[0], arrays[1], "train"), Part("test", arrays[2], arrays[3], "test")],
            self.name,
            self.title,
            ArrayWishes(size=request.size, classes=self.classes),
            allocate,
            progress,
            {"kind": "IDX files", "path": str(paths[0].parent)},
        )


class FashionMnist(Mnist):
    """70,000 grey pictures of clothes of 28 x 28 pixels, 10,000 of them for testing."""

    name = "fashion-mnist"
    title = "Fashion-MNIST"
    reference = "H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, arXiv:1708.07747, 2017"
    classes = (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    )
    folders = ("fashion-mnist", "FashionMNIST/raw", "fashion_mnist", "fashion")
    installed = ("/usr/share/datasets/fashion-mnist", "/usr/share/dataset-fashion-mnist")  # Debian's place
    mirrors = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    checksums = (
        "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "md5:25c81989df183df01b3e8a0aad5dffbe",
        "md5:bef4ecab320f06d8554ea6380940ec79",
        "md5:bb300cfdad3c16e7a12a480ee83cd310",
    )
