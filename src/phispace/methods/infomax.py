"""Deep InfoMax: a code that shares as much information as it can with the image, or with each of its parts.

    L = - α Î( M ; Y )  -  β / L Σ_l Î( M_l ; Y )  +  γ D( Y || prior )

M is an inner layer of the encoder, a map of L locations; Y is its code, `features`; Î is one of three estimates of
mutual information (`phispace.methods.information`) from the scores that a network gives to pairs of M and Y of the same
image and of different ones (`phispace.methods.score_networks`). No view but the image itself is needed.

The prior is matched by an adversary (`phispace.methods.prior_matching`), or by noise: Y is normalised to unit variance,
or to the unit interval, and noise is added to it before it is scored. The information that gets through the noise is
largest for codes whose values are independent and normally, or uniformly, distributed; no second network is needed.

Reference: Hjelm et al., "Learning deep representations by mutual information estimation and maximization", ICLR 2019
(arXiv 1808.06670), equation 8; code github.com/rdevon/DIM. Noise: Butakov et al., arXiv 2410.06993.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal, get_args

import torch
from pydantic import Field
from torch import Tensor

from phispace.encoders.base import DEFAULT_LAYER, Encoder
from phispace.errors import InputError
from phispace.methods.base import Batch, Method, MethodConfig, Schedule, Task
from phispace.methods.heads import batch_norm
from phispace.methods.information import ESTIMATORS, Estimator
from phispace.methods.prior_matching import Discriminator, distance_from_uniform, prior_terms
from phispace.methods.score_networks import GlobalScores, Kind, LocalScores, draw_locations, locations
from phispace.methods.upper_layers import map_of_side

LOCAL_SIDE = 8
"""Pixels of the map that the local objective was published on: that of 64 locations."""


_PUBLISHED: Mapping[str, Any] = {
    "score": "encode-and-dot", "score_width": 2048, "scaled": False, "prior": "adversarial", "optimizer": "adam",
    "learning_rate": 1e-4, "beta1": 0.5, "schedule": "constant", "batch_size": 64, "epochs": 1000, "views": "none",
}  # fmt: skip


def _presets() -> dict[str, dict[str, dict[str, Any]]]:
    """The paper's objectives by name, and the network of an experiment that compared DIM with AET."""
    encoder = {"name": "dim"}
    local = {
        f"local-{name}": {"encoder": encoder, "method": {**_PUBLISHED, "estimator": name, "gamma": 0.1}}
        for name in get_args(Estimator)
    }
    whole = {**_PUBLISHED, "estimator": "jsd", "alpha": 1.0, "beta": 0.0, "gamma": 1.0}
    return {
        **local,
        "global": {"encoder": encoder, "method": whole},
        "resnet18-linear": {
            "encoder": {"name": "resnet18", "code": 64},
            "method": {"estimator": "dv", "score": "linear", "batch_size": 64},
        },
    }


class InfoMaxConfig(MethodConfig):
    """Options of Deep InfoMax."""

    batch_size: int = Field(128, ge=2, description="images a step, over all devices' shares on one device")
    schedule: Schedule = Field("cosine", description="learning rate over steps")
    estimator: Estimator = Field("infonce", description="of information: Donsker-Varadhan, Jensen-Shannon or InfoNCE")
    alpha: float = Field(0.0, ge=0, description="weight of the information about the whole map")
    beta: float = Field(1.0, ge=0, description="weight of the information about its locations, mean over them")
    local_layer: str | None = Field(
        None, description="layer M; by default the last one whose map is nearest to 8 x 8 locations"
    )
    locations: int | None = Field(
        None, ge=1, description="locations of each image that a training step draws; by default all"
    )
    score: Kind = Field("encode-and-dot", description="network that scores a pair")
    score_width: int = Field(512, ge=1, description="values of its vectors or hidden layers (2048 as published)")
    scaled: bool = Field(True, description="divide the product of two vectors by the root of score_width")
    negatives: int = Field(
        1, ge=1, description="of concat-and-convolve: other images that a code is paired with; else all of the batch"
    )
    prior: Literal["none", "adversarial", "noise-uniform", "noise-normal"] = Field(
        "none", description="distribution of the code: left alone; uniform by a discriminator; by noise on the code"
    )
    gamma: float = Field(0.1, gt=0, description="of adversarial: weight of the prior for the encoder")
    penalty: float = Field(1.0, ge=0, description="of adversarial: weight of the discriminator's squared gradient")
    noise: float = Field(
        0.5,
        gt=0,
        description="of the noise: standard deviation (normal) or largest value (uniform), the code's being 1",
    )


