"""IDX files, the format of MNIST: two zero bytes, a type, the number of dimensions, their lengths, then the values."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from phispace.errors import DataError

_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_MAX_BYTES = 8 * 2**30


def read_idx(path: Path) -> np.ndarray:
    """Read one IDX file, gzipped or not.

    Raises:
        DataError: the magic, the lengths and the number of values do not agree, or the file is cut off or damaged.
    """
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as stream:
            start = stream.read(4)
            if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES or not 1 <= start[3] <= 4:
                raise DataError(f"{path} is no IDX file: it begins with {start.hex() or 'nothing'}.")
            lengths = stream.read(4 * start[3])
            if len(lengths) < 4 * start[3]:
                raise DataError(f"{path} is cut off within its header.")
            shape = struct.unpack(f">{start[3]}I", lengths)
            dtype = np.dtype(_TYPES[start[2]])
            size = math.prod(shape) * dtype.itemsize
            largest = math.prod(max(length, 1) for length in shape) * dtype.itemsize  # no array has empty huge axes
            if largest > _MAX_BYTES:
                raise DataError(f"{path} claims {largest:,} bytes (shape {shape}); at most {_MAX_BYTES:,} are read.")
            data = stream.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read, or is cut off: {error}.") from error
    if len(data) != size:
        more = "more" if len(data) > size else f"{len(data):,}"
        raise DataError(f"{path} should hold {size:,} bytes of values (shape {shape}); {more} are there.")
    return np.frombuffer(data, dtype).reshape(shape)
