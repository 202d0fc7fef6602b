"""A method's outputs on fixed images at stated steps: its way through the space of functions (Erhan et al. 2010)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from phispace import storage
from phispace.data.batches import gather
from phispace.errors import DataError, InputError
from phispace.methods.base import Method

OUTPUTS = "outputs.npz"
_CHUNK = 1000


class WatchOutputs(Callback):
    """Writes `outputs.npz` into the run: class probabilities of fixed images before stated steps and at the end.

    Draws no random number and changes nothing of the training. A run that goes on makes again what came after its
    checkpoint, with the same values.

    Args:
        folder: of the run.
        images: uint8 (N, H, W, C).
        steps: of training; 0 is before the first. The last state is kept whatever it says.
    """

    def __init__(self, folder: Path, images: np.ndarray, steps: Sequence[int]) -> None:
        self.path = folder / OUTPUTS
        self.images = images
        self.steps = frozenset(steps)
        self.seen: dict[int, np.ndarray] = {}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self.path.exists():
            steps, outputs = read_outputs(self.path)
            self.seen = dict(zip(steps.tolist(), outputs, strict=True))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step in self.steps:
            self._look(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._look(trainer, pl_module)

    def _look(self, trainer: pl.Trainer, method: pl.LightningModule) -> None:
        if not trainer.is_global_zero or not isinstance(method, Method):
            return
        self.seen[trainer.global_step] = probabilities(method, self.images).astype(np.float16)
        steps = sorted(self.seen)
        stream = io.BytesIO()
        np.savez(stream, steps=np.array(steps), outputs=np.stack([self.seen[step] for step in steps]))
        storage.write_bytes(self.path, stream.getvalue())


def read_outputs(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Steps int64 (T,) and probabilities float16 (T, N, K) of an `outputs.npz`.

    Raises:
        DataError: missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            return found["steps"], found["outputs"]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path} does not hold the outputs of a training: {error}") from error


@torch.no_grad()
def probabilities(method: Method, images: np.ndarray) -> np.ndarray:
    """Class probabilities float32 (N, K) of uint8 images (N, H, W, C), in evaluation mode.

    Raises:
        InputError: the method predicts no classes.
    """
    from phispace.data.views import to_float
    from phispace.encoders.base import evaluating

    parts = []
    with evaluating(method):
        for start in range(0, len(images), _CHUNK):
            index = np.arange(start, min(start + _CHUNK, len(images)))
            logits = method.predict(to_float(gather(images, index)).to(method.device))
            if logits is None:
                raise InputError(f"The method {method.title!r} predicts no classes, so it has no outputs to watch.")
            parts.append(logits.float().softmax(1).cpu().numpy())
    return np.concatenate(parts)
