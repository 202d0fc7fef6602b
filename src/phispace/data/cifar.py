"""CIFAR-10 and CIFAR-100, in whichever form they lie on the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from phispace.data.imageset import ImageSet
from phispace.data.origin import Allocate, Origin, Request
from phispace.data.paths import PathConfig, origin_of_path
from phispace.data.source import Source
from phispace.errors import DataError
from phispace.progress import Progress

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
JPEG_CAVEAT = "JPEG re-encoded copy; scores sit a little below the original's."


class Cifar10(Source):
    """60,000 colour images of 32 x 32 pixels in ten classes, 10,000 of them for testing."""

    name = "cifar10"
    title = "CIFAR-10"
    reference = (
        "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009; cs.toronto.edu/~kriz/cifar.html"
    )
    copies: ClassVar[tuple[str, ...]] = ("cifar10", "cifar-10", "cifar10.zip", "cifar10-jpeg.zip", "cifar10-jpeg")

    def origin(self, request: Request) -> Origin:
        for folder in request.folders:
            for copy in self.copies:
                path = folder / copy
                if path.exists():
                    return marked(origin_of_path(path, PathConfig(), request, self.name))
        raise DataError("not found")


class Cifar100(Cifar10):
    name = "cifar100"
    copies = ()


def marked(origin: Origin) -> Origin:
    """The same origin; its set says so if it is a JPEG copy of CIFAR-10."""

    def build(allocate: Allocate, progress: Progress) -> ImageSet:
        images = origin.build(allocate, progress)
        formats = images.source.get("formats", {})
        if images.classes == CIFAR10_CLASSES and "JPEG" in formats:
            caveats = [*images.source.get("caveats", []), JPEG_CAVEAT]
            return replace(images, source={**images.source, "caveats": caveats})
        return images

    return replace(origin, build=build)
