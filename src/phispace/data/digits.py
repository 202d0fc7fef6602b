"""Scikit-learn's handwritten digits: 1,797 real images of 8 x 8 pixels that come with the installation."""

from __future__ import annotations

from typing import Any

import numpy as np

from phispace.data.imageset import ImageSet
from phispace.data.origin import Allocate, Origin, Request
from phispace.data.resize import fit
from phispace.data.source import Source
from phispace.progress import Progress


class Digits(Source):
    """Grey 8 x 8 digits 0 to 9, counts of 0 .. 16 black pixels per 4 x 4 block scaled to 0 .. 255."""

    name = "digits"
    title = "Handwritten digits (8 x 8)"
    reference = (
        "E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998; "
        "the test part, as sklearn.datasets.load_digits ships it"
    )
    offline = True

    def origin(self, request: Request) -> Origin:
        size = request.size or 8

        def build(allocate: Allocate, progress: Progress) -> ImageSet:
            from sklearn.datasets import load_digits

            found: Any = load_digits()
            values = np.clip(found.images, 0, 16)
            pixels = np.round(values * (255.0 / 16.0)).astype(np.uint8)
            return ImageSet(
                images=np.stack([fit(image, size) for image in pixels])[..., None],
                labels=found.target.astype(np.int64),
                ids=np.array([f"digits/{i:06d}" for i in range(len(pixels))]),
                classes=tuple("0123456789"),
                split=np.full(len(pixels), "train"),
                name=self.name,
                source={
                    "kind": "scikit-learn",
                    "size": size,
                    "sizes": {"8x8": len(pixels)},
                    "modes": {"L": len(pixels)},
                    "range": {"low": 0.0, "high": 16.0, "rule": "values are counts from 0 to 16"},
                },
            )

        return Origin(self.name, {"name": self.name, "size": size}, build, keep=False)
