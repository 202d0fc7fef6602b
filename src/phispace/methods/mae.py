"""The masked autoencoder: most patches of an image are hidden, and their pixels told from the few that are seen.

    L = 1/B Σ_i 1/|M_i| Σ_{p ∈ M_i} 1/P |t_ip - g_p(φ(x_i without M_i))|²

over the B images, the hidden patches M_i of each (a share `masked` of all, drawn anew for each image at each step) and
the P = patch² C values of a patch. The target t is the patch's pixels in [0, 1] or, with `normalise`, these minus
their mean, over sqrt(variance + 1e-6), both of the patch itself. The encoder sees the visible patches alone, which is
what makes training cheap; a small decoder gets its tokens, one learnt token for each hidden patch, and the places of
all. The representation is taken from the whole image, nothing hidden.

A mask is a function of (seed, step); in validation of (seed, the batch's first image), so that epochs compare.

Reference: He, Chen, Xie, Li, Dollár and Girshick, "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022, arXiv
2111.06377, section 3 and appendix A.1; patches of 4 pixels for images of 32.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from phispace.encoders.base import Encoder
from phispace.encoders.vit import ViT, places, start_transformer, transformer_block
from phispace.errors import InputError
from phispace.methods.base import Batch, Method, MethodConfig, Schedule, Task
from phispace.randomness import torch_rng

_EPSILON = 1e-6


class MAEConfig(MethodConfig):
    """Options of the masked autoencoder."""

    epochs: int = Field(100, ge=1, description="passes over the training images")
    optimizer: Literal["adam", "adamw", "sgd", "muon", "muon-sgd"] = Field(
        "adamw", description="how weights are updated"
    )
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate, for a loss averaged over the batch")
    weight_decay: float = Field(0.05, ge=0, description="decay per step and unit of learning rate")
    beta2: float = Field(0.95, ge=0, lt=1, description="decay of the squared gradient's average, in adam, adamw, muon")
    schedule: Schedule = Field("cosine", description="learning rate over steps: constant, cosine, triangular, step")
    warmup: float = Field(0.05, ge=0, le=1, description="share of the steps in which the rate rises to its peak")
    views: str = Field("crop", description="augmentations of the views, see `phispace.data.views.named`")
    masked: float = Field(0.75, gt=0, lt=1, description="share of the patches that are hidden")
    normalise: bool = Field(True, description="targets are standardised patch by patch")
    decoder_width: int = Field(96, ge=4, description="values of the decoder's tokens, a multiple of 4 and of its heads")
    decoder_depth: int = Field(2, ge=1, description="blocks of the decoder")
    decoder_heads: int = Field(3, ge=1, description="heads of the decoder's attention")


class MAE(Method):
    """Learn φ so that hidden patches can be told from visible ones. See the module."""

    title = "masked autoencoder"
    reference = (
        "He et al., CVPR 2022, arXiv 2111.06377, section 3; the loss checked against a direct evaluation of its "
        "formula in float64, the masked encoder against the encoder on all tokens"
    )
    experimental: ClassVar[str] = (
        "ten minutes of one core bring less than 10 points of linear probe over its untrained encoder on CIFAR-10"
    )
    default_encoder = "vit"
    Config: ClassVar[type[MethodConfig]] = MAEConfig

    config: MAEConfig
    encoder: ViT

    def __init__(self, encoder: Encoder, config: MAEConfig, task: Task) -> None:
        if not isinstance(encoder, ViT):
            raise InputError(
                f"The masked autoencoder hides patches, which {type(encoder).__name__} has not; take --encoder vit."
            )
        if encoder.appended:
            option = next(iter(encoder.appended))
            raise InputError(
                f"The masked autoencoder trains a vit's blocks, and nothing would train what encoder.{option} adds at "
                "its end; leave it out."
            )
        super().__init__(encoder, config, task)
        count = encoder.side**2
        if count < 2:
            raise InputError(
                f"An image of {encoder.size} pixels is a single patch of {encoder.patch}, so nothing can be hidden in "
                "it; set encoder.patch to a smaller divisor."
            )
        self.visible = min(max(1, round(count * (1 - config.masked))), count - 1)
        self.decoder = Decoder(encoder, config.decoder_width, config.decoder_depth, config.decoder_heads)

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`: of the hidden patches."""
        images = batch.views[0]
        order = draw_order(len(images), self.encoder.side**2, self._rng(batch)).to(images.device)
        found = self.predict_patches(images, order)
        with torch.autocast(images.device.type, enabled=False):
            return {"loss": masked_loss(found.float(), self.targets(images), order[:, self.visible :])}

    def predict_patches(self, images: Tensor, order: Tensor) -> Tensor:
        """g: (B, patches, P), of images (B, C, H, W) whose patches order[:, visible:] are hidden. Order (B, patches)
        has the patches' numbers, row by row from the top left, those that are seen first."""
        tokens = self.encoder.tokens(images)
        seen = take(tokens[:, 1:], order[:, : self.visible])
        encoded = self.encoder.encode(torch.cat([tokens[:, :1], seen], dim=1))
        predicted: Tensor = self.decoder(encoded, order)
        return predicted

    def targets(self, images: Tensor) -> Tensor:
        """t: (B, patches, P), of images (B, C, H, W) in [0, 1]."""
        patches = to_patches(images.float(), self.encoder.patch)
        return standardise(patches)[0] if self.config.normalise else patches

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) with the patches that were hidden as the decoder tells them, and the others as they are.

        Which are hidden depends on an image's place in the batch alone. Standardised patches get the mean and the
        deviation of the true ones back, which the network does not know.
        """
        order = self._picture_order(images)
        patches = to_patches(images.float(), self.encoder.patch)
        told = self.predict_patches(images, order).float()
        if self.config.normalise:
            _, mean, deviation = standardise(patches)
            told = told * deviation + mean
        hidden = order[:, self.visible :]
        index = hidden[..., None].expand(-1, -1, patches.shape[-1])
        return from_patches(patches.scatter(1, index, take(told, hidden)), images.shape[1]).clamp(0, 1)

    def shown(self, images: Tensor) -> Tensor:
        """What `reconstruct` sees of the images, (B, C, H, W): hidden patches are grey."""
        order = self._picture_order(images)
        patches = to_patches(images.float(), self.encoder.patch)
        hidden = order[:, self.visible :, None].expand(-1, -1, patches.shape[-1])
        return from_patches(patches.scatter(1, hidden, 0.5), images.shape[1])

    def _picture_order(self, images: Tensor) -> Tensor:
        return draw_order(len(images), self.encoder.side**2, torch_rng(0, "method/mask/pictures")).to(images.device)

    def _rng(self, batch: Batch) -> torch.Generator:
        if self.training:
            return self.step_rng("mask" if self.global_rank == 0 else f"mask/{self.global_rank}")
        return torch_rng(int(getattr(self, "run_seed", 0)), "method/mask/validation", int(batch.index[0]))


class Decoder(nn.Module):
    """Tokens of the visible patches -> values of all patches.

    Args:
        encoder: its tokens go in, its patches come out.
        width, depth, heads: of the decoder.
    """

    places: Tensor

    def __init__(self, encoder: ViT, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.embed = nn.Linear(encoder.token, width)
        self.hidden = nn.Parameter(torch.empty(1, 1, width))
        self.register_buffer("places", places(width, encoder.side, prefix=1))
        self.blocks = nn.Sequential(*(transformer_block(width, heads, 4.0) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        self.pixels = nn.Linear(width, encoder.patch**2 * encoder.channels)
        start_transformer(self)
        nn.init.normal_(self.hidden, std=0.02)

    def forward(self, encoded: Tensor, order: Tensor) -> Tensor:
        """(B, patches, P) of encoded (B, 1 + visible, token) and the order (B, patches) of the patches' numbers."""
        count, total = order.shape
        tokens = self.embed(encoded)
        missing = self.hidden.to(tokens.dtype).expand(count, total + 1 - encoded.shape[1], -1)
        told = take(torch.cat([tokens[:, 1:], missing], dim=1), order.argsort(1))
        tokens = torch.cat([tokens[:, :1], told], dim=1) + self.places
        decoded: Tensor = self.pixels(self.norm(self.blocks(tokens)[:, 1:]))
        return decoded