class InfoMax(Method):
    """Maximise the information between the code and the image's parts. See the module."""

    title = "Deep InfoMax"
    reference = (
        "Hjelm et al., ICLR 2019 (arXiv 1808.06670), equation 8, and github.com/rdevon/DIM; losses checked against "
        "loops over all pairs and locations in float64, and against Gaussians of known information"
    )
    default_encoder = "dim"
    Config: ClassVar[type[MethodConfig]] = InfoMaxConfig
    presets: ClassVar = _presets()

    config: InfoMaxConfig

    def __init__(self, encoder: Encoder, config: InfoMaxConfig, task: Task) -> None:
        super().__init__(encoder, config, task)
        if config.alpha == 0 and config.beta == 0:
            raise InputError("With method.alpha=0 and method.beta=0 there is no objective; set one of them above 0.")
        self.layer = config.local_layer or map_of_side(encoder, LOCAL_SIDE)
        encoder.check_layers((self.layer,))
        below = [name for name in encoder.layers if name != DEFAULT_LAYER]
        if self.layer not in below:
            raise InputError(
                f"method.local_layer is a layer below {DEFAULT_LAYER!r}, the code: {', '.join(below)}; "
                f"got {self.layer!r}."
            )
        shape, code = encoder.shapes()[self.layer], encoder.width()
        kind, width, negatives = config.score, config.score_width, config.negatives
        scale = width**-0.5 if config.scaled else 1.0
        self.local_scores: LocalScores | None = None
        self.global_scores: GlobalScores | None = None
        if config.beta > 0:
            self.local_scores = LocalScores(kind, shape[0], code, width, negatives=negatives, scale=scale)
        if config.alpha > 0:
            self.global_scores = GlobalScores(kind, encoder, self.layer, width, negatives=negatives, scale=scale)
        self.discriminator = Discriminator(code) if config.prior == "adversarial" else None
        self.normalise = batch_norm(code, affine=False) if config.prior == "noise-normal" else None

    @property
    def opening(self) -> str:
        """Which map the places are of."""
        if self.config.beta == 0:
            return ""
        places = math.prod(self.encoder.shapes()[self.layer][1:])
        if places > 1:
            return f"Places are those of the layer {self.layer!r}: {places} an image."
        return (
            f"The layer {self.layer!r} has a single place, the whole image, so nothing is local and the task is easy; "
            "an encoder with maps (dim, convnet2, resnet18) suits the method."
        )

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`; `local` and `global`, nats; of an adversary `prior`, `discriminator`, `penalty` before their weights.

        In evaluation the loss is that of the information alone: what an adversary says of one epoch does not compare
        with what it says of another.
        """
        found = self.encoder.taps(batch.views[0], (self.layer, DEFAULT_LAYER))
        features, codes = found[self.layer], found[DEFAULT_LAYER].flatten(1)
        scored = self.disturb(codes, batch)
        estimate, terms = ESTIMATORS[self.config.estimator], {}
        loss = torch.zeros((), device=codes.device)
        if self.global_scores is not None:
            terms["global"] = estimate(self.global_scores(features, scored))
            loss = loss - self.config.alpha * terms["global"]
        if self.local_scores is not None:
            terms["local"] = estimate(self.local_scores(self.places(features, batch), scored))
            loss = loss - self.config.beta * terms["local"]
        if self.discriminator is not None:
            draws = torch.rand(codes.shape, generator=self.batch_rng("prior", batch)).to(codes.device)
            prior = prior_terms(self.discriminator, codes.float().sigmoid(), draws)
            terms |= {"prior": prior.encoder, "discriminator": prior.discriminator, "penalty": prior.penalty}
            if self.training:
                loss = loss + self.config.gamma * prior.encoder
                loss = loss + prior.discriminator + self.config.penalty * prior.penalty  # the discriminator's alone
        return {"loss": loss, **{name: value.detach() for name, value in terms.items()}}

    def places(self, features: Tensor, batch: Batch) -> Tensor:
        """Locations of the map, (N, L, C); in training as many as the option says, drawn: for each image its own, but
        for `dv`, whose expectations are of one location each, the same for all."""
        places = locations(features)
        count = self.config.locations
        if not self.training or count is None or count >= places.shape[1]:
            return places
        rng = self.batch_rng("locations", batch)
        return draw_locations(places, count, rng, alike=self.config.estimator == "dv")

    def disturb(self, codes: Tensor, batch: Batch) -> Tensor:
        """The codes as they are scored, (N, D): normalised and with noise where that is the prior."""
        kind, level = self.config.prior, self.config.noise
        if kind not in ("noise-uniform", "noise-normal"):
            return codes
        rng = self.batch_rng("noise", batch)
        if self.normalise is not None:
            noise = torch.randn(codes.shape, generator=rng)
            return self.normalise(codes.float()) + level * noise.to(codes.device)
        noise = 2 * torch.rand(codes.shape, generator=rng) - 1
        return codes.float().sigmoid() + level * noise.to(codes.device)

    def measure(self, images: Iterable[Tensor]) -> dict[str, float]:
        """`prior_distance`: of the codes' distribution from the prior, Kolmogorov-Smirnov, mean over dimensions."""
        if self.config.prior == "none":
            return {}
        codes = torch.cat([self.encoder(x).flatten(1).float() for x in images])
        if self.normalise is None:
            return {"prior_distance": float(distance_from_uniform(codes.sigmoid()).mean())}
        codes = (codes - codes.mean(0)) / codes.std(0, unbiased=False).clamp_min(1e-12)
        return {"prior_distance": float(distance_from_uniform(torch.special.ndtr(codes)).mean())}
