"""How φ is learned: the contract of a method.

A method is a LightningModule around an encoder. It owns its heads, decoders, teachers and queues, says which views of
an image it wants, and returns its loss with every term by name. It knows nothing of trainers, files or loggers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pytorch_lightning as pl
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from phispace.data.batches import Batch as Batch
from phispace.encoders.base import Encoder


class MethodConfig(BaseModel):
    """Options that all methods share; a method's own `Config` adds to them. Unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(30, ge=1, description="passes over the training images")
    batch_size: int = Field(256, ge=1, description="images a step, over all devices' shares on one device")
    optimizer: Literal["adam", "adamw", "sgd", "muon", "muon-sgd"] = Field(
        "adam", description="how weights are updated"
    )
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate, for a loss averaged over the batch")
    weight_decay: float = Field(0.0, ge=0, description="decay per step and unit of learning rate")
    decay_all: bool = Field(False, description="decay biases and normalisation too, not only filters and matrices")
    bias_rate: float = Field(1.0, gt=0, description="factor of the learning rate for biases and normalisation")
    head_rate: float = Field(1.0, gt=0, description="factor of the learning rate for matrices outside the encoder")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    muon_momentum: float = Field(0.95, ge=0, lt=1, description="of muon")
    nesterov: bool = Field(True, description="look ahead along the momentum, in sgd and muon")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the gradient's average, in adam, adamw, muon")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of the squared gradient's average, in adam, adamw, muon")
    epsilon: float = Field(1e-8, gt=0, description="added to the root of the squared gradient, in adam, adamw, muon")
    schedule: Literal["constant", "cosine", "triangular"] = Field("constant", description="learning rate over steps")
    warmup: float = Field(0.0, ge=0, le=1, description="share of the steps in which the rate rises to its peak")
    rate_start: float = Field(0.0, ge=0, le=1, description="first rate as a share of the peak, where there is a warmup")
    rate_end: float = Field(0.0, ge=0, le=1, description="last rate as a share of the peak, unless constant")
    views: str = Field("none", description="augmentation of each view, a name of `phispace.data.views`")


@dataclass(frozen=True)
class Task:
    """What a method may know of its images when it is built."""

    channels: int
    size: int
    classes: tuple[str, ...]
    train_items: int
    steps_per_epoch: int


class Method(pl.LightningModule):
    """Base of all methods.

    Class attributes:
        title: name for people.
        uses_labels: whether labels enter the loss.
        n_views: how many views of each image a step gets.
        reference: paper, equation, and the code or formula that the numbers are checked against.
        default_encoder: the encoder used when none is named.
        presets: name -> overrides of [encoder], [method] and [training], for published settings.
    """

    title: ClassVar[str]
    uses_labels: ClassVar[bool] = False
    n_views: ClassVar[int] = 1
    reference: ClassVar[str]
    default_encoder: ClassVar[str] = "convnet4"
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {}
    Config: ClassVar[type[MethodConfig]] = MethodConfig

    def __init__(self, encoder: Encoder, config: MethodConfig, task: Task) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = config
        self.task = task

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """The step's loss and its terms: `{"loss": scalar, term: scalar, ...}`, each a batch mean."""
        raise NotImplementedError(f"{type(self).__name__} must define loss_terms (abstract)")

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Lightning's hook; the trainer's monitors log every entry by its name."""
        return self.loss_terms(batch)

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The same terms on unaugmented validation images."""
        return self.loss_terms(batch)

    def predict(self, images: Tensor) -> Tensor | None:
        """Class logits (B, K) for images (B, C, H, W) in [0, 1], or None where the method predicts no classes."""
        return None

    def measure(self, images: Iterable[Tensor]) -> dict[str, float]:
        """What only this method can say of its health, by name; metrics.csv gets it as `health_NAME`. By default nothing.

        Args:
            images: batches (B, C, H, W) of a fixed sample, seen without gradient and in evaluation mode.
        """
        return {}

    def verdict(self, found: Mapping[str, float]) -> str:
        """What `measure` found, in one sentence for the log and the run's record, in place of the general one; empty
        leaves the general one."""
        return ""

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule of the config; see `phispace.methods.optimizers`."""
        from phispace.methods.optimizers import build

        total = max(1, self.config.epochs * self.task.steps_per_epoch)
        return build(self, self.config, total)

    def step_rng(self, purpose: str) -> torch.Generator:
        """A generator for this place of training: a function of (seed, purpose, global step)."""
        from phispace.randomness import torch_rng

        return torch_rng(int(getattr(self, "run_seed", 0)), f"method/{purpose}", self.global_step)
