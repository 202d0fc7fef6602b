"""Which precision `auto` means: measured on this machine, said, and recorded.

On a CPU with bfloat16 instructions a few steps are timed in float32 and in bf16 autocast, on a copy of the method, so
that the training itself sees nothing of it. Small networks are often slower in bf16.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import Any

import torch

from phispace.encoders.build import multiply_adds
from phispace.methods.base import Batch, Method
from phispace.provenance import cpu_flags

FLOAT32, BF16 = "32-true", "bf16-mixed"
_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
#: bf16 must be this much faster to be taken: less is within what a busy machine's timings vary.
WORTH_IT = 1.2
_STEPS, _SECONDS = 8, 8.0
#: Multiply-adds of a batch's forward pass under which bf16 is not tried: the conversions cost more than they save.
SMALL = 200e6


@dataclass(frozen=True)
class Choice:
    """A precision by Lightning's name, and why."""

    precision: str
    reason: str
    seconds: dict[str, float]


def choose_precision(method: Method, batch: Batch, *, accelerator: str, world: int) -> Choice:
    """What `auto` means here.

    Args:
        method: untrained; it is copied.
        batch: a training batch, on the CPU.
        accelerator: `cpu`, `cuda`, `mps` ...
        world: processes; with several nothing is measured, so that all choose the same.
    """
    if accelerator != "cpu":
        if accelerator == "cuda" and torch.cuda.is_bf16_supported():
            return Choice(BF16, "the GPU computes in bf16", {})
        return Choice(FLOAT32, f"no bf16 on {accelerator}", {})
    if not cpu_flags() & _BF16_FLAGS:
        return Choice(FLOAT32, "this processor has no bf16 instructions", {})
    if world > 1:
        return Choice(BF16, "the processor has bf16 instructions (not measured with several processes)", {})
    work = multiply_adds(method.encoder) * len(batch.labels)
    if work < SMALL:
        return Choice(FLOAT32, f"a batch takes {work / 1e6:.0f} million multiply-adds, too few for bf16 to pay", {})
    seconds = _measure(method, batch)
    ratio = seconds[FLOAT32] / seconds[BF16]
    times = f"a step takes {seconds[FLOAT32]:.4f} s in float32 and {seconds[BF16]:.4f} s in bf16"
    return Choice(BF16 if ratio >= WORTH_IT else FLOAT32, times, seconds)


def _measure(method: Method, batch: Batch) -> dict[str, float]:
    """Shortest time of a step in both precisions, taken in turns."""
    steps = {name: _step(copy.deepcopy(method), batch, name) for name in (FLOAT32, BF16)}
    best = dict.fromkeys(steps, float("inf"))
    begin = time.perf_counter()
    with torch.random.fork_rng(devices=[]):
        for number in range(1 + _STEPS):  # the first is not counted
            for name, step in steps.items():
                start = time.perf_counter()
                step()
                if number:
                    best[name] = min(best[name], time.perf_counter() - start)
            if number and time.perf_counter() - begin > _SECONDS:
                break
    return best


def _step(method: Method, batch: Batch, precision: str) -> Any:
    method.train()
    optimizer: torch.optim.Optimizer | None = None
    if method.automatic_optimization:
        made = method.configure_optimizers()
        optimizer = made["optimizer"] if isinstance(made, dict) else made

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == BF16):
            loss = method.loss_terms(batch)["loss"]
        method.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if isinstance(optimizer, torch.optim.Optimizer):
            optimizer.step()

    return step
