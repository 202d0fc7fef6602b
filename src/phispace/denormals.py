"""Denormal numbers taken for zero: they slow a processor's arithmetic down a hundredfold, and nothing needs them.

Gradients of samples that are fitted already, and momentum that fades, fill with them late in a training.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def without_denormals() -> Iterator[bool]:
    """Flush denormals inside, and leave the threads as they were; yields whether the processor can."""
    flushed = denormals_are_flushed()
    try:
        yield flush_denormals()
    finally:
        if not flushed:
            flush_denormals(False)


def denormals_are_flushed() -> bool:
    """Whether this thread takes denormal numbers for zero now."""
    smallest = sys.float_info.min
    return smallest / 2 == 0.0


def flush_denormals(on: bool = True) -> bool:
    """Take denormal numbers for zero (off: for what they are), in this thread and in those of its OpenMP pool.

    The flag is a thread's own. `torch.set_flush_denormal` sets the caller's; workers inherit it only if they are
    started later. So it is also called once from every worker, through the entry point that compiled code uses.

    Returns:
        whether the processor can.
    """
    import torch

    done = bool(torch.set_flush_denormal(on))
    count = torch.get_num_threads()
    for path in _openmp_libraries() if done and count > 1 else ():
        try:
            parallel = ctypes.CDLL(path).GOMP_parallel
        except (OSError, AttributeError):
            continue
        task = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: torch.set_flush_denormal(on) and None)
        parallel.restype = None
        parallel(task, None, ctypes.c_uint(count), ctypes.c_uint(0))
    return done


def _openmp_libraries() -> list[str]:
    """Paths of the OpenMP runtimes that are loaded (Linux)."""
    try:
        text = Path("/proc/self/maps").read_text(encoding="utf-8")
    except OSError:
        return []
    return sorted({m.group(0) for m in re.finditer(r"/\S*lib(?:gomp|iomp5|omp)\b\S*\.so\S*", text)})
