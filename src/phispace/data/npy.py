"""`.npy` data read with suspicion: the header is compared with the bytes that are there before anything is allocated,
and arrays of Python objects (pickles) are refused."""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np

from phispace.data.names import escape
from phispace.errors import DataError

_KINDS = "biufUS"


def read_npy(stream: IO[bytes], length: int, what: str) -> np.ndarray:
    """Read one array from a stream of `length` bytes.

    Raises:
        DataError: no array, of a type that is not read, larger than memory, or longer or shorter than it says.
    """
    shape, fortran, dtype, header = _header(stream, what)
    size = _checked_size(shape, dtype, length - header, what)
    if size > _memory():
        raise DataError(f"{what} holds {size:,} bytes; this machine has {_memory():,} bytes of memory.")
    try:
        data = stream.read(size)
        rest = stream.read(1)
    except Exception as error:  # zlib, lzma and zipfile each have their own
        raise DataError(f"{what} cannot be read: {escape(str(error) or type(error).__name__)}.") from error
    if len(data) != size or rest:
        raise DataError(f"{what} is cut off: {len(data):,} of {size:,} bytes are there.")
    array: np.ndarray = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return array


def map_npy(path: Path) -> np.ndarray:
    """Memory-map a `.npy` file, read only.

    Raises:
        DataError: as for `read_npy`.
    """
    try:
        with path.open("rb") as stream:
            shape, fortran, dtype, header = _header(stream, str(path))
            _checked_size(shape, dtype, path.stat().st_size - header, str(path))
        if 0 in shape or not shape:
            return np.zeros(shape, dtype)
        return np.memmap(path, dtype, "r", header, shape, "F" if fortran else "C")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, OverflowError, MemoryError) as error:
        raise DataError(f"{path} cannot be mapped: {error}.") from error


def _header(stream: IO[bytes], what: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, Fortran order, type, and the length of the header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns of headers written by Python 2, which are harmless
            version = np.lib.format.read_magic(stream)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, fortran, dtype = read(stream)
            place = stream.tell()
    except Exception as error:  # the header is a Python literal: tokenize, ast and numpy each have their own errors
        text = escape(str(error) or type(error).__name__)[:160]
        raise DataError(f"{what} is no array in numpy's format, or its header is damaged: {text}.") from error
    if dtype.hasobject:
        raise DataError(f"{what} holds pickled Python objects, which can run code; save it as numbers instead.")
    if dtype.kind not in _KINDS or dtype.names is not None or dtype.subdtype is not None:
        raise DataError(f"{what} has type {dtype}; numbers or text are expected.")
    if not all(isinstance(n, int) and n >= 0 for n in shape):
        raise DataError(f"{what} claims the shape {shape}, which no array has.")
    return shape, fortran, dtype, place


def _checked_size(shape: tuple[int, ...], dtype: np.dtype[Any], there: int, what: str) -> int:
    size = math.prod(shape, start=dtype.itemsize)
    if size != there or (dtype.itemsize == 0 and 0 not in shape):
        raise DataError(f"{what} claims {size:,} bytes ({dtype} {shape}) and {max(0, there):,} are there.")
    return size


def _memory() -> int:
    """Bytes of physical memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 2**40
