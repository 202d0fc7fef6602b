"""A multilayer perceptron over the pixels."""

from __future__ import annotations

from typing import Literal

from torch import nn

from phispace.encoders.base import Encoder, Normalise
from phispace.encoders.norm import BatchNorm1d, glorot_
from phispace.encoders.options import Share, Widths


class MLP(Encoder):
    """Dense layers over the flattened pixels, ReLU after each.

    Layers: for each dense layer `fc1` (its output as it is) and `hidden1` (after batch normalisation and activation);
    the last `hidden` is named `features`.

    Options:
        hidden: values of each dense layer.
        batch_norm: batch normalisation before each activation; the dense layers then have no bias.
        dropout: share of the values left out after each activation, in training.
        activation: relu, or what networks had before it: tanh or sigmoid.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        hidden: Widths = (512, 512),
        batch_norm: bool = True,
        dropout: Share = 0.0,
        activation: Literal["relu", "tanh", "sigmoid"] = "relu",
    ) -> None:
        super().__init__(channels, size)
        self.stages["normalise"] = Normalise(channels)
        inputs = channels * size * size
        for number, outputs in enumerate(hidden, start=1):
            dense = nn.Linear(inputs, outputs, bias=not batch_norm)
            self.stages[f"fc{number}"] = nn.Sequential(nn.Flatten(), dense) if number == 1 else dense
            after: list[nn.Module] = [BatchNorm1d(outputs)] if batch_norm else []
            after.append({"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[activation]())
            if dropout:
                after.append(nn.Dropout(dropout))
            self.stages["features" if number == len(hidden) else f"hidden{number}"] = nn.Sequential(*after)
            inputs = outputs
        glorot_(self)
