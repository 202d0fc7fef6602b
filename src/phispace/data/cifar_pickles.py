"""The pickled batches of CIFAR, opened by an unpickler that knows four harmless names and refuses all others.

A pickle can name any function and call it. Here `find_class` answers for the pieces that a numpy array is put together
from, and for nothing else, so the worst that a hostile file can do is to fail.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from phispace.errors import DataError

_PIXELS = 3 * 32 * 32


def _reconstruct(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """What numpy's own `_reconstruct` does: an empty array, to be filled by its state."""
    return np.ndarray.__new__(np.ndarray, (0,), "b")


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """How protocol 2 writes bytes; other encodings are refused."""
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise pickle.UnpicklingError("an encoding other than latin1")
    return text.encode("latin1")


def _dtype(code: Any, align: Any = False, copy: Any = False) -> np.dtype[Any]:
    """One of the plain number types."""
    dtype: np.dtype[Any] = np.dtype(code.decode("ascii") if isinstance(code, bytes) else code)
    if dtype.kind not in "buif":
        raise pickle.UnpicklingError(f"an array of type {dtype}")
    return np.dtype(dtype.str, copy=True)


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[(module, name)]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no batch of images needs") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside of itself")


def read_batch(data: bytes, label_key: str, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 (N, 3072) and labels int64 (N,) of one batch.

    Raises:
        DataError: no pickle, one that names anything but arrays, or one without such pixels and labels.
    """
    try:
        found = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # a damaged or hostile pickle can raise anything
        raise DataError(f"{where} is refused or damaged: {error or type(error).__name__}.") from error
    if not isinstance(found, dict):
        raise DataError(f"{where} holds a {type(found).__name__}; a dictionary is expected.")
    batch = {k.decode("latin1") if isinstance(k, bytes) else k: v for k, v in found.items()}
    pixels, labels = batch.get("data"), batch.get(label_key)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (_PIXELS,):
        got = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise DataError(f"{where} has pixels of {got}; uint8 (N, {_PIXELS}) is expected.")
    if not isinstance(labels, list) or len(labels) != len(pixels) or not all(type(v) is int for v in labels):
        raise DataError(f"{where} has no list of {len(pixels):,} whole numbers under {label_key!r}.")
    return pixels, np.array(labels, np.int64)
