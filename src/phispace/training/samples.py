"""What a generator makes of the same codes, epoch by epoch: `samples/epoch=NNN.png` in the run.

Epoch 0 is the untrained generator. A run that goes on makes again what came after its checkpoint, with the same pixels.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from phispace import storage
from phispace.methods.base import Method

FOLDER = "samples"
_SIDE = 8
_GAP = 2
_LEAST_TILE = 32


class SampleGrids(Callback):
    """Writes a grid of 8 x 8 samples before the first step and after each epoch, for methods that have `samples`.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step == 0:
            self._write(trainer, pl_module, 0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write(trainer, pl_module, trainer.current_epoch + 1)

    def _write(self, trainer: pl.Trainer, method: pl.LightningModule, epoch: int) -> None:
        if not trainer.is_global_zero or not isinstance(method, Method):
            return
        images = method.samples(_SIDE**2)
        if images is not None:
            storage.write_bytes(self.folder / f"epoch={epoch:03d}.png", png(grid(images)), durable=False)


def grid(images: Tensor, side: int = _SIDE) -> np.ndarray:
    """Images (side², C, H, W) in [0, 1], C = 1 or 3, as one picture uint8 (h, w, 3), row by row on white.

    Small ones are enlarged by a whole number.
    """
    pixels = (images.detach().float().cpu().clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    scale = max(1, round(_LEAST_TILE / pixels.shape[1]))
    pixels = np.broadcast_to(pixels, (*pixels.shape[:3], 3)).repeat(scale, 1).repeat(scale, 2)
    height, width = pixels.shape[1] + _GAP, pixels.shape[2] + _GAP
    canvas = np.full((side * height - _GAP, side * width - _GAP, 3), 255, np.uint8)
    for number, tile in enumerate(pixels[: side**2]):
        y, x = (number // side) * height, (number % side) * width
        canvas[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return canvas


def png(picture: np.ndarray) -> bytes:
    """A picture uint8 (h, w, 3) as a PNG file."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG")
    return stream.getvalue()
