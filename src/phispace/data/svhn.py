"""Street View House Numbers, cropped digits, from its MATLAB files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from phispace.data.arrays import ArrayWishes, Part, from_arrays
from phispace.data.cache import file_identity
from phispace.data.download import Remote, obtain
from phispace.data.imageset import ImageSet
from phispace.data.names import escape
from phispace.data.origin import Allocate, Origin, Request
from phispace.data.source import Source, SourceConfig
from phispace.errors import DataError
from phispace.progress import Progress

_ADDRESS = "http://ufldl.stanford.edu/housenumbers/"
_CHECKSUMS = {
    "train": "md5:e26dedcc434d2e4c54c9b2d4a06d8373",
    "test": "md5:eb5a983be6a315427106f1b164d9cef3",
    "extra": "md5:a93ce644f1a588dc4d68dda5feec44a7",
}
_MAX_BYTES = 2 * 2**30


class SvhnConfig(SourceConfig):
    """Options of SVHN."""

    extra: bool = Field(default=False, description="add the 531,131 easier images to the training part")


class Svhn(Source):
    """99,289 colour images of 32 x 32 pixels of the digits 0 to 9, 26,032 of them for testing."""

    name = "svhn"
    title = "SVHN (cropped digits)"
    reference = (
        "Y. Netzer et al.: Reading Digits in Natural Images with Unsupervised Feature Learning, NIPS workshop 2011"
    )
    Config = SvhnConfig

    def origin(self, request: Request) -> Origin:
        more = isinstance(self.config, SvhnConfig) and self.config.extra
        parts = ("train", "test", "extra") if more else ("train", "test")
        remotes = [
            Remote(f"{part}_32x32.mat", (f"{_ADDRESS}{part}_32x32.mat",), _CHECKSUMS[part], _MAX_BYTES)
            for part in parts
        ]
        paths = obtain(remotes, request, self.name, ("SVHN", "housenumbers"))

        def build(allocate: Allocate, progress: Progress) -> ImageSet:
            read = [_read(part, path) for part, path in zip(parts, paths, strict=True)]
            wishes = ArrayWishes(size=request.size, classes=tuple("0123456789"))
            source = {"kind": "original files", "path": str(paths[0].parent)}
            return from_arrays(read, self.name, self.title, wishes, allocate, progress, source)

        identity = {"name": self.name, "size": request.size, "files": [file_identity(path) for path in paths]}
        return Origin(self.name, identity, build)


def _read(part: str, path: Path) -> Part:
    """X uint8 (32, 32, 3, N) and y (N, 1), in which 10 stands for the digit 0."""
    from scipy.io import loadmat

    try:
        found: dict[str, Any] = loadmat(str(path), variable_names=("X", "y"), appendmat=False)
    except Exception as error:  # a damaged file makes the parser raise whatever comes to hand
        text = escape(str(error) or type(error).__name__)[:200]
        raise DataError(f"{path} is no MATLAB file that can be read, or is cut off: {text}.") from error
    pixels, labels = found.get("X"), found.get("y")
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[:3] != (32, 32, 3):
        raise DataError(f"{path} has no images X of uint8 (32, 32, 3, N).")
    if pixels.ndim != 4 or not isinstance(labels, np.ndarray) or labels.size != pixels.shape[3]:
        raise DataError(f"{path} has no {pixels.shape[-1]:,} labels y, one an image.")
    digits = labels.reshape(-1)
    if digits.dtype.kind not in "iuf" or (digits.size and not (digits.min() >= 0 and digits.max() <= 10)):
        raise DataError(f"{path} has labels that are not 0 to 10.")
    split = "train" if part == "extra" else part
    return Part(part, pixels.transpose(3, 0, 1, 2), digits.astype(np.int64) % 10, split)
