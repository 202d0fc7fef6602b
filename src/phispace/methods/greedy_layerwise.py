"""Greedy layer-wise pretraining: an autoencoder a layer, on the frozen layers below; then, if wanted, the classes.

Layer k = 1 .. K of the encoder maps h_{k-1} to h_k; h_0 is the image in [0, 1]. In its turn it is trained with a
decoder g_k of its own to take the noise q out of its clean input,

    L_k = mean over images and values of ( h_{k-1} - g_k( f_k( q(h_{k-1}) ) ) )²

while the layers below are frozen and run without noise. g_1 ends in a sigmoid, and L_1 may be the binary cross-entropy
instead; the other decoders are linear. At level 0 these are plain stacked autoencoders. Decoders are not used again.
Then a last stage trains, on the labelled images,

    fine-tune    the whole encoder and a linear head by cross-entropy
    classifier   the head alone, on the frozen encoder
    nothing      ends with the last layer

Reference: Bengio, Lamblin, Popovici and Larochelle, "Greedy Layer-Wise Training of Deep Networks", NIPS 2006, section 4
(autoencoders, fine-tuning); Vincent et al., "Stacked Denoising Autoencoders", JMLR 11, 2010, sections 3 and 4 (noise in
the layer's own training only).
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from phispace.encoders.base import Encoder
from phispace.encoders.norm import glorot_
from phispace.errors import InputError
from phispace.methods.base import Batch, Method, MethodConfig, Stage, Task
from phispace.methods.layers import LayerDecoder, layer_stages, run
from phispace.methods.noise import Noise, corrupt
from phispace.methods.supervised import accuracy, cross_entropy


class GreedyConfig(MethodConfig):
    """Options of greedy layer-wise training. `epochs` counts all stages."""

    epochs: int = Field(30, ge=1, description="passes over the images in all stages together; the last takes the rest")
    layer_epochs: int = Field(5, ge=1, description="passes for each layer; the last stage takes what is left of epochs")
    noise: Noise = Field("masking", description="how each layer's input is spoilt in its turn")
    noise_level: float = Field(
        0.25, ge=0, le=1, description="share of the values spoilt; of gaussian noise its standard deviation"
    )
    loss: Literal["mse", "bce"] = Field("mse", description="of the first layer; the others always take mse")
    then: Literal["fine-tune", "classifier", "nothing"] = Field(
        "fine-tune", description="last stage, on labelled images"
    )
    last_learning_rate: float | None = Field(None, gt=0, description="peak rate of the last stage, where it differs")
    last_batch_size: int | None = Field(None, ge=1, description="images a step in the last stage, where it differs")


class GreedyLayerwise(Method):
    """Learn φ layer by layer from images alone, then the classes. See the module."""

    title = "greedy layer-wise autoencoders"
    reference = (
        "Bengio et al. 2006, section 4; Vincent et al. 2010, sections 3 and 4; each stage's loss is checked against a "
        "direct evaluation of the formula"
    )
    default_encoder = "mlp"
    Config = GreedyConfig
    presets: ClassVar = {
        "vincent": {
            "encoder": {"name": "mlp", "hidden": (1000, 1000, 1000), "batch_norm": False},
            "method": {"loss": "bce", "noise": "masking", "noise_level": 0.25, "layer_epochs": 30, "epochs": 140,
                       "batch_size": 100},
        },
    }  # fmt: skip

    config: GreedyConfig

    def __init__(self, encoder: Encoder, config: GreedyConfig, task: Task) -> None:
        super().__init__(encoder, config, task)
        self.layers = layer_stages(encoder)
        self._prefix = [name for name in encoder.stages if name not in {n for layer in self.layers for n in layer}]
        shapes: dict[str, tuple[int, ...]] = dict(encoder.shapes())
        ends = [(encoder.channels, encoder.size, encoder.size), *(shapes[layer[-1]] for layer in self.layers)]
        self.decoders = nn.ModuleList(LayerDecoder(a, b) for a, b in pairwise(ends))
        self.head: nn.Module | None = None
        if config.then != "nothing":
            if not task.classes:
                raise InputError(
                    f"The last stage {config.then!r} needs images with classes; these have none. "
                    "Use method.then=nothing."
                )
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(encoder.width(), len(task.classes)))
            glorot_(self.head)
        glorot_(self.decoders)
        self._stages = self._laid_out()
        self.enter_stage(0)

    def _laid_out(self) -> tuple[Stage, ...]:
        config, count = self.config, len(self.layers)
        turns = count + (self.head is not None)
        last = config.epochs - (turns - 1) * config.layer_epochs
        if last < 1:
            raise InputError(
                f"{count} layers of {config.layer_epochs} epochs each leave nothing of {config.epochs} epochs for the "
                f"last stage; at least {config.epochs - last + 1} are needed, or a smaller method.layer_epochs."
            )
        stages = [
            Stage(
                f"layer {number + 1}",
                config.layer_epochs if number + 1 < turns else last,
                (*(f"encoder.stages.{name}" for name in names), f"decoders.{number}"),
            )
            for number, names in enumerate(self.layers)
        ]
        if self.head is not None:
            differs = {"learning_rate": config.last_learning_rate, "batch_size": config.last_batch_size}
            options = {k: v for k, v in differs.items() if v is not None}
            whole = [f"encoder.stages.{name}" for names in self.layers for name in names]
            trains = ("head", *(whole if config.then == "fine-tune" else ()))
            stages.append(Stage(config.then, last, trains, labelled=True, options=options))
        return tuple(stages)

    def stages(self) -> tuple[Stage, ...]:
        return self._stages

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Of the stage: `loss`, `reconstruction` and `explained`, or `loss`, `cross_entropy` and `accuracy`.

        `explained` is the share of the layer's input that comes back: 1 - squared error / variance over the batch.
        """
        if self.stage.labelled:
            return self._classes(batch)
        number = self.stage_number
        with torch.no_grad():
            clean = self.below(batch.views[0], number)
        target = batch.views[0] if number == 0 else clean
        values = self.decoders[number](run(self.encoder, self.layers[number], self._spoilt(batch, clean))).float()
        target = target.float()
        image = number == 0
        output = values.sigmoid() if image else values
        squared = F.mse_loss(output, target)
        loss = F.binary_cross_entropy_with_logits(values, target) if image and self.config.loss == "bce" else squared
        spread = target.var(dim=0, unbiased=False).mean().clamp_min(1e-12)
        return {"loss": loss, "reconstruction": loss.detach(), "explained": 1 - squared.detach() / spread}

    def below(self, images: Tensor, number: int) -> Tensor:
        """What layer `number` (from 0) gets of images (B, C, H, W); for the first one the normalised images."""
        x = run(self.encoder, self._prefix, images)
        for names in self.layers[:number]:
            x = run(self.encoder, names, x)
        return x

    def _spoilt(self, batch: Batch, clean: Tensor) -> Tensor:
        """The layer's input with noise: on the pixels for the first layer, on the codes below for the others.

        On codes, which have no scale of their own, Gaussian noise is in units of their standard deviation, and salt
        and pepper are the lowest and highest code of the batch.
        """
        kind, level = self.config.noise, self.config.noise_level
        if self.stage_number == 0:
            return run(self.encoder, self._prefix, corrupt(batch.views[0], kind, level))
        return corrupt(clean, kind, level, low=clean.min(), high=clean.max(), scale=clean.std(unbiased=False))

    def _classes(self, batch: Batch) -> dict[str, Tensor]:
        logits = self.logits(batch.views[0])
        loss = cross_entropy(logits, batch.labels)
        return {"loss": loss, "cross_entropy": loss.detach(), "accuracy": accuracy(logits.detach(), batch.labels)}

    def logits(self, images: Tensor) -> Tensor:
        """Class logits, float32 (B, K), of images (B, C, H, W) in [0, 1].

        Raises:
            InputError: the method was trained without classes (`then=nothing`).
        """
        if self.head is None:
            raise InputError("Trained with method.then=nothing, this method has no classes.")
        logits: Tensor = self.head(self.encoder(images))
        return logits.float()

    def predict(self, images: Tensor) -> Tensor | None:
        """Logits (B, K), or None without a last stage. Before that stage was trained they are those of its start."""
        return None if self.head is None else self.logits(images)
