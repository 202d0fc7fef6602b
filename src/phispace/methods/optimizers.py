"""Optimisers and learning rates by name, for every method.

    adam      betas 0.9 and 0.999, epsilon 1e-8 by default; decay added to the gradient
    adamw     the same with decoupled decay
    rmsprop   average of the squared gradient with beta2, no momentum; decay added to the gradient
    sgd       momentum, Nesterov by default; decay added to the gradient
    muon      orthogonalised momentum for the encoder's filters and matrices, adamw for the rest, one rate for both
    muon-sgd  the same with weights of fixed norm, sgd for the rest (`bias_rate` and `head_rate` set its rates)
    lars      sgd with a rate of its own for each filter or matrix: its gradient g, with decay λ, becomes
              (g + λ w) trust |w| / (|g| + λ |w|) (You et al., arXiv 1708.03888, eq. 6); momentum without Nesterov.
              Biases and normalisation are neither scaled nor decayed unless `decay_all`, as in SimCLR and BYOL. With
              `trust_clip` (LARC) the rate is the smaller of learning rate and factor, not their product. It is timm's;
              lightly's is plain sgd where the decay is 0.

Three groups of parameters: the encoder's filters and matrices (two axes or more), those outside it (`head_rate`), and
biases and normalisation (`bias_rate`), which are not decayed unless `decay_all` is on. A method's `rate_factors` divide
them further. Decay is per step and unit of learning rate.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from typing import Any, get_args

import torch
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from timm.optim.lars import Lars
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from phispace.errors import InputError
from phispace.methods.base import Method, MethodConfig, Schedule
from phispace.methods.muon import Muon

OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd", "muon", "muon-sgd", "lars")
SCHEDULES = get_args(Schedule)


def clip(plugin: Precision, optimizer: Any, largest: float | None) -> None:
    """Scale the gradient that this optimiser is about to use down to a norm of at most `largest`; None leaves it.

    Lightning refuses fused optimisers in mixed precision, because they undo a scaling of the gradients themselves; in
    bf16 there is none, so there it is done as in float32.
    """
    if isinstance(plugin, MixedPrecision) and plugin.scaler is None:
        Precision.clip_gradients(plugin, optimizer, largest or 0.0)
    else:
        plugin.clip_gradients(optimizer, largest or 0.0)


def build(
    method: nn.Module, config: MethodConfig, total_steps: int, only: Iterable[nn.Parameter] | None = None
) -> dict[str, Any]:
    """What Lightning's `configure_optimizers` returns: one optimiser and a rate that changes every step.

    Args:
        method: its trainable parameters are optimised; see the module for their groups.
        config: see `MethodConfig`.
        total_steps: steps from first to last.
        only: these of the method's parameters, where it has several optimisers; by default all.

    Raises:
        InputError: nothing to train, or an unknown name.
    """
    optimizer = make_optimizer(method, config, only)
    shape = config.schedule, config.warmup, config.rate_start, config.rate_end, config.drops, config.tail
    starts = method.cycles(total_steps) if isinstance(method, Method) else (0,)

    def factor(step: int) -> float:
        here, steps = place_in_cycle(step, total_steps, starts)
        return rate_factor(here, steps, *shape)

    schedule = LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def place_in_cycle(step: int, total: int, starts: Sequence[int]) -> tuple[int, int]:
    """Step within its cycle, and the steps of that cycle.

    Args:
        starts: first steps of the cycles, rising from 0 (Loshchilov and Hutter, "SGDR", ICLR 2017, section 3).
    """
    number = bisect.bisect_right(starts, max(step, 0)) - 1
    begin = starts[number]
    return step - begin, (starts[number + 1] if number + 1 < len(starts) else total) - begin


def renew_rates(schedule: LambdaLR) -> None:
    """Give the optimiser the rates that the schedule has for its present step.

    A checkpoint holds those of the schedule that it was written under; where the schedule is the same, so are they.
    """
    lambdas: Sequence[Any] = schedule.lr_lambdas
    rates = [base * factor(schedule.last_epoch) for base, factor in zip(schedule.base_lrs, lambdas, strict=True)]
    for group, rate in zip(schedule.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    schedule._last_lr = rates


def make_optimizer(
    method: nn.Module, config: MethodConfig, only: Iterable[nn.Parameter] | None = None
) -> torch.optim.Optimizer:
    """The optimiser of a config over the trainable parameters of a method; see `build`."""
    groups = parameter_groups(method, config, only)
    if not groups:
        raise InputError(f"{type(method).__name__} has no trainable parameters, so there is nothing to optimise.")
    rate = config.learning_rate
    betas = (config.beta1, config.beta2)
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=rate, betas=betas, eps=config.epsilon, fused=True)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=betas, eps=config.epsilon, fused=True)
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=rate, alpha=config.beta2, eps=config.epsilon)
    if config.optimizer == "sgd":
        nesterov = config.nesterov and config.momentum > 0
        return torch.optim.SGD(groups, lr=rate, momentum=config.momentum, nesterov=nesterov, fused=True)
    if config.optimizer in ("muon", "muon-sgd"):
        rest = "adamw" if config.optimizer == "muon" else "sgd"
        for group in groups:
            if group["name"] == "encoder":
                group.update(rule="muon", momentum=config.muon_momentum)
            else:
                group.update(rule=rest, momentum=config.momentum)
        return Muon(
            groups,
            lr=rate,
            nesterov=config.nesterov,
            ns_steps=5 if config.optimizer == "muon" else 3,
            unit_filters=config.optimizer == "muon-sgd",
            betas=betas,
            eps=config.epsilon,
        )
    if config.optimizer == "lars":
        for group in groups:
            group["always_adapt"] = group["name"] != "vectors"
        return Lars(groups, lr=rate, momentum=config.momentum, trust_coeff=config.trust, trust_clip=config.trust_clip)
    raise InputError(f"There is no optimiser named {config.optimizer!r}; there are: {', '.join(OPTIMIZERS)}.")


def parameter_groups(
    method: nn.Module, config: MethodConfig, only: Iterable[nn.Parameter] | None = None
) -> list[dict[str, Any]]:
    """Groups `encoder`, `heads` (filters and matrices) and `vectors`, with decay and rate; empty ones left out."""
    trainable = [p for p in (method.parameters() if only is None else only) if p.requires_grad]
    encoder = getattr(method, "encoder", None)
    inner = set(encoder.parameters()) if isinstance(encoder, nn.Module) else set()
    weights = [p for p in trainable if p.ndim >= 2]
    # Where all is decayed, the decay of a step is the same for all, whatever the rates: so the published recipes.
    everywhere = config.weight_decay if config.decay_all else 0.0
    parts = (
        ("encoder", [p for p in weights if p in inner], 1.0, config.weight_decay),
        ("heads", [p for p in weights if p not in inner], config.head_rate, config.weight_decay / config.head_rate),
        ("vectors", [p for p in trainable if p.ndim < 2], config.bias_rate, everywhere / config.bias_rate),
    )
    own = method.rate_factors() if isinstance(method, Method) else {}
    groups = []
    for name, params, factor, decay in parts:
        for depth in sorted({own.get(p, 1.0) for p in params}, reverse=True):
            chosen = [p for p in params if own.get(p, 1.0) == depth]
            rate = config.learning_rate * factor * depth
            groups.append({"name": name, "params": chosen, "lr": rate, "weight_decay": decay})
    return groups


def rate_factor(
    step: int,
    total: int,
    schedule: str,
    warmup: float,
    start: float,
    end: float,
    drops: Sequence[tuple[float, float]] = (),
    tail: float = 1.0,
) -> float:
    """Learning rate of a step as a share of the peak, taken at the middle of the step.

        constant:    1
        cosine:      end + (1 - end) (1 + cos(π u)) / 2
        triangular:  1 + (end - 1) u
        step:        f_k from the share s_k of all steps on, 1 before s_1; after the share `tail`, on a line from there
                     to `end`

    where u runs from 0 to 1 after the warmup; in the warmup all of them rise linearly from `start` to 1.

    Args:
        step: 0 .. total - 1 (later steps are taken for the last one).
        total: steps in all.
        warmup: share of the steps.
        start, end: shares of the peak.
        drops: pairs (s_k, f_k), s_k rising; epoch e of E begins at the share e / E.
        tail: share of the steps; 1 = no line.
    """
    if schedule not in SCHEDULES:
        raise InputError(f"There is no schedule named {schedule!r}; there are: {', '.join(SCHEDULES)}.")
    time = (min(max(step, 0), total - 1) + 0.5) / max(total, 1)
    if time < warmup:
        return start + (1.0 - start) * time / warmup
    if schedule == "constant":
        return 1.0
    if schedule == "step":
        level = max(((share, factor) for share, factor in drops if share <= min(time, tail)), default=(0.0, 1.0))[1]
        return level if time < tail else level + (end - level) * (time - tail) / (1.0 - tail)
    done = (time - warmup) / max(1.0 - warmup, 1e-12)
    if schedule == "cosine":
        return end + (1.0 - end) * (1.0 + math.cos(math.pi * done)) / 2.0
    return 1.0 + (end - 1.0) * done
