"""An encoder's layer as ONNX, checked against PyTorch before anybody gets it."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from phispace.errors import DataError, MissingDependencyError

TOLERANCE = 1e-4
"""Largest difference allowed, relative to the largest output where that is above 1."""

_SINGLE_FILE = 1_500_000_000  # bytes of weights; protobuf ends at 2 GiB, beyond it they go to a second file
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def require_onnx() -> None:
    """Raise MissingDependencyError unless everything that the export and its check need is installed."""
    missing = []
    for package in _PACKAGES:
        try:
            importlib.import_module(package)
        except ImportError:
            missing.append(package)
    if missing:
        raise MissingDependencyError(
            f"ONNX needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed. "
            "Install it with `pip install 'phispace[onnx]'`, or leave ONNX out (--no-onnx)."
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter reports its steps on standard output, and on passes that do not apply by warnings."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def write_onnx(program: nn.Module, example: torch.Tensor, path: Path, output: str) -> list[str]:
    """Write `path` with the input `images` (batch, C, H, W), any batch, and one output.

    Args:
        program: in evaluation mode, on the CPU.
        example: (B, C, H, W), B > 1.
        path: a temporary path of storage; weights beyond 1.5 GB go to a second file beside it.

    Returns:
        names of the files written.

    Raises:
        DataError: the encoder has an operation that ONNX cannot express.
    """
    size = sum(t.numel() * t.element_size() for t in program.state_dict().values())
    batch = torch.export.Dim("batch")
    try:
        with _quiet():
            torch.onnx.export(
                program,
                (example,),
                path,
                input_names=["images"],
                output_names=[output],
                dynamic_shapes=({0: batch},),
                dynamo=True,
                external_data=size > _SINGLE_FILE,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"The encoder cannot be written as ONNX: {first[:300]}") from error
    return [p.name for p in (path, path.with_name(path.name + ".data")) if p.exists()]


def check_onnx(program: nn.Module, path: Path, shape: tuple[int, int, int], output: str) -> dict[str, Any]:
    """Run the file with onnxruntime beside PyTorch, for batches of 1, 3 and 16 images.

    Returns:
        the largest absolute difference, what it was compared with, and the versions.

    Raises:
        DataError: the outputs differ by more than `TOLERANCE`.
    """
    import onnx
    import onnxruntime

    from phispace.randomness import rng

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    worst = scale = 0.0
    for batch in (1, 3, 16):
        images = rng(0, "onnx-check", batch).random((batch, *shape), dtype=np.float32)
        with torch.no_grad():
            expected = program(torch.from_numpy(images)).numpy()
        (found,) = session.run([output], {"images": images})
        if found.shape != expected.shape:
            raise DataError(f"The ONNX file gives {found.shape} for {images.shape}; PyTorch gives {expected.shape}.")
        worst = max(worst, float(np.abs(found - expected).max()))
        scale = max(scale, float(np.abs(expected).max()))
    if not worst <= TOLERANCE * max(1.0, scale):
        raise DataError(
            f"The ONNX file differs from PyTorch by {worst:.3g} where values reach {scale:.3g}; at most "
            f"{TOLERANCE:g} is accepted. Nothing was written."
        )
    return {
        "max_difference": worst,
        "largest_output": scale,
        "tolerance": TOLERANCE,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
