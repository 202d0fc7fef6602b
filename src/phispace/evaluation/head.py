"""Small networks on stored features, trained on arrays: what the probes with hidden layers share.

A plain loop, since a step takes a fraction of a millisecond: batches of nearly equal length in an order drawn anew each
epoch, denormals flushed, bfloat16 only where a batch is large and the processor multiplies it natively. After each
epoch val is read; the epoch that did best there counts (without val, the last).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from phispace.denormals import without_denormals
from phispace.evaluation.selection import merit
from phispace.evaluation.sgd import even_batches
from phispace.evaluation.standardise import Scaling
from phispace.provenance import cpu_flags
from phispace.randomness import key, torch_rng

Make = Callable[[], nn.Module]
OnVal = Callable[[np.ndarray], dict[str, float]]

_ROWS = 1024
_FEWEST_STEPS, _SMALLEST_BATCH = 8, 16
_BF16_WORK = 2e8  # multiply-adds of a batch, below which the conversions cost more than they save


class Standardise(nn.Module):
    """A scaling as the first layer, (B, D) -> (B, D): wide features need no second copy in memory."""

    origin: Tensor
    mean: Tensor
    factor: Tensor

    def __init__(self, scaling: Scaling, d: int) -> None:
        super().__init__()
        for name, values in zip(("origin", "mean", "factor"), scaling.terms(d), strict=True):
            self.register_buffer(name, torch.from_numpy(values))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.origin).sub_(self.mean).mul_(self.factor)


@dataclass(frozen=True)
class Recipe:
    """How a head is trained.

    Attributes:
        optimizer: adam, or sgd with Nesterov momentum 0.9.
        learning_rate: at the start.
        epochs: passes over train.
        batch_size: items a step at most.
        drops: (share of the epochs, factor): from there on the rate is that factor of the first. None = a cosine to 0.
        weight_decay: L2 added to the gradient of all parameters, as torch's optimisers do.
        betas: of adam.
        least_steps: where few items would make fewer steps than this, batches shrink (an epoch has 8 of them, of at
            least 16 items), then epochs are added. 0 = everything as it stands.
    """

    optimizer: Literal["adam", "sgd"]
    learning_rate: float
    epochs: int
    batch_size: int
    drops: tuple[tuple[float, float], ...] | None = None
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    least_steps: int = 0

    def for_items(self, n: int) -> Recipe:
        """The recipe on n items."""
        if not self.least_steps:
            return self
        size = min(self.batch_size, max(_SMALLEST_BATCH, n // _FEWEST_STEPS))
        epochs = max(self.epochs, math.ceil(self.least_steps / math.ceil(n / size)))
        return replace(self, batch_size=size, epochs=epochs)

    def rate(self, progress: float) -> float:
        """Learning rate after a share of the steps in [0, 1)."""
        if self.drops is None:
            return self.learning_rate * (1 + math.cos(math.pi * progress)) / 2
        return self.learning_rate * min((factor for start, factor in self.drops if progress >= start), default=1.0)

    def make(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser over these parameters."""
        rate, decay = self.learning_rate, self.weight_decay
        if self.optimizer == "adam":
            return torch.optim.Adam(parameters, rate, self.betas, weight_decay=decay, fused=True)
        return torch.optim.SGD(parameters, rate, momentum=0.9, weight_decay=decay, nesterov=True, fused=True)


@dataclass(frozen=True)
class Head:
    """A trained network.

    Attributes:
        network: in evaluation mode, with the weights of `epoch`.
        epoch: 1 .. epochs.
        curve: for each epoch the train loss, and val's accuracy and loss.
        recipe: it was trained with, as `for_items` made it.
        precision: float32 or bf16.
    """

    network: nn.Module
    epoch: int
    curve: list[dict[str, Any]]
    recipe: Recipe
    precision: str

    def log_probability(self, x: np.ndarray) -> np.ndarray:
        """(m, D) -> float32 (m, K)."""
        return _log_probability(self.network, x, self.precision)

    @property
    def merit(self) -> tuple[float, float]:
        return merit(self.curve[self.epoch - 1])


