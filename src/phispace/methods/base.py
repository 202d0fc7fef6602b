"""How φ is learned: the contract of a method.

A method is a LightningModule around an encoder. It owns its heads, decoders, teachers and queues, says which views of
an image it wants, and returns its loss with every term by name. It knows nothing of trainers, files or loggers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, get_args

import pytorch_lightning as pl
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from phispace.data.batches import Batch as Batch
from phispace.encoders.base import Encoder
from phispace.methods.borrowed import restored, without
from phispace.methods.known import KnownFeatures

Optimizer = Literal["adam", "adamw", "rmsprop", "sgd", "muon", "muon-sgd", "lars"]
Schedule = Literal["constant", "cosine", "triangular", "step"]
"""See `phispace.methods.optimizers.rate_factor`."""


class CommonConfig(BaseModel):
    """Options that all methods share, with a gradient or without. Unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(30, ge=1, description="passes over the training images")
    batch_size: int = Field(256, ge=1, description="images a step, over all devices' shares on one device")

    @model_validator(mode="before")
    @classmethod
    def _named_none(cls, values: Any) -> Any:
        """`views=none` arrives as no value; of an option that is a name, or has a choice "none", that is the name."""
        named = {k for k, f in cls.model_fields.items() if f.annotation is str or "none" in get_args(f.annotation)}
        given = values if isinstance(values, Mapping) else {}
        return {**given, **{k: "none" for k in named if given.get(k, "") is None}} if given else values


class PassConfig(CommonConfig):
    """Options of methods that have no gradient; a method's own `Config` adds to them."""

    batch_size: int = Field(256, ge=1, description="images that are looked at together; memory grows with it")
    views: str = Field("none", description="augmentation of each view, a name of `phispace.data.views`")


class MethodConfig(CommonConfig):
    """Options of methods that follow a gradient; a method's own `Config` adds to them."""

    optimizer: Optimizer = Field("adam", description="how weights are updated")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate, for a loss averaged over the batch")
    weight_decay: float = Field(0.0, ge=0, description="decay per step and unit of learning rate")
    decay_all: bool = Field(False, description="decay biases and normalisation too, not only filters and matrices")
    bias_rate: float = Field(1.0, gt=0, description="factor of the learning rate for biases and normalisation")
    head_rate: float = Field(1.0, gt=0, description="factor of the learning rate for matrices outside the encoder")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd and lars")
    muon_momentum: float = Field(0.95, ge=0, lt=1, description="of muon")
    nesterov: bool = Field(True, description="look ahead along the momentum, in sgd and muon")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the gradient's average, in adam, adamw, muon")
    beta2: float = Field(
        0.999, ge=0, lt=1, description="decay of the squared gradient's average, in adam(w), muon, rmsprop"
    )
    epsilon: float = Field(1e-8, gt=0, description="added to the root of the squared gradient, where beta2 applies")
    trust: float = Field(0.001, gt=0, description="lars: length of a step as a share of the weights' own, at rate 1")
    trust_clip: bool = Field(False, description="lars: the smaller of rate and factor, not their product (LARC)")
    schedule: Schedule = Field("constant", description="learning rate over steps: constant, cosine, triangular, step")
    drops: tuple[tuple[float, float], ...] = Field(
        (), description="step: (share of the steps, share of the peak) pairs; from there on the rate is that share"
    )
    tail: float = Field(
        1.0, ge=0, le=1, description="step: share of the steps after which the rate falls on a line to rate_end"
    )
    warmup: float = Field(0.0, ge=0, le=1, description="share of the steps in which the rate rises to its peak")
    rate_start: float = Field(0.0, ge=0, le=1, description="first rate as a share of the peak, where there is a warmup")
    rate_end: float = Field(0.0, ge=0, le=1, description="last rate as a share of the peak, unless constant")
    restarts: tuple[int, ...] = Field(
        (), description="epochs after which the schedule begins anew, its warmup too, laid out over what follows"
    )
    views: str = Field("none", description="augmentations of the views, see `phispace.data.views.named`")

    @model_validator(mode="after")
    def _drops(self) -> Self:
        shares = [share for share, _ in self.drops]
        if shares != sorted(set(shares)) or any(not 0 < s < 1 or not 0 <= f <= 1 for s, f in self.drops):
            raise ValueError("drops are (share of the steps, share of the peak) pairs, shares rising between 0 and 1")
        if self.schedule == "step" and not self.drops and self.tail == 1:
            raise ValueError("the schedule step needs drops, for example drops=[[0.5, 0.1], [0.75, 0.01]], or a tail")
        if list(self.restarts) != sorted(set(self.restarts)) or any(not 0 < e < self.epochs for e in self.restarts):
            raise ValueError(f"restarts are rising numbers of epochs, from 1 on and under the run's {self.epochs}")
        return self


