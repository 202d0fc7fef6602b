"""Beginning with the weights of another run's encoder: for fine-tuning what was learnt without labels, or elsewhere."""

from __future__ import annotations

from typing import Any

import torch

from phispace.errors import InputError
from phispace.methods.base import Method
from phispace.run import Run
from phispace.training.checkpoints import WEIGHTS, load_weights, read_record
from phispace.training.restore import load_method

_PREFIX = "encoder."


def start_from(method: Method, start: str) -> dict[str, Any]:
    """Give a method's encoder the weights of a trained one, its normalisation of the pixels included.

    Args:
        method: new; its encoder has the names and shapes of the run's. Heads and decoders stay as they are.
        start: path of the run, with `@CHECKPOINT` for another than the best.

    Returns:
        what the record of the new run says of it.

    Raises:
        InputError: an encoder that does not fit. RunError, DataError: no such run or checkpoint, or a damaged one.
    """
    path, _, checkpoint = start.partition("@")
    run = Run.open(path)
    place = run.checkpoint(checkpoint or "best")
    weights = load_weights(place)
    if read_record(place).get("borrowed"):
        weights = load_method(run, place.name).state_dict()
    state = {k.removeprefix(_PREFIX): v for k, v in weights.items() if k.startswith(_PREFIX)}
    own = method.encoder.state_dict()
    wrong = [k for k in {**own, **state} if k not in own or k not in state or own[k].shape != state[k].shape]
    if wrong:
        name = wrong[0]
        ours, theirs = (tuple(s[name].shape) if name in s else "nothing" for s in (own, state))
        raise InputError(
            f"The encoder of {path} does not fit this one: {name} is {theirs} there and {ours} here. "
            "Take the same encoder with the same options, for images of the same size."
        )
    with torch.no_grad():
        method.encoder.load_state_dict(state)
    digest = str(read_record(place)["sha256"][WEIGHTS])
    method.encoder.began(f"{run.name}/{place.name}", digest)
    return {"run": str(path), "id": run.record.get("id"), "checkpoint": place.name, "weights_sha256": digest}
