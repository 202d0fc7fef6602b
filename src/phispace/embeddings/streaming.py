"""Images through an encoder, batch by batch, into rows: what extraction does between its checks and its manifest."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from phispace.data.imageset import ImageSet
from phispace.data.views import to_float
from phispace.encoders.base import DEFAULT_LAYER, Encoder
from phispace.errors import DataError
from phispace.progress import Progress

Predict = Callable[[Tensor], Tensor | None]


class Rows(Protocol):
    """Where the rows of one layer go, in order."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def append(self, vectors: np.ndarray) -> None: ...


class MemoryRows:
    """Rows kept in memory, (n, dim)."""

    def __init__(self, n: int, dim: int, dtype: str) -> None:
        self.vectors = np.empty((n, dim), dtype)
        self._row = 0

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.vectors.dtype

    def append(self, vectors: np.ndarray) -> None:
        self.vectors[self._row : self._row + len(vectors)] = vectors
        self._row += len(vectors)


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; each submodule's own mode comes back afterwards."""
    modes = [(m, m.training) for m in module.modules()]
    try:
        module.eval()
        with torch.inference_mode():
            yield
    finally:
        for m, mode in modes:
            m.training = mode


def batches(
    images: ImageSet, positions: np.ndarray, batch_size: int, device: torch.device
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Positions and float batches (B, C, H, W) in [0, 1], channels_last as the bytes lie."""
    for start in range(0, len(positions), batch_size):
        chosen = positions[start : start + batch_size]
        pixels = torch.from_numpy(np.ascontiguousarray(images.images[chosen])).to(device)
        yield chosen, to_float(pixels.permute(0, 3, 1, 2))


class _Shared:
    """The encoder's taps with the last batch remembered, so that a prediction does not run the network again.

    Stands in for `encoder.taps` while images stream through. The first call of a batch computes `layers`; a second
    call with the very same tensor is answered from it, any other input is computed as always.
    """

    def __init__(self, encoder: Encoder, layers: tuple[str, ...]) -> None:
        self._taps = encoder.taps
        self._layers = layers
        self._batch: Tensor | None = None
        self._found: dict[str, Tensor] = {}

    def compute(self, batch: Tensor) -> dict[str, Tensor]:
        self._batch, self._found = batch, self._taps(batch, self._layers)
        return self._found

    def __call__(self, x: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
        if x is self._batch and set(layers) <= set(self._layers):
            return {layer: self._found[layer] for layer in layers}
        return self._taps(x, layers)


@contextlib.contextmanager
def _sharing(encoder: Encoder, layers: tuple[str, ...], predict: Predict | None) -> Iterator[_Shared]:
    """Share one pass between extraction and prediction."""
    if predict is None:
        yield _Shared(encoder, layers)
        return
    shared = _Shared(encoder, tuple(dict.fromkeys([*layers, DEFAULT_LAYER])))
    encoder.__dict__["taps"] = shared
    try:
        yield shared
    finally:
        del encoder.__dict__["taps"]


def stream(
    encoder: Encoder,
    images: ImageSet,
    positions: np.ndarray,
    batch_size: int,
    device: torch.device,
    rows: Mapping[str, Rows],
    predict: Predict | None,
    progress: Progress,
    once: Predict | None = None,
) -> dict[str, np.ndarray]:
    """Pass the images through and hand each layer's output to its rows.

    Args:
        once: answers for the images of train in place of `predict`, where that takes several passes.

    Returns:
        the columns `prediction` int64 (N,) and `confidence` float32 (N,), or nothing where no classes are predicted.

    Raises:
        DataError: values that are not finite; the layer and the image are named.
    """
    layers = tuple(rows)
    answers = Answers()
    with (
        _sharing(encoder, layers, predict) as shared,
        progress.task(f"Embedding {images.name}", total=len(positions)) as task,
    ):
        for chosen, batch in batches(images, positions, batch_size, device):
            outputs = shared.compute(batch)
            for layer in layers:
                vectors = outputs[layer].float().flatten(1).cpu().numpy()
                rows[layer].append(_stored(vectors, rows[layer].dtype, layer, images.ids[chosen]))
            logits = None if predict is None else _answer(batch, images.split[chosen] == "train", predict, once)
            if logits is None:
                predict = None
            else:
                answers.add(logits)
            task.advance(len(chosen))
    return {} if predict is None else answers.columns()


def _answer(batch: Tensor, train: np.ndarray, predict: Predict, once: Predict | None) -> Tensor | None:
    """Class logits of a batch: those of training images from one pass, the others as they are predicted."""
    if once is None:
        return predict(batch)
    logits, others = once(batch), torch.from_numpy(np.flatnonzero(~train)).to(batch.device)
    answered = predict(batch[others]) if len(others) else None
    if logits is None or (len(others) and answered is None):
        return None
    if answered is not None:
        logits = logits.clone()
        logits[others] = answered.to(logits.dtype)
    return logits


def class_columns(
    module: nn.Module, predict: Predict, images: ImageSet, batch_size: int, progress: Progress
) -> dict[str, np.ndarray] | None:
    """The columns `prediction` int64 (N,) and `confidence` float32 (N,) of all images, or None if there are none.

    Args:
        module: what `predict` belongs to; in evaluation mode meanwhile.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    answers = Answers()
    with evaluating(module), progress.task(f"Classifying {images.name}", total=len(images)) as task:
        for chosen, batch in batches(images, np.arange(len(images)), batch_size, device):
            logits = predict(batch)
            if logits is None:
                return None
            answers.add(logits)
            task.advance(len(chosen))
    return answers.columns()


class Answers:
    """Predictions gathered batch by batch."""

    def __init__(self) -> None:
        self._labels: list[np.ndarray] = [np.empty(0, np.int64)]
        self._confidences: list[np.ndarray] = [np.empty(0, np.float32)]

    def add(self, logits: Tensor) -> None:
        """Class logits (B, K)."""
        confidence, label = logits.float().softmax(1).max(1)
        self._labels.append(label.cpu().numpy())
        self._confidences.append(confidence.cpu().numpy())

    def columns(self) -> dict[str, np.ndarray]:
        return {"prediction": np.concatenate(self._labels), "confidence": np.concatenate(self._confidences)}


def _stored(vectors: np.ndarray, dtype: np.dtype[Any], layer: str, ids: np.ndarray) -> np.ndarray:
    """The vectors in the store's dtype, all finite."""
    with np.errstate(over="ignore"):
        cast = vectors.astype(dtype, copy=False)
    bad = ~np.isfinite(cast).all(axis=1)
    if bad.any():
        first = int(bad.argmax())
        why = (
            f"They reach {np.abs(vectors[first]).max():.3g}, more than float16 holds (65504); store float32."
            if np.isfinite(vectors[first]).all()
            else "The weights may have diverged."
        )
        raise DataError(f"Layer {layer!r} gives values that are not finite for {str(ids[first])!r}. {why}")
    return cast


def items_table(images: ImageSet, positions: np.ndarray, columns: Mapping[str, np.ndarray] | None = None) -> pa.Table:
    """The items of a store: id, label, split, image (position in the set), known factors, further columns (N,)."""
    table = {
        "id": pa.array(images.ids[positions], pa.string()),
        "label": pa.array(images.labels[positions], pa.int64()),
        "split": pa.array(images.split[positions], pa.string()),
    }
    for name, values in {**images.columns(positions), **(columns or {})}.items():
        table[name] = pa.array(values)
    return pa.table(table)
