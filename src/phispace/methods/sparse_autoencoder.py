"""The sparse autoencoder: a code in which few values are not zero.

    k-sparse   L = reconstruction( g(top_k(φ(x))), x ),  top_k keeps the k largest values of each image
    l1         L = reconstruction( g(z), x ) + λ mean_id |z_id| / sqrt(mean_id z_id²),  z = relu(φ(x))

with the autoencoder's reconstruction loss, decoder and options; the means run over images and dimensions of the batch.
The layer that makes the zeros becomes the end of the encoder (`features`; what was there before is `dense`), so the
sparse code is what is extracted, scored and exported.

While training, k may fall linearly from `k_start` to `k` over the first half of the steps, which keeps dimensions from
never being chosen; in validation k holds from the start.

Reference: Makhzani and Frey, "k-Sparse Autoencoders", arXiv 1312.5663, which also lets k fall while training. Its code
is linear, its decoder tied to the encoder, and its test code keeps 2 k or 3 k values; here the decoder has weights of
its own and the code keeps k.

L1 as it stands can be lowered by a small code and large decoder weights, or a decoder that normalises its input,
without a single zero. Divided by the code's root mean square, as in Krishnan, Tay and Fergus, "Blind Deconvolution
Using a Normalized Sparsity Measure", 2011, it cannot, and λ has no unit. The penalty is 1 for a code of equal
magnitudes, and sqrt(s) where a share s of the values is not zero and these are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from phispace.encoders.base import DEFAULT_LAYER, Encoder
from phispace.encoders.sparse import Sparse, Sparsity
from phispace.errors import InputError
from phispace.methods.autoencoder import Autoencoder, AutoencoderConfig
from phispace.methods.base import Batch, MethodConfig, Task

FEW_DEAD = 0.5
"""Share of dimensions that are never active above which the verdict is a warning."""


class SparseConfig(AutoencoderConfig):
    """Options of the sparse autoencoder."""

    sparsity: Literal["k-sparse", "l1"] = Field("k-sparse", description="what makes the code sparse")
    k: int = Field(25, ge=1, description="of k-sparse: values of a code that are not 0; fewer than it has")
    k_start: int | None = Field(None, ge=1, description="of k-sparse: k at the first step, falling to k by half time")
    l1: float = Field(0.01, ge=0, description="of l1: weight λ of the penalty, beside a loss of mean reduction")


class SparseAutoencoder(Autoencoder):
    """Learn φ with few values that are not zero, so that a decoder gives the image back. See the module."""

    title = "sparse autoencoder"
    reference = (
        "Makhzani and Frey, arXiv 1312.5663 (k-sparse); the losses checked against a direct evaluation of "
        "their formulas"
    )
    Config: ClassVar[type[MethodConfig]] = SparseConfig
    presets: ClassVar = {
        "makhzani": {
            "encoder": {"name": "mlp", "hidden": (1000,), "batch_norm": False},
            "method": {"sparsity": "k-sparse", "k": 25, "k_start": 100, "output": "linear"},
        },
    }

    config: SparseConfig

    def __init__(self, encoder: Encoder, config: SparseConfig, task: Task) -> None:
        keep: Sparsity = config.k if config.sparsity == "k-sparse" else "relu"
        asked = encoder.appended.get("sparse")
        if asked is None:
            encoder.append_sparsity(keep)
        elif asked != keep:
            raise InputError(f"encoder.sparse is {asked} and the method makes it {keep}; leave out one of the two.")
        if config.k_start is not None and not config.k <= config.k_start <= encoder.width():
            raise InputError(
                f"k falls from k_start to k, so {config.k} <= k_start <= {encoder.width()} (the code's width) is "
                f"expected; got {config.k_start}."
            )
        super().__init__(encoder, config, task)

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, `mse`, `active` (share of the code's values that are not 0); for l1 the penalty `l1` before λ."""
        self._schedule()
        codes = self.codes(batch.views[0])
        loss, mse = self.compare(codes, batch.views[0])
        terms = {"mse": mse, "active": (codes.detach() != 0).float().mean()}
        if self.config.sparsity == "l1":
            penalty = scale_free_l1(codes)
            loss = loss + self.config.l1 * penalty
            terms["l1"] = penalty.detach()
        return {"loss": loss, **terms}

    def _schedule(self) -> None:
        end = self.encoder.stages[DEFAULT_LAYER]
        if self.training and self.config.k_start is not None and isinstance(end, Sparse) and end.keep != "relu":
            steps = max(1, self.config.epochs * self.task.steps_per_epoch)
            end.keep_now = k_at(self.global_step, steps, self.config.k_start, self.config.k)

    def measure(self, images: Iterable[Tensor]) -> dict[str, float]:
        """`active` (share of values that are not 0), `dead` (share of dimensions that are 0 for all of these images),
        `hoyer` (mean Hoyer sparseness of a code, 0 for equal magnitudes, 1 for a single value)."""
        from phispace.metrics.sparsity import hoyer

        codes = torch.cat([self.codes(x).detach().float().cpu() for x in images])
        active = codes != 0
        return {
            "active": float(active.float().mean()),
            "dead": float((~active.any(0)).float().mean()),
            "hoyer": float(torch.from_numpy(hoyer(codes.numpy())).nanmean()),
        }

    def verdict(self, found: Mapping[str, float]) -> str:
        """How sparse the code is, and how much of it is never used."""
        width = self.encoder.width()
        text = f"An image uses {found['active'] * width:.1f} of {width} values; {found['dead']:.0%} are never used."
        if found["dead"] <= FEW_DEAD:
            return text
        advice = "a larger k, or a k_start," if self.config.sparsity == "k-sparse" else "a smaller method.l1"
        return f"DEAD DIMENSIONS: {text[0].lower()}{text[1:]} Try {advice} or a narrower code."


def scale_free_l1(codes: Tensor) -> Tensor:
    """mean |z| / sqrt(mean z²) over codes (B, D): a scalar in [1 / sqrt(B D), 1]; 0 for zero codes."""
    codes = codes.float()
    return codes.abs().mean() / codes.square().mean().clamp_min(torch.finfo(torch.float32).tiny).sqrt()


def k_at(step: int, steps: int, start: int, end: int) -> int:
    """k in a step: linear from `start` to `end` over the first half of all steps, then `end`."""
    share = min(1.0, step / (steps / 2))
    return round(start + (end - start) * share)
