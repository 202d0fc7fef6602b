"""What was learnt elsewhere, put to a new use: a pretrained encoder, a new head, and what of them is trained when.

    L = cross-entropy of the known labels, as of the supervised network, with logits z = head(features)

The head: for each entry of `dense` a dense layer, ReLU, batch normalisation and dropout, then the classes. The encoder
begins where pretrained weights or another run left it; which of its layers are frozen says `freeze` (see
`phispace.encoders.freezing`). Frozen layers have no gradient and run in evaluation mode, so that their running
statistics and dropout rest. In turns:

    probe_epochs       the head alone first, then all that is not frozen (linear probing, then fine-tuning)
    unfreeze_epochs    from the last stage of the encoder to the first, one more joins every so many epochs

`layer_decay` d lowers the learning rate towards the input: of K stages with weights, stage k has the rate times
d^(K + 1 - k).

Where nothing of the encoder is trained and the images are not augmented, its values are computed once for all epochs.

Reference: Yosinski et al., "How transferable are features in deep neural networks?", NIPS 2014 (frozen and fine-tuned
layers); Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018, sections 3.2
and 3.3 (discriminative rates, gradual unfreezing); Kumar et al., "Fine-Tuning can Distort Pretrained Features and
Underperform Out-of-Distribution", ICLR 2022 (LP-FT).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from pydantic import Field, field_validator
from torch import Tensor, nn

from phispace.encoders.base import Encoder
from phispace.encoders.freezing import Frozen, chosen, freeze, layers_of, stage_numbers, still_modules
from phispace.encoders.norm import BatchNorm1d
from phispace.errors import InputError
from phispace.methods.base import Batch, MethodConfig, Stage, Task
from phispace.methods.supervised import Supervised, SupervisedConfig, accuracy, cross_entropy


class TransferConfig(SupervisedConfig):
    """Options of transfer; those of the supervised network and what is frozen, when, and what the head is."""

    epochs: int = Field(10, ge=1, description="passes over the training images, in all turns together")
    freeze: str = Field(
        "none",
        description="what of the encoder is never trained: none, all, first:N, last:N, but-last:N (layers), "
        "until:NAME, or names of stages or modules",
    )
    dense: tuple[int, ...] = Field((), description="values of the head's dense layers before the classes")
    dense_batch_norm: bool = Field(True, description="batch normalisation after each of these layers' ReLU")
    dropout: float = Field(0.0, ge=0, lt=1, description="share left out before the classes and after each dense layer")
    probe_epochs: int = Field(0, ge=0, description="passes in which the head alone is trained, before all else")
    probe_learning_rate: float | None = Field(None, gt=0, description="peak rate of these passes, where it differs")
    unfreeze_epochs: int = Field(
        0, ge=0, description="passes between the joining of one stage of the encoder and the next; 0: all join at once"
    )
    layer_decay: float = Field(1.0, gt=0, le=1, description="factor of the learning rate from a stage to the one below")

    @field_validator("dense")
    @classmethod
    def _widths(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(width < 1 for width in value):
            raise ValueError("each dense layer has at least 1 value")
        return value


class Transfer(Supervised):
    """Put a pretrained encoder to a new use: a new head, frozen layers, rates by depth, turns. See the module."""

    title = "transfer"
    reference = (
        "Yosinski et al. 2014; Howard and Ruder 2018, sections 3.2 and 3.3; Kumar et al. 2022; the loss is the "
        "supervised network's, rates and frozen parts are checked against a direct count"
    )
    Config = TransferConfig
    presets: ClassVar = {
        "fashion-to-mnist": {
            "encoder": {"name": "vgg4", "dropout": 0.25},
            "method": {
                "dense": (512,),
                "dropout": 0.5,
                "optimizer": "sgd",
                "learning_rate": 0.01,
                "momentum": 0.9,
                "nesterov": False,
                "batch_size": 512,
                "epochs": 5,
                "schedule": "constant",
            },
        },
        "probe-then-tune": {
            "method": {"probe_epochs": 3, "probe_learning_rate": 1e-3, "epochs": 8, "learning_rate": 1e-4},
        },
        "gradual": {
            "method": {"probe_epochs": 1, "unfreeze_epochs": 1, "layer_decay": 0.7, "epochs": 20},
        },
    }

    config: TransferConfig

    def __init__(self, encoder: Encoder, config: TransferConfig, task: Task) -> None:
        self._stages: tuple[Stage, ...] = (Stage("", config.epochs, labelled=True),)
        super().__init__(encoder, config, task)
        self._layers = layers_of(encoder)
        parts = encoder.named_parts()
        self._frozen = chosen(self._layers, config.freeze, tuple(parts))
        self._numbers = stage_numbers(self._layers, [name for name in encoder.layers if name in parts])
        self.frozen: Frozen = freeze(encoder, self._layers, self._frozen)
        self._stages, self._joined = self._laid_out()
        self.enter_stage(0)

    def make_head(self, width: int, classes: int) -> nn.Sequential:
        config = self.config
        layers: list[nn.Module] = [nn.Flatten()]
        for outputs in config.dense:
            layers += [nn.Linear(width, outputs), nn.ReLU()]
            layers += [BatchNorm1d(outputs)] if config.dense_batch_norm else []
            layers += [nn.Dropout(config.dropout)] if config.dropout else []
            width = outputs
        if config.dropout and not config.dense:
            layers.append(nn.Dropout(config.dropout))
        layers.append(nn.Linear(width, classes, bias=config.head == "linear"))
        if config.head == "linear-bn":
            layers.append(BatchNorm1d(classes))
        return nn.Sequential(*layers)

    # -- turns

    def _laid_out(self) -> tuple[tuple[Stage, ...], tuple[int | None, ...]]:
        """The stages, and for each the lowest stage of the encoder that has joined by number (None: the head alone)."""
        config = self.config
        trainable = sorted(
            {
                self._numbers[layer.name]
                for layer in self._layers
                if any(p.requires_grad for p in layer.module.parameters(recurse=False))
            },
            reverse=True,
        )
        turns: list[tuple[str, int, int | None]] = []
        if config.probe_epochs and trainable:
            turns.append(("head", config.probe_epochs, None))
        steps = trainable if config.unfreeze_epochs else trainable[-1:]
        names = self.encoder.layers
        for number in steps:
            title = "all" if number == trainable[-1] else f"from {names[number]}"
            turns.append((title, config.unfreeze_epochs, number))
        if len(turns) < 2:
            return (Stage("", config.epochs, labelled=True),), (trainable[-1] if trainable else None,)
        before = sum(epochs for _, epochs, _ in turns[:-1])
        if config.epochs <= before:
            raise InputError(
                f"The turns before the last one take {before} epochs ({len(turns) - 1} turns), which leaves nothing of "
                f"{config.epochs}; at least {before + 1} are needed."
            )
        turns[-1] = (turns[-1][0], config.epochs - before, turns[-1][2])
        probe: dict[str, Any] = {}
        if config.probe_learning_rate is not None:
            probe["learning_rate"] = config.probe_learning_rate
        stages = tuple(
            Stage(name, epochs, labelled=True, options=probe if joined is None else {})
            for name, epochs, joined in turns
        )
        return stages, tuple(joined for _, _, joined in turns)

    def stages(self) -> tuple[Stage, ...]:
        return self._stages

    def enter_stage(self, number: int, steps: int | None = None) -> None:
        super().enter_stage(number, steps)
        joined = self._joined[number]
        waiting = {n for n, k in self._numbers.items() if joined is None or k < joined}
        leaves = {layer.name for layer in self._layers if layer.leaf}
        freeze(self.encoder, self._layers, self._frozen | (waiting & leaves))
        self.train(self.training)

    @property
    def rests(self) -> bool:
        return all(joined is None for joined in self._joined)

    @classmethod
    def may_rest(cls, config: MethodConfig) -> bool:
        if not isinstance(config, TransferConfig) or config.freeze == "none":
            return False
        return config.views == "none" and not config.alternate_flip and not config.resolutions

    @property
    def borrowed(self) -> frozenset[str]:
        if not self.borrows:
            return frozenset()
        held, still = self.encoder.pretrained(), still_modules(self._layers, self._frozen)
        paths = [path for path, module in self.encoder.named_modules() if module in still]
        return frozenset(f"encoder.{name}" for name in held if name.rpartition(".")[0] in paths)

    @property
    def opening(self) -> str:
        return self.frozen.words()

    def facts(self) -> Mapping[str, Any]:
        """What is frozen for the whole training, and how many weights are trained at some time."""
        whole = sum(p.numel() for p in self.parameters())
        frozen = {**asdict(self.frozen), "layers": len(self.frozen.layers)}
        return {"frozen": frozen, "trained_parameters": whole - self.frozen.parameters}

    def rate_factors(self) -> Mapping[nn.Parameter, float]:
        decay = self.config.layer_decay
        if decay == 1:
            return {}
        owners = [(layer, tuple(layer.module.parameters(recurse=False))) for layer in self._layers]
        weighted = sorted({self._numbers[layer.name] for layer, own in owners if own})
        depth = {number: len(weighted) - place for place, number in enumerate(weighted)}
        return {p: decay ** depth[self._numbers[layer.name]] for layer, own in owners for p in own}

    # -- learning

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, `cross_entropy` (the same) and `accuracy`, over the images whose label is known."""
        if self.known is None:
            return super().loss_terms(batch)
        logits = self.classify(self.known(batch.index))
        loss = cross_entropy(logits, batch.labels, self.config.label_smoothing)
        return {"loss": loss, "cross_entropy": loss.detach(), "accuracy": accuracy(logits.detach(), batch.labels)}
