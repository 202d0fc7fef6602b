"""Batch normalisation that is right from the first batches on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from phispace.errors import InputError

KERAS_EPSILON = 1e-3
KERAS_MOMENTUM = 0.01  # torch's sense: the share of the new batch; 0.99 in Keras' sense


class _FromTheStart(_BatchNorm):
    """The running statistics are the plain average of the batches until that weighs a batch less than `momentum`.

    With a momentum of 0.01 torch's (and Keras') running statistics keep 0.99^n of their arbitrary start, a third
    after 100 steps, which ruins the evaluation of short runs. From step 1 / momentum on, this is the usual rule.
    A batch with one value a channel has no variance; it is normalised with the running statistics. With
    `track_running_stats` off for a while, batches leave no trace: see `untracked`.

    Args:
        width: channels.
        eps, momentum: in torch's sense; the defaults are Keras'.
        scale: whether the scale is learnt (the shift always is).
    """

    def __init__(
        self, width: int, eps: float = KERAS_EPSILON, momentum: float = KERAS_MOMENTUM, scale: bool = True
    ) -> None:
        super().__init__(width, eps=eps, momentum=momentum)
        self.least_momentum = momentum
        self._seen: int | None = None
        self.weight.requires_grad_(scale)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        if x.numel() == x.shape[1]:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        if self.track_running_stats:
            if self._seen is None:
                self._seen = 0 if self.num_batches_tracked is None else int(self.num_batches_tracked)
            self._seen += 1
            self.momentum = max(self.least_momentum, 1.0 / self._seen)
        return super().forward(x)

    def reset_running_stats(self) -> None:
        self._seen = None
        super().reset_running_stats()

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._seen = None  # counted anew from the loaded number of batches
        super()._load_from_state_dict(*args, **kwargs)


class BatchNorm2d(_FromTheStart, nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` with `_FromTheStart`'s statistics."""


class BatchNorm1d(_FromTheStart, nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` with `_FromTheStart`'s statistics."""


@contextmanager
def untracked(module: nn.Module) -> Iterator[None]:
    """Batches that go through meanwhile leave no trace in the running statistics; they are normalised as ever."""
    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


@torch.no_grad()
def take_statistics(module: nn.Module, run: Callable[[Tensor], Any], batches: Iterable[Tensor]) -> None:
    """Replace all running statistics by the plain mean over these batches of each batch's own; weights are kept.

    Everything but batch normalisation is in evaluation mode meanwhile; each submodule's own mode comes back.

    Args:
        module: with batch normalisation inside.
        run: passes a batch through it.
        batches: of about equal size, at least 2 images each; the larger, the better the variance.

    Source: Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2016 (arXiv 1603.04779),
    algorithm 1, where the batches are images of another domain, without labels.

    Raises:
        InputError: no batch normalisation inside, or no batch.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    if not layers:
        raise InputError("There is no batch normalisation in this network whose statistics could be taken anew.")
    waiting = iter(batches)
    first = next(waiting, None)
    if first is None:
        raise InputError("There is no batch to take statistics from.")
    modes = [(m, m.training) for m in module.modules()]
    momenta = [(layer.momentum, getattr(layer, "least_momentum", None)) for layer in layers]
    module.eval()
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # torch's word for the plain mean
            if isinstance(layer, _FromTheStart):
                layer.least_momentum = 0.0
            layer.train()
        for batch in chain([first], waiting):
            run(batch)
    finally:
        for layer, (momentum, least) in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            if isinstance(layer, _FromTheStart) and least is not None:
                layer.least_momentum = least
        for m, mode in modes:
            m.training = mode


def glorot_(module: nn.Module) -> None:
    """Glorot uniform weights and zero biases, Keras' start, for every convolution and dense layer inside."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