def precision_for(network: nn.Module, x: np.ndarray, batch_size: int, wanted: str = "auto") -> str:
    """`auto` is bf16 where a batch is large and the processor has AMX: a rule, not a timing, so that it repeats."""
    if wanted != "auto":
        return wanted
    many = _multiply_adds(network, torch.from_numpy(x[:1])) * batch_size >= _BF16_WORK
    return "bf16" if many and "amx_bf16" in cpu_flags() else "float32"


def fit_head(
    make: Make,
    x: np.ndarray,
    y: np.ndarray,
    recipe: Recipe,
    seed: int,
    *,
    val: np.ndarray | None = None,
    on_val: OnVal | None = None,
    precision: str = "auto",
) -> Head:
    """Train a network with cross-entropy.

    Args:
        make: a new network, (B, D) -> logits (B, K); what it draws is fixed by `seed`.
        x: float32 (n, D), n > 1.
        y: int64 (n,), 0 .. K-1.
        recipe: how.
        val: float32 (m, D), read after each epoch; without it the last epoch counts.
        on_val: log-probabilities (m, K) of val -> its accuracy and loss.
    """
    n = len(x)
    recipe = recipe.for_items(n)
    items, target = torch.from_numpy(x), torch.from_numpy(y)
    order = torch_rng(seed, "order of a head")
    with torch.random.fork_rng(devices=[]), without_denormals():
        torch.manual_seed(key(seed, "weights of a head") & 0x7FFF_FFFF_FFFF_FFFF)
        network = make()
        precision = precision_for(network, x, recipe.batch_size, precision)
        optimizer = recipe.make(list(network.parameters()))
        steps, step = recipe.epochs * math.ceil(n / recipe.batch_size), 0
        curve: list[dict[str, Any]] = []
        best, kept = 0, {}
        for epoch in range(recipe.epochs):
            network.train()
            total = 0.0
            for batch in even_batches(n, recipe.batch_size, order):
                optimizer.param_groups[0]["lr"] = recipe.rate(step / steps)
                loss = _step(network, items[batch], target[batch], optimizer, precision)
                total, step = total + loss * len(batch), step + 1
            row: dict[str, Any] = {"epoch": epoch + 1, "train_loss": total / n}
            if val is not None and on_val is not None:
                row |= on_val(_log_probability(network, val, precision))
            curve.append(row)
            if val is None or epoch == 0 or merit(row) > merit(curve[best]):
                best = epoch
                kept = {name: value.clone() for name, value in network.state_dict().items()} if val is not None else {}
        if kept:
            network.load_state_dict(kept)
    return Head(network.eval(), best + 1, curve, recipe, precision)


def _step(network: nn.Module, x: Tensor, y: Tensor, optimizer: torch.optim.Optimizer, precision: str) -> float:
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        logits = network(x)
    loss = nn.functional.cross_entropy(logits.float(), y)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach())


def _log_probability(network: nn.Module, x: np.ndarray, precision: str) -> np.ndarray:
    network.eval()
    found = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        for start in range(0, len(x), _ROWS):
            logits = network(torch.from_numpy(x[start : start + _ROWS]))
            found.append(torch.log_softmax(logits.float(), 1))
    return torch.cat(found).numpy()


def _multiply_adds(network: nn.Module, item: Tensor) -> int:
    """Of one item (1, D) through the linear layers and convolutions."""
    found = []

    def count(module: nn.Linear | nn.Conv2d, _: tuple[Tensor], output: Tensor) -> None:
        found.append(module.weight.numel() * output[0, 0].numel())  # each weight once a place

    layers = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        network.eval()(item)
    for hook in hooks:
        hook.remove()
    return sum(found)