@dataclass(frozen=True)
class Task:
    """What a method may know of its images when it is built."""

    channels: int
    size: int
    classes: tuple[str, ...]
    train_items: int
    steps_per_epoch: int


@dataclass(frozen=True)
class Stage:
    """A part of a training that goes in turns.

    Attributes:
        name: for people, in metrics.csv.
        epochs: of this stage; those of all stages add up to the config's.
        trains: names of the method's parts that are trained. All others are frozen: without gradient and in evaluation
            mode, so that dropout is off and running statistics stand still. Empty: all are trained.
        labelled: train and validate on the labelled images only.
        options: entries of the config that differ in this stage, such as its learning rate or batch size.
    """

    name: str
    epochs: int
    trains: tuple[str, ...] = ()
    labelled: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


class Method(pl.LightningModule):
    """Base of all methods.

    A method has one of three forms. With one objective it defines `loss_terms`. If it trains in turns, it also
    overrides `stages`, returns in `loss_terms` the terms of the stage `self.stage`, and calls `enter_stage(0)` at the
    end of its `__init__`. If it has no gradient, it sets `has_gradient` to False and defines `fit_without_gradient`.
    With several optimisers, whose losses take turns within a step, it names them in `players` and defines `turns`.

    Class attributes:
        title: name for people.
        uses_labels: whether labels enter the loss.
        n_views: how many views of each image a step gets; see `count_views`.
        reference: paper, equation, and the code or formula that the numbers are checked against.
        experimental: what it has not shown here yet; empty if it is 10 points of linear probe above untrained.
        has_gradient: False if weights are set by `fit_without_gradient`, one pass an epoch.
        players: names of the optimisers, where there are several; each has its turn in every step.
        comparable: whether a lower validation loss means a better checkpoint; if not, the last one counts as the best.
        default_encoder: the encoder used when none is named.
        presets: name -> overrides of [encoder], [method] and [training], for published settings.

    Attributes:
        known: what a frozen encoder gives for the training set's images, where it was computed before.
        borrows: whether the encoder holds the pretrained weights that its options name, and not another run's.
    """

    title: ClassVar[str]
    uses_labels: ClassVar[bool] = False
    n_views: ClassVar[int] = 1
    reference: ClassVar[str]
    experimental: ClassVar[str] = ""
    has_gradient: ClassVar[bool] = True
    players: ClassVar[tuple[str, ...]] = ()
    comparable: ClassVar[bool] = True
    default_encoder: ClassVar[str] = "convnet4"
    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {}
    Config: ClassVar[type[CommonConfig]] = MethodConfig

    def __init__(self, encoder: Encoder, config: CommonConfig, task: Task) -> None:
        super().__init__()
        self.automatic_optimization = self.has_gradient and not self.players
        self.encoder = encoder
        self.config = config
        self.task = task
        self.stage_number = 0
        self._stage_steps: int | None = None
        self._always_fixed: frozenset[str] | None = None
        self.known: KnownFeatures | None = None
        self.pretended_step: int | None = None
        self.borrows = False

    @classmethod
    def count_views(cls, config: MethodConfig) -> int:
        """How many views of each image a step gets; a method whose options say so overrides it."""
        return cls.n_views

    def stages(self) -> tuple[Stage, ...]:
        """What is trained after what; by default one stage in which all is."""
        return (Stage("", self.config.epochs, labelled=self.uses_labels),)

    @property
    def stage(self) -> Stage:
        """The stage that the method is in."""
        return self.stages()[self.stage_number]

    def enter_stage(self, number: int, steps: int | None = None) -> None:
        """Train what stage `number` trains, from 0, and freeze the rest; the next `configure_optimizers` is for it.

        Args:
            steps: of the whole stage; by default its epochs on all training images.
        """
        self.stage_number, self._stage_steps = number, steps
        if len(self.stages()) == 1:
            return
        if self._always_fixed is None:  # what the encoder or a head fixed itself stays fixed
            self._always_fixed = frozenset(n for n, p in self.named_parameters() if not p.requires_grad)
        trained = {p for module in self._trained_modules() for p in module.parameters()}
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(parameter in trained and name not in self._always_fixed)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Training mode for what the stage trains, evaluation mode for what it freezes."""
        super().train(mode)
        if mode and len(self.stages()) > 1 and self.stage.trains:
            trained = {self, *self._trained_modules()}
            for module in self.modules():
                module.training = module in trained
        return self

    def _trained_modules(self) -> list[nn.Module]:
        names = self.stage.trains
        return [m for name in names for m in self.get_submodule(name).modules()] if names else list(self.modules())

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes here which of its hooks runs, fifty times a step; torch's way of setting takes a while each.
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """The step's loss and its terms: `{"loss": scalar, term: scalar, ...}`, each a batch mean."""
        raise NotImplementedError(f"{type(self).__name__} must define loss_terms (abstract)")

    def fit_without_gradient(self, images: Iterable[Batch]) -> dict[str, Tensor]:
        """One pass, for methods without a gradient: set weights from the training images, once an epoch.

        What is kept from pass to pass lies in buffers and parameters, and draws are a function of it and of the seed:
        a run that was cut makes the pass again from the last checkpoint and ends alike.

        Args:
            images: all training images in batches of `batch_size`, in this epoch's order. They may be gone through
                several times and are the same each time; they are on the CPU.

        Returns:
            `loss` and its terms as of `loss_terms`, means over the pass.
        """
        raise NotImplementedError(f"{type(self).__name__} must define fit_without_gradient (abstract)")

    def turns(self, batch: Batch) -> Iterator[dict[str, Tensor]]:
        """The losses of a step in the order of `players`, each with terms of its own: `{"loss": scalar, term: ...}`.

        The player's optimiser has made its step when the next one is asked for.
        """
        raise NotImplementedError(f"{type(self).__name__} must define turns (abstract)")

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Lightning's hook; the trainer's monitors log every entry by its name."""
        if not self.has_gradient:
            with torch.no_grad():
                return self.fit_without_gradient(batch)
        if self.players:
            from phispace.methods.players import take_turns

            return take_turns(self, batch, self.optimizers(), self.lr_schedulers(), self.manual_backward)
        return self.loss_terms(batch)

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The same terms on unaugmented validation images."""
        return self.loss_terms(batch)

    def predict(self, images: Tensor) -> Tensor | None:
        """Class logits (B, K) for images (B, C, H, W) in [0, 1], or None where the method predicts no classes."""
        return None

    def measure(self, images: Iterable[Tensor]) -> dict[str, float]:
        """What only this method says of its health, by name; metrics.csv has it as `health_NAME`. By default nothing.

        Args:
            images: batches (B, C, H, W) of a fixed sample, seen without gradient and in evaluation mode.
        """
        return {}

    def verdict(self, found: Mapping[str, float]) -> str:
        """What `measure` found, in one sentence for the log and the run's record, in place of the general one; empty
        leaves the general one."""
        return ""

    def collapsed(self, found: Mapping[str, float]) -> bool:
        """Whether what `measure` found is a collapse, of something that the general rule does not look at."""
        return False

    def samples(self, count: int) -> Tensor | None:
        """Images (count, C, H, W) in [0, 1] that the method makes, of the same codes at each call, or None; training
        keeps a picture of them for each epoch."""
        return None

    def predict_from(self, features: Tensor) -> Tensor | None:
        """Class logits (B, K) from the encoder's features (B, D), where `predict` looks at nothing else; else None."""
        return None

    def facts(self) -> Mapping[str, Any]:
        """What a run's record says of this method beside its name and options; JSON-able. By default nothing."""
        return {}

    @property
    def opening(self) -> str:
        """What is said when training begins, a sentence; empty by default."""
        return ""

    @classmethod
    def may_rest(cls, config: MethodConfig) -> bool:
        """Whether a method of this config can be one whose encoder is never trained, nor sees augmented images."""
        return False

    @property
    def borrowed(self) -> frozenset[str]:
        """Names in the state of what pretrained weights hold and nothing trains: see `phispace.methods.borrowed`."""
        return frozenset()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: borrowed weights are left out."""
        checkpoint["state_dict"], told = without(checkpoint["state_dict"], self.borrowed)
        if told:
            checkpoint["phispace"]["record"].update(told)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning's hook: borrowed weights are put back."""
        record = checkpoint.get("phispace", {}).get("record", {})
        if record.get("borrowed"):
            own = self.state_dict()
            checkpoint["state_dict"] = restored(checkpoint["state_dict"], own, self.borrowed, record)

    @property
    def rests(self) -> bool:
        """Whether nothing of the encoder is ever trained."""
        return False

    def rate_factors(self) -> Mapping[nn.Parameter, float]:
        """Factors of the learning rate for some weights; those left out have 1."""
        return {}

    @property
    def predict_once(self) -> Callable[[Tensor], Tensor] | None:
        """Class logits from one pass, where `predict` averages over several; otherwise None."""
        return None

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule of the config, one for each player; see `phispace.methods.optimizers`."""
        from phispace.methods.optimizers import build

        if not isinstance(self.config, MethodConfig):
            return None  # it has no gradient
        stage = self.stage
        total = max(1, self._stage_steps or stage.epochs * self.task.steps_per_epoch)
        config = self.config.model_copy(update=dict(stage.options))
        if self.players:
            return [build(self, config, total, self.parameters_of(player)) for player in self.players]
        return build(self, config, total)

    def configure_gradient_clipping(self, optimizer: Any, gradient_clip_val: Any = None, *_: Any, **__: Any) -> None:
        """By the norm; see `phispace.methods.optimizers.clip`."""
        from phispace.methods.optimizers import clip  # it knows methods

        clip(self.trainer.precision_plugin, optimizer, gradient_clip_val)

    def cycles(self, total: int) -> tuple[int, ...]:
        """First steps of the cycles that the schedule goes through in the present stage of `total` steps; the first
        is 0, the others are those of `restarts`."""
        before = sum(stage.epochs for stage in self.stages()[: self.stage_number])
        epochs, restarts = self.stage.epochs, getattr(self.config, "restarts", ())
        inside = [epoch - before for epoch in restarts if before < epoch < before + epochs]
        return (0, *(epoch * (total // epochs) for epoch in inside))

    def parameters_of(self, player: str) -> list[nn.Parameter]:
        """The weights that a player's optimiser moves."""
        raise NotImplementedError(f"{type(self).__name__} must define parameters_of (abstract)")

    @property
    def global_step(self) -> int:
        """Updates that are done, or those that a measurement of the costs of a step pretends."""
        return super().global_step if self.pretended_step is None else self.pretended_step

    def step_rng(self, purpose: str) -> torch.Generator:
        """A generator for this place of training: a function of (seed, purpose, global step)."""
        from phispace.randomness import torch_rng

        return torch_rng(int(getattr(self, "run_seed", 0)), f"method/{purpose}", self.global_step)

    def batch_rng(self, purpose: str, batch: Batch) -> torch.Generator:
        """A generator for a batch: a function of (seed, step) in training, of (seed, first image) in evaluation.

        So a resumed run draws what it would have drawn, and validation draws the same in every epoch.
        """
        from phispace.randomness import torch_rng

        if self.training:
            # Processes see other images of the same step; each has draws of its own.
            rank = self.global_rank
            return self.step_rng(purpose + (f"/{rank}" if rank else ""))
        first = int(batch.index[0]) if len(batch.index) else 0
        return torch_rng(int(getattr(self, "run_seed", 0)), f"method/{purpose}-evaluation", first)
