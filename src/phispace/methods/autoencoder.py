"""The autoencoder: a code from which a decoder gives the image back.

    L = 1/B Σ_i d(x_i, g(φ(x_i)))

over the B images of the batch, with d one of (P = C H W values of an image, x̂ = g(φ(x)))

    mse   1/P Σ_p (x_p - x̂_p)²
    bce   - 1/P Σ_p ( x_p log x̂_p + (1 - x_p) log(1 - x̂_p) )

The mean over pixels is the `reduction` mean; with `sum` the factor 1/P is left out. The code is the encoder's
`features`, of any width (`encoder.code`); the decoder mirrors the encoder, or is the one that was published with it.

Reference: Hinton and Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks", Science 313, 2006 (a
deep autoencoder trained with the cross-entropy of pixels); here without its layer-wise pretraining, for which there is
`greedy-layerwise`. The preset `two-dimensional` is a course's autoencoder of MNIST, see the encoder `autoencoder-2d`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from phispace.encoders.base import Encoder
from phispace.errors import InputError
from phispace.methods.base import Batch, Method, MethodConfig, Schedule, Task
from phispace.methods.decoders import Output, make_decoder

Distance = Literal["mse", "bce"]
Reduction = Literal["mean", "sum"]


class AutoencoderConfig(MethodConfig):
    """Options of the autoencoder."""

    batch_size: int = Field(128, ge=1, description="images a step, over all devices' shares on one device")
    schedule: Schedule = Field("cosine", description="learning rate over steps")
    loss: Distance = Field("mse", description="mean squared error, or binary cross-entropy of each pixel value")
    reduction: Reduction = Field("mean", description="over an image's pixel values; over images it is always the mean")
    decoder: Literal["auto", "mirror", "published"] = Field(
        "auto", description="mirror the encoder, take the decoder published with it, or auto: that where there is one"
    )
    output: Output = Field("sigmoid", description="last layer of the decoder: sigmoid or linear")


class Autoencoder(Method):
    """Learn φ so that a decoder gives the image back from φ(x). See the module."""

    title = "autoencoder"
    reference = (
        "Hinton and Salakhutdinov, Science 313, 2006; both losses checked against a direct evaluation of their "
        "formulas in float64"
    )
    Config: ClassVar[type[MethodConfig]] = AutoencoderConfig
    presets: ClassVar = {
        "two-dimensional": {
            "encoder": {"name": "autoencoder-2d"},
            "method": {"loss": "bce", "decoder": "published", "optimizer": "adam", "learning_rate": 1e-3,
                       "batch_size": 128, "epochs": 40, "schedule": "constant"},
        },
    }  # fmt: skip

    config: AutoencoderConfig

    def __init__(self, encoder: Encoder, config: AutoencoderConfig, task: Task) -> None:
        super().__init__(encoder, config, task)
        if config.loss == "bce" and config.output != "sigmoid":
            raise InputError("The loss bce needs values in (0, 1): set method.output=sigmoid, not linear.")
        self.decoder = make_decoder(encoder, config.decoder, config.output)

    def codes(self, images: Tensor) -> Tensor:
        """φ(x), (B, D), of images (B, C, H, W) in [0, 1]."""
        return self.encoder(images).flatten(1)

    def decode(self, codes: Tensor) -> Tensor:
        """Images, float32 (B, C, H, W) in [0, 1], of codes (B, D); a linear output is cut at both ends."""
        images: Tensor = self.decoder(codes)
        return images.clamp(0, 1)

    def reconstruct(self, images: Tensor) -> Tensor:
        """g(φ(x)), float32 (B, C, H, W) in [0, 1], of images (B, C, H, W) in [0, 1]."""
        return self.decode(self.codes(images))

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, and `mse`: mean over pixel values and images, whatever the loss."""
        loss, mse = self.compare(self.codes(batch.views[0]), batch.views[0])
        return {"loss": loss, "mse": mse}

    def compare(self, codes: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of images decoded from codes (B, D) beside images (B, C, H, W), and its squared error (detached)."""
        logits = self.decoder.logits(codes)
        loss = reconstruction_loss(logits, images, self.config.loss, self.config.output, self.config.reduction)
        if self.config.loss == "mse":
            scale = images[0].numel() if self.config.reduction == "sum" else 1
            return loss, loss.detach() / scale
        return loss, F.mse_loss(logits.detach().sigmoid(), images)


def reconstruction_loss(
    logits: Tensor, images: Tensor, loss: Distance = "mse", output: Output = "sigmoid", reduction: Reduction = "mean"
) -> Tensor:
    """Distance of decoded images from images: a scalar, the mean over the batch.

    Args:
        logits: (B, C, H, W), the decoder's values before its output.
        images: (B, C, H, W) in [0, 1].
        loss: `mse`, or `bce`, which is evaluated on the logits and so is exact where the sigmoid is 0 or 1.
        output: what makes pixels of logits; `bce` takes it for a sigmoid.
        reduction: mean or sum over the values of an image.
    """
    if loss == "bce":
        mean = F.binary_cross_entropy_with_logits(logits, images)
    else:
        mean = F.mse_loss(logits.sigmoid() if output == "sigmoid" else logits, images)
    return mean * images[0].numel() if reduction == "sum" else mean
