"""Optimisers and learning rates by name, for every method.

Two groups of parameters: filters and matrices (two axes or more), which are decayed, and biases and normalisation,
which are not unless `decay_all` is on, and which may have a rate of their own (`bias_rate`). Decay is coupled (added to
the gradient) in adam and sgd, decoupled in adamw and muon; per step and unit of learning rate in both senses.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from phispace.errors import InputError
from phispace.methods.base import MethodConfig
from phispace.methods.muon import MuonWithAdamW

SCHEDULES = ("constant", "cosine", "triangular")


def build(method: nn.Module, config: MethodConfig, total_steps: int) -> dict[str, Any]:
    """What Lightning's `configure_optimizers` returns: one optimiser and a rate that changes every step.

    Args:
        method: its trainable parameters are optimised; in muon, those of `method.encoder` with two axes or more are
            orthogonalised and the rest is left to adamw.
        config: see `MethodConfig`.
        total_steps: steps from first to last.

    Raises:
        InputError: nothing to train, or an unknown name.
    """
    optimizer = make_optimizer(method, config)
    schedule = LambdaLR(
        optimizer,
        lambda step: rate_factor(step, total_steps, config.schedule, config.warmup, config.rate_start, config.rate_end),
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def make_optimizer(method: nn.Module, config: MethodConfig) -> torch.optim.Optimizer:
    """The optimiser of a config over the trainable parameters of a method; see `build`."""
    groups = parameter_groups(method, config)
    if not groups:
        raise InputError(f"{type(method).__name__} has no trainable parameters, so there is nothing to optimise.")
    rate = config.learning_rate
    betas = (config.beta1, config.beta2)
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=rate, betas=betas, eps=config.epsilon, fused=True)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=betas, eps=config.epsilon, fused=True)
    if config.optimizer == "sgd":
        nesterov = config.nesterov and config.momentum > 0
        return torch.optim.SGD(groups, lr=rate, momentum=config.momentum, nesterov=nesterov, fused=True)
    if config.optimizer == "muon":
        return MuonWithAdamW(
            groups, lr=rate, momentum=config.momentum, nesterov=config.nesterov, betas=betas, eps=config.epsilon
        )
    raise InputError(f"There is no optimiser named {config.optimizer!r}; there are: adam, adamw, sgd, muon.")


def parameter_groups(method: nn.Module, config: MethodConfig) -> list[dict[str, Any]]:
    """Filters and matrices, then biases and normalisation, with their decay and rate; empty groups are left out.

    In muon the filters and matrices of `method.encoder` are a group of their own, marked `orthogonal`.
    """
    trainable = [p for p in method.parameters() if p.requires_grad]
    encoder = getattr(method, "encoder", None)
    inner = set(encoder.parameters()) if config.optimizer == "muon" and isinstance(encoder, nn.Module) else set()
    weights = [p for p in trainable if p.ndim >= 2]
    # A decay of the same size per step, whatever the rate: the published recipes with a bias_rate have it so.
    vector_decay = config.weight_decay / config.bias_rate if config.decay_all else 0.0
    groups: list[dict[str, Any]] = [
        {"params": [p for p in weights if p in inner], "weight_decay": config.weight_decay},
        {"params": [p for p in weights if p not in inner], "weight_decay": config.weight_decay},
        {
            "params": [p for p in trainable if p.ndim < 2],
            "weight_decay": vector_decay,
            "lr": config.learning_rate * config.bias_rate,
        },
    ]
    if config.optimizer == "muon":
        for place, group in enumerate(groups):
            group["orthogonal"] = place == 0
    return [group for group in groups if group["params"]]


def rate_factor(step: int, total: int, schedule: str, warmup: float, start: float, end: float) -> float:
    """Learning rate of a step as a share of the peak, taken at the middle of the step.

        constant:    1
        cosine:      end + (1 - end) (1 + cos(π u)) / 2
        triangular:  1 + (end - 1) u

    where u runs from 0 to 1 after the warmup; in the warmup all of them rise linearly from `start` to 1.

    Args:
        step: 0 .. total - 1 (later steps are taken for the last one).
        total: steps in all.
        warmup: share of the steps.
        start, end: shares of the peak.
    """
    if schedule not in SCHEDULES:
        raise InputError(f"There is no schedule named {schedule!r}; there are: {', '.join(SCHEDULES)}.")
    time = (min(max(step, 0), total - 1) + 0.5) / max(total, 1)
    if time < warmup:
        return start + (1.0 - start) * time / warmup
    if schedule == "constant":
        return 1.0
    done = (time - warmup) / max(1.0 - warmup, 1e-12)
    if schedule == "cosine":
        return end + (1.0 - end) * (1.0 + math.cos(math.pi * done)) / 2.0
    return 1.0 + (end - 1.0) * done
