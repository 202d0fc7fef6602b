"""Muon for filters and matrices, AdamW for the rest, in one optimiser.

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


class MuonWithAdamW(Optimizer):
    """Orthogonalised momentum for the groups with `orthogonal=True`, AdamW for the others.

        orthogonal:  b ← μ b + (1 - μ) g,  o = NS((1 - μ) g + μ b)  (Nesterov),  w ← (1 - η λ) w - η s o
        others:      AdamW with `betas` and `eps`

    A filter (out, in, h, w) is taken as a matrix (out, in h w). s = 0.2 sqrt(max(rows, columns)) gives the update the
    usual root mean square of Adam's, so that one rate η serves both.

    Args:
        params: groups, each with `orthogonal`; all options can differ by group.
        lr: η. weight_decay: λ, decoupled.
        momentum: μ. nesterov: look ahead. ns_steps: iterations of the orthogonalisation.
        betas, eps: of AdamW.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; s from Liu et al., "Muon is
    scalable for LLM training", arXiv 2502.16982, section 2.2. Checked against `torch.optim.Muon` and `AdamW`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "orthogonal": True,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_steps": ns_steps,
            "betas": betas,
            "eps": eps,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = self._muon if group["orthogonal"] else self._adamw
            for weight in group["params"]:
                if weight.grad is not None:
                    update(weight, weight.grad, group)
        return loss

    def _muon(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        average = state["momentum"].lerp_(gradient, 1 - group["momentum"])
        direction = gradient.lerp(average, group["momentum"]) if group["nesterov"] else average
        matrix = orthogonalise(direction.reshape(len(direction), -1), group["ns_steps"])
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        scale = 0.2 * max(matrix.shape) ** 0.5
        weight.add_(matrix.reshape(direction.shape).to(weight.dtype), alpha=-group["lr"] * scale)

    def _adamw(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
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


def orthogonalise(matrix: Tensor, steps: int) -> Tensor:
    """The nearest matrix with equal singular values, roughly: UVᵀ of a matrix USVᵀ, singular values 0.7 to 1.2.

        X ← a X + (b A + c A²) X,  A = X Xᵀ,  from X = matrix / |matrix|

    Args:
        matrix: float (R, C).
        steps: iterations; 5 is usual, 3 are enough in short trainings.

    Returns:
        bfloat16 (R, C).
    """
    a, b, c = COEFFICIENTS
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / x.norm().clamp_min(1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x
