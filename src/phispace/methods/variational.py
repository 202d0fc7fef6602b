"""What variational autoencoders share: posterior, draws, decoder, the terms of the loss, and the watch for collapse.

    L = reconstruction(x, decoder(z)) + penalty,   z = mean(x) + deviation(x) ε,   ε ~ N(0, 1)

The encoder's last stage, `features`, is the posterior's mean, so that is the code wherever it is extracted; the
log-variance is a dense layer on the stage before it, and belongs to the method.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from phispace.encoders.base import DEFAULT_LAYER, Encoder
from phispace.encoders.norm import glorot_
from phispace.errors import InputError
from phispace.methods.base import Batch, Method, MethodConfig, Task
from phispace.methods.decoders import Output, make_decoder
from phispace.methods.gaussian_codes import draw, in_use, kl_by_dimension
from phispace.methods.observation import Observation, reconstruction_term

_SHOWN = 8


class VariationalConfig(MethodConfig):
    """Options of all variational autoencoders."""

    observation: Observation = Field(
        "mse-sum",
        description="reconstruction term: mse-sum, mse-mean, gaussian (of the best variance) or bernoulli",
    )
    decoder: Literal["auto", "mirror", "published"] = Field(
        "auto", description="the encoder's own way back, its mirror, or auto: its own where it has one"
    )
    output: Output = Field("sigmoid", description="last layer of the decoder: sigmoid or linear")


class Variational(Method):
    """Base of the variational autoencoders; a method defines `penalty`. See the module."""

    default_encoder = "vae-simple"

    config: VariationalConfig

    def __init__(self, encoder: Encoder, config: VariationalConfig, task: Task) -> None:
        super().__init__(encoder, config, task)
        self.before = before_code(encoder)
        if config.observation == "bernoulli" and config.output != "sigmoid":
            raise InputError("The observation bernoulli needs probabilities: set method.output=sigmoid, not linear.")
        self.decoder = make_decoder(encoder, config.decoder, config.output)
        self.log_variance = nn.Sequential(nn.Flatten(), nn.Linear(encoder.width(self.before), encoder.width()))
        glorot_(self.log_variance)

    # -- parts

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), float32 (B, D), for images (B, C, H, W) in [0, 1]."""
        found = self.encoder.taps(images, (self.before, DEFAULT_LAYER))
        return found[DEFAULT_LAYER].float(), self.log_variance(found[self.before]).float()

    def decode(self, codes: Tensor) -> Tensor:
        """Images (B, C, H, W) of codes (B, D): what the decoder expects to see, cut to [0, 1] where it is linear."""
        decoded: Tensor = self.decoder(codes)
        return decoded.clamp(0, 1)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) decoded from the means of their codes; nothing is drawn."""
        return self.decode(self.posterior(images)[0])

    # -- training

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, `reconstruction` as the loss has it, `kl` (nats an image), `mse` (mean over pixel values and images,
        of the drawn codes), and the method's own terms."""
        images = batch.views[0]
        mean, log_variance = self.posterior(images)
        z = draw(mean, log_variance, self.noise(mean, batch))
        logits = self.decoder.logits(z)
        decoded = logits.sigmoid() if self.config.output == "sigmoid" else logits
        seen = logits if self.config.observation == "bernoulli" else decoded
        reconstruction = reconstruction_term(images, seen, self.config.observation)
        penalty, terms = self.penalty(z, mean, log_variance)
        return {
            "loss": reconstruction + penalty,
            "reconstruction": reconstruction.detach(),
            "kl": kl_by_dimension(mean, log_variance).sum(1).mean().detach(),
            **terms,
            "mse": (images - decoded.detach()).square().mean(),
        }

    def penalty(self, z: Tensor, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """What is added to the reconstruction term, and its parts for the log (detached).

        Args:
            z, mean, log_variance: (B, D), float32.
        """
        raise NotImplementedError(f"{type(self).__name__} must define penalty (abstract)")

    def risen(self, share: float) -> float:
        """How far a weight has risen that goes from 0 to 1 over this share of all steps; 1 in evaluation.

        Validation sees the full weight, so that the loss of one epoch compares with another's.
        """
        steps = share * self.config.epochs * self.task.steps_per_epoch
        return min(1.0, self.global_step / steps) if self.training and steps > 0 else 1.0

    def noise(self, mean: Tensor, batch: Batch) -> Tensor:
        """ε of N(0, 1), (B, D); see `Method.batch_rng`."""
        generator = self.batch_rng("reparametrise", batch)
        return torch.randn(mean.shape, generator=generator).to(mean.device)

    # -- collapse

    def measure(self, images: Iterable[Tensor]) -> dict[str, float]:
        """`kl` (nats an image), `active_units`, and each dimension's `kl_d` where there are few."""
        means, kl = [], []
        for x in images:
            mean, log_variance = self.posterior(x)
            means.append(mean.cpu())
            kl.append(kl_by_dimension(mean, log_variance).cpu())
        by_dimension = torch.cat(kl).mean(0)
        active = in_use(torch.cat(means))
        found = {"kl": float(by_dimension.sum()), "active_units": float(active.sum())}
        if len(by_dimension) <= _SHOWN:
            found |= {f"kl_{d}": float(value) for d, value in enumerate(by_dimension)}
        return found

    def verdict(self, found: Mapping[str, float]) -> str:
        """Whether the posterior has collapsed, in words."""
        width, active = self.encoder.width(), int(found["active_units"])
        each = [f"{found[f'kl_{d}']:.2f}" for d in range(width) if f"kl_{d}" in found]
        numbers = f"KL {', '.join(each)} nats" if each else f"KL {found['kl']:.1f} nats in all"
        if active == 0:
            return (
                f"POSTERIOR COLLAPSE: none of the {width} dimensions of the code is in use ({numbers}): all images get "
                "nearly one code. A smaller KL weight (method.beta) or the sum over pixels "
                "(method.observation=mse-sum) prevents it."
            )
        if active < width:
            return f"Partial posterior collapse: {active} of {width} dimensions of the code are in use ({numbers})."
        return f"All {width} dimensions of the code are in use ({numbers})."

    def collapsed(self, found: Mapping[str, float]) -> bool:
        """Whether no dimension of the code is in use."""
        return int(found["active_units"]) == 0


def before_code(encoder: Encoder) -> str:
    """The layer before `features`, on which the log-variance rests.

    Raises:
        InputError: `features` is not linear, so it cannot be a mean, or there is no layer before it.
    """
    layers = encoder.layers
    modules = list(encoder.stages[DEFAULT_LAYER].modules()) if DEFAULT_LAYER in encoder.stages else [encoder]
    if not isinstance(modules[-1], nn.Linear) or len(layers) < 2:
        raise InputError(
            f"A variational autoencoder needs an encoder that ends in a linear code, and {type(encoder).__name__} does "
            "not; give it one with encoder.code, for example --set encoder.code=16, or take vae-simple."
        )
    return layers[-2]
