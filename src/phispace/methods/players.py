"""A step in which several optimisers take turns, each with a loss of its own, as in adversarial training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from phispace.errors import InputError

if TYPE_CHECKING:
    from phispace.methods.base import Batch, Method


def take_turns(
    method: Method, batch: Batch, optimizers: Any, schedules: Any, backward: Callable[[Tensor], Any]
) -> dict[str, Tensor]:
    """Let each player of a method make its step.

    Args:
        optimizers, schedules: one a player, in their order.
        backward: of the trainer, or `Tensor.backward`.

    Returns:
        the terms of all, and `loss`, the sum of their losses.

    Raises:
        InputError: another number of optimisers than of players.
    """
    players, total = method.players, None
    made = [list(things) if isinstance(things, Iterable) else [things] for things in (optimizers, schedules)]
    if any(len(things) != len(players) for things in made):
        raise InputError(
            f"{type(method).__name__} has the players {', '.join(players)}; got {len(made[0])} optimisers and "
            f"{len(made[1])} schedules."
        )
    terms: dict[str, Tensor] = {}
    # The generator stands last: it goes on only after the step before it was made.
    for _, optimizer, schedule, found in zip(players, *made, method.turns(batch), strict=True):
        loss = found["loss"]
        optimizer.zero_grad()
        backward(loss)
        optimizer.step()
        schedule.step()
        torch.clear_autocast_cache()  # which holds the weights as they were, in bf16, until autocast ends
        total = loss.detach() if total is None else total + loss.detach()
        terms |= {name: value for name, value in found.items() if name != "loss"}
    return {"loss": total, **terms} if total is not None else terms
