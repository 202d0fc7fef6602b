"""A generative adversarial network of convolutions; the discriminator is the representation.

The generator G makes images of codes z, the discriminator D tells them from real ones, and both learn in turns:

    L_D = E_x[softplus(-D(x))] + E_z[softplus(D(G(z)))]
    L_G = E_z[softplus(-D(G(z)))]                          non-saturating, with D after its step

D is the encoder with one linear answer on its `features`. With the encoder `dcgan` the layer `pooled` is the published
representation. The running statistics of D's batch normalisation are those of real images alone, since real images are
what it embeds later.

Neither loss says which checkpoint is better, so the last one counts as the best.

Reference: Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks", ICLR 2016; the losses of Goodfellow et al., "Generative Adversarial Nets", 2014, section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from phispace.encoders.base import Encoder, evaluating
from phispace.encoders.dcgan import dcgan_start_
from phispace.encoders.norm import untracked
from phispace.methods.base import Batch, Method, MethodConfig, Task
from phispace.methods.generator import Generator
from phispace.randomness import torch_rng

_SAMPLES = 256
COLLAPSED = 0.3
"""Samples that vary by less than this share of what images vary are nearly all the same picture."""
_BEGUN = 200  # steps


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-E log σ(real) - E log(1 - σ(fake)), nats; logits (B, 1) or (B,) -> scalar.

    Source: Goodfellow et al. 2014, equation 1, for D.
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """-E log σ(fake), nats; logits (B, 1) or (B,) -> scalar.

    Source: Goodfellow et al. 2014, section 3: log D(G(z)) is maximised in place of log(1 - D(G(z))) being minimised.
    """
    return F.softplus(-fake).mean()


class DCGANConfig(MethodConfig):
    """Options of the adversarial network."""

    epochs: int = Field(25, ge=1, description="passes over the training images")
    batch_size: int = Field(128, ge=1, description="images a step, over all devices' shares on one device")
    learning_rate: float = Field(2e-4, gt=0, description="peak learning rate of both, for losses averaged over a batch")
    beta1: float = Field(0.5, ge=0, lt=1, description="decay of the gradient's average, in adam, adamw, muon")
    code: int = Field(100, ge=1, description="values of a code that the generator starts from")
    prior: Literal["uniform", "normal"] = Field("uniform", description="of the codes: from -1 to 1, or N(0, 1)")
    generator_width: int = Field(64, ge=1, description="channels before the generator's last convolution")


class DCGANMethod(Method):
    """Learn to tell images from made ones. See the module."""

    title = "adversarial network (DCGAN)"
    players = ("discriminator", "generator")
    comparable = False
    reference = (
        "Radford, Metz and Chintala, ICLR 2016 (arXiv 1511.06434); losses of Goodfellow et al. 2014, checked against "
        "binary cross-entropy in float64 and the known optimum 2 log 2 - 2 JSD"
    )
    experimental: ClassVar[str] = (
        "ten minutes of one core bring less than 10 points of linear probe over its untrained encoder on CIFAR-10"
    )
    default_encoder = "dcgan"
    Config = DCGANConfig
    presets: ClassVar = {
        "radford": {
            "encoder": {"name": "dcgan", "width": 128},
            "method": {"optimizer": "adam", "learning_rate": 2e-4, "beta1": 0.5, "batch_size": 128,
                       "generator_width": 128},
        },
    }  # fmt: skip

    config: DCGANConfig

    def __init__(self, encoder: Encoder, config: DCGANConfig, task: Task) -> None:
        super().__init__(encoder, config, task)
        self.answer = nn.Linear(encoder.width(), 1)
        dcgan_start_(self.answer)
        self.generator = Generator(config.code, task.channels, task.size, config.generator_width)

    def parameters_of(self, player: str) -> list[nn.Parameter]:
        parts = (self.generator,) if player == "generator" else (self.encoder, self.answer)
        return [p for part in parts for p in part.parameters()]

    def turns(self, batch: Batch) -> Iterator[dict[str, Tensor]]:
        """`discriminator` with `real` and `fake`, the mean answers σ(D) to both; then `generator`."""
        made = self.generator(self._codes(batch))
        real, fake = self._answers(batch.views[0]), self._made_answers(made.detach())
        loss = discriminator_loss(real, fake)
        yield {"loss": loss, "discriminator": loss.detach()} | _means(real, fake)
        with _frozen(self.encoder, self.answer):  # spares the gradients of weights that the generator does not move
            loss = generator_loss(self._made_answers(made))
        yield {"loss": loss, "generator": loss.detach()}

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Both losses of the networks as they are; `loss` is their sum."""
        made = self.generator(self._codes(batch))
        real, fake = self._answers(batch.views[0]), self._made_answers(made.detach())
        discriminator = discriminator_loss(real, fake)
        with _frozen(self.encoder, self.answer):
            generator = generator_loss(self._made_answers(made))
        terms = {"discriminator": discriminator.detach(), "generator": generator.detach()} | _means(real, fake)
        return {"loss": discriminator + generator, **terms}

    def generate(self, codes: Tensor) -> Tensor:
        """Images, float32 (B, C, H, W) in [0, 1], of codes (B, D). Not `decode`: these are not the encoder's codes."""
        made: Tensor = self.generator(codes)
        return made

    def draw_codes(self, count: int, generator: torch.Generator) -> Tensor:
        """Codes of the prior, (count, D), on the CPU."""
        if self.config.prior == "normal":
            return torch.randn(count, self.config.code, generator=generator)
        return torch.rand(count, self.config.code, generator=generator) * 2 - 1

    def samples(self, count: int) -> Tensor:
        codes = self.draw_codes(count, torch_rng(int(getattr(self, "run_seed", 0)), "method/samples"))
        with torch.no_grad(), evaluating(self.generator):
            return self.generate(codes.to(self.device))

    def measure(self, images: Iterable[Tensor]) -> dict[str, float]:
        """`sample_spread`: standard deviation of made images, mean over pixels, as a share of that of real ones."""
        real = torch.cat([batch.flatten(1).float().cpu() for batch in images])
        made = self.samples(_SAMPLES).flatten(1).float().cpu()
        return {"sample_spread": float(made.std(0, correction=0).mean() / real.std(0, correction=0).mean())}

    def verdict(self, found: Mapping[str, float]) -> str:
        if not self.collapsed(found):
            return ""
        return (
            f"MODE COLLAPSE of the generator: its images vary by {found['sample_spread']:.0%} of what real ones do, so "
            "they are nearly all the same picture."
        )

    def collapsed(self, found: Mapping[str, float]) -> bool:
        """Whether samples hardly vary; not in the first steps, when a generator makes grey only."""
        steps = self.global_step // len(self.players)  # Lightning counts updates
        return steps >= _BEGUN and found["sample_spread"] < COLLAPSED

    def _codes(self, batch: Batch) -> Tensor:
        return self.draw_codes(len(batch.labels), self.batch_rng("codes", batch)).to(self.device)

    def _answers(self, images: Tensor) -> Tensor:
        """D's logits, float32 (B,), of images (B, C, H, W)."""
        logits: Tensor = self.answer(self.encoder(images).flatten(1))
        return logits.squeeze(1).float()

    def _made_answers(self, images: Tensor) -> Tensor:
        with untracked(self.encoder):
            return self._answers(images)


def _means(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    return {"real": real.detach().sigmoid().mean(), "fake": fake.detach().sigmoid().mean()}


@contextmanager
def _frozen(*modules: nn.Module) -> Iterator[None]:
    """No gradients of these modules' weights; what goes through them has its own."""
    weights = [p for module in modules for p in module.parameters() if p.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)
