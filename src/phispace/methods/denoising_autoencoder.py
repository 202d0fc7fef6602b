"""The denoising autoencoder: the code of a spoilt image, from which the clean one is given back.

    L = 1/B Σ_i d(x_i, g(φ(q(x_i))))

with the distance d, decoder g and reductions of the autoencoder, and noise q drawn anew at every step:

    masking           each value is set to 0 with probability `level`
    gaussian          x + level ε, ε ~ N(0, 1); not cut to [0, 1]
    salt-and-pepper   each value is set with probability `level` to 0 or 1, each half the time

The code of an image is that of the clean one. A draw is a function of (seed, step); in validation of (seed, the
batch's first image), so that epochs compare.

Reference: Vincent, Larochelle, Lajoie, Bengio and Manzagol, "Stacked Denoising Autoencoders", JMLR 11, 2010, section 3,
here as one network trained at once.

To bring two domains together (Glorot, Bordes and Bengio, "Domain Adaptation for Large-Scale Sentiment Classification",
2011) it is trained on the unlabelled images of both: see the study `domain-adaptation`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from phispace.methods.autoencoder import Autoencoder, AutoencoderConfig
from phispace.methods.base import Batch, MethodConfig
from phispace.methods.noise import Noise, corrupt
from phispace.randomness import torch_rng


class DenoisingConfig(AutoencoderConfig):
    """Options of the denoising autoencoder."""

    noise: Noise = Field("masking", description="masking, gaussian or salt-and-pepper")
    noise_level: float = Field(
        0.25,
        ge=0,
        le=1,
        description="share of the values spoilt; of gaussian noise its standard deviation (pixels are 0 to 1)",
    )


class DenoisingAutoencoder(Autoencoder):
    """Learn φ so that a decoder gives the clean image back from the code of a spoilt one. See the module."""

    title = "denoising autoencoder"
    reference = (
        "Vincent et al., JMLR 11, 2010, section 3; the loss checked against a direct evaluation of its formula, the "
        "noise against its distribution"
    )
    Config: ClassVar[type[MethodConfig]] = DenoisingConfig
    presets: ClassVar = {
        "vincent": {
            "encoder": {"name": "mlp", "hidden": (1000, 1000, 1000), "batch_norm": False},
            "method": {"loss": "bce", "noise": "masking", "noise_level": 0.25, "batch_size": 100},
        },
    }

    config: DenoisingConfig

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, and `mse`: of what is decoded from the spoilt image, beside the clean one."""
        images = batch.views[0]
        loss, mse = self.compare(self.codes(self.spoilt(batch)), images)
        return {"loss": loss, "mse": mse}

    def spoilt(self, batch: Batch) -> Tensor:
        """q(x) of the batch's images, (B, C, H, W), lying in memory as they do."""
        images = batch.views[0]
        return corrupt(images, self.config.noise, self.config.noise_level, rng=self._rng(batch))

    def _rng(self, batch: Batch) -> torch.Generator:
        if self.training:
            return self.step_rng("noise" if self.global_rank == 0 else f"noise/{self.global_rank}")
        return torch_rng(int(getattr(self, "run_seed", 0)), "method/noise/validation", int(batch.index[0]))