def masked_loss(predicted: Tensor, targets: Tensor, hidden: Tensor) -> Tensor:
    """Mean squared error of the hidden patches, a scalar.

    Args:
        predicted, targets: float (B, patches, P).
        hidden: int64 (B, M), numbers of the hidden patches, as many in each image.
    """
    return nn.functional.mse_loss(take(predicted, hidden), take(targets, hidden))


def draw_order(count: int, patches: int, rng: torch.Generator) -> Tensor:
    """int64 (count, patches): a random order of the patches for each image."""
    return torch.rand((count, patches), generator=rng).argsort(1)


def take(rows: Tensor, index: Tensor) -> Tensor:
    """Rows (B, R, D) by number (B, K) -> (B, K, D), for each item its own."""
    return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[-1]))


def to_patches(images: Tensor, patch: int) -> Tensor:
    """(B, C, H, W) -> (B, patches, patch² C): row by row from the top left; in a patch row, column, channel."""
    count, channels, height, width = images.shape
    cut = images.reshape(count, channels, height // patch, patch, width // patch, patch)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(count, -1, patch * patch * channels)


def from_patches(patches: Tensor, channels: int) -> Tensor:
    """The inverse of `to_patches` for square images: (B, patches, P) -> (B, C, H, W)."""
    count, total, values = patches.shape
    side, patch = round(total**0.5), round((values // channels) ** 0.5)
    laid = patches.reshape(count, side, side, patch, patch, channels).permute(0, 5, 1, 3, 2, 4)
    return laid.reshape(count, channels, side * patch, side * patch)


def standardise(patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Patches (B, patches, P) minus their mean, over their deviation sqrt(variance + 1e-6); both (B, patches, 1).

    The variance is divided by P - 1, as in the authors' code.
    """
    mean = patches.mean(-1, keepdim=True)
    deviation = (patches.var(-1, keepdim=True) + _EPSILON).sqrt()
    return (patches - mean) / deviation, mean, deviation
