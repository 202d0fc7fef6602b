"""Muon for filters and matrices, AdamW or Nesterov SGD for the rest, in one optimiser.

torch has `torch.optim.Muon`, but for matrices alone; a network also has filters, biases and heads, and Lightning's
automatic optimisation takes one optimiser object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration; the slope at zero is as large as it can be, the limit is only near 1."""


class Muon(Optimizer):
    """Orthogonalised momentum, AdamW and SGD: each group says its `rule`.

        muon:   b ← μ b + (1 - μ) g,  o = NS((1 - μ) g + μ b),  w ← (1 - η λ) w - η s o
        adamw:  Adam with `betas` and `eps`, decay decoupled
        sgd:    g ← g + λ w,  b ← μ b + g,  w ← w - η (g + μ b)

    A filter (out, in, h, w) is taken as a matrix (out, in h w). s = 0.2 sqrt(max(rows, columns)) gives the update the
    usual root mean square of Adam's, so that one rate η serves both. With `unit_filters` s is 1, and the weights are
    scaled to a norm of sqrt(rows) before each update, so that η is the angle of the step.

    Args:
        params: groups with `rule`; every other argument may differ by group.
        lr: η. weight_decay: λ. momentum: μ. nesterov: look ahead (as written above) or use b itself.
        ns_steps: iterations of the orthogonalisation.
        unit_filters: see above.
        betas, eps: of AdamW.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; s from Liu et al., "Muon is
    scalable for LLM training", arXiv 2502.16982, section 2.2; `unit_filters` from the Muon recipe of airbench.
    Checked against `torch.optim.Muon`, `AdamW` and `SGD`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        unit_filters: bool = False,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        defaults = {
            "rule": "muon",
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_steps": ns_steps,
            "unit_filters": unit_filters,
            "betas": betas,
            "eps": eps,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        rules = {"muon": _muon, "adamw": _adamw, "sgd": _sgd}
        for group in self.param_groups:
            update = rules[group["rule"]]
            for weight in group["params"]:
                if weight.grad is not None:
                    update(weight, weight.grad, self.state[weight], group)
        return loss


def _muon(weight: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    if not state:
        state["momentum"] = torch.zeros_like(weight)
    average = state["momentum"].lerp_(gradient, 1 - group["momentum"])
    direction = gradient.lerp(average, group["momentum"]) if group["nesterov"] else average
    # The order of the columns does not matter; with the channels last, rows of such a filter are contiguous.
    columns_last = direction.movedim(1, -1) if direction.ndim > 2 else direction
    matrix = orthogonalise(columns_last.reshape(len(direction), -1), group["ns_steps"])
    weight.mul_(1 - group["lr"] * group["weight_decay"])
    scale = 0.2 * max(matrix.shape) ** 0.5
    if group["unit_filters"]:
        scale = 1.0
        weight.mul_(len(weight) ** 0.5 / weight.norm().clamp_min(1e-12))
    step = matrix.to(weight.dtype).reshape(columns_last.shape)
    weight.add_(step.movedim(-1, 1) if direction.ndim > 2 else step, alpha=-group["lr"] * scale)


def _adamw(weight: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    if not state:
        state["step"] = torch.zeros((), dtype=torch.float32)
        state["average"] = torch.zeros_like(weight)
        state["square"] = torch.zeros_like(weight)
    beta1, beta2 = group["betas"]
    state["step"] += 1
    step = float(state["step"])
    state["average"].lerp_(gradient, 1 - beta1)
    state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    weight.mul_(1 - group["lr"] * group["weight_decay"])
    root = (state["square"] / (1 - beta2**step)).sqrt_().add_(group["eps"])
    weight.addcdiv_(state["average"], root, value=-group["lr"] / (1 - beta1**step))


def _sgd(weight: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    if not state:
        state["momentum"] = torch.zeros_like(weight)
    gradient = gradient.add(weight, alpha=group["weight_decay"])
    total = state["momentum"].mul_(group["momentum"]).add_(gradient)
    direction = gradient.add(total, alpha=group["momentum"]) if group["nesterov"] else total
    weight.add_(direction, alpha=-group["lr"])


def orthogonalise(matrix: Tensor, steps: int) -> Tensor:
    """The nearest matrix with equal singular values, roughly: UVᵀ of a matrix USVᵀ, singular values 0.7 to 1.2.

        X ← a X + (b A + c A²) X,  A = X Xᵀ,  from X = matrix / |matrix|

    Args:
        matrix: float (R, C).
        steps: iterations; 5 is usual, 3 are enough in short trainings.

    Returns:
        (R, C), in bfloat16 where the hardware multiplies it faster, otherwise float32.
    """
    a, b, c = COEFFICIENTS
    x = matrix.to(_fast_dtype(matrix.device))
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / x.norm().clamp_min(1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


def _fast_dtype(device: torch.device) -> torch.dtype:
    if device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.float32
    return torch.bfloat16
