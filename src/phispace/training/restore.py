"""A trained method back from its run, without the images."""

from __future__ import annotations

import torch

from phispace.errors import DataError
from phispace.methods.base import Method
from phispace.methods.borrowed import restored
from phispace.run import Run
from phispace.training.assemble import build_method, read_task, to_be_filled_later
from phispace.training.checkpoints import load_weights, read_record
from phispace.training.config import RunConfig


def load_method(run: Run, checkpoint: str = "best") -> Method:
    """The method of a run with a checkpoint's weights, in evaluation mode, on the CPU.

    Args:
        run: the run.
        checkpoint: a checkpoint's name, `best` or `last`.

    Raises:
        RunError: no such checkpoint.
        DataError: damaged weights, or weights that do not fit the configuration.
        InputError: the method or encoder is not registered here.
    """
    place = run.checkpoint(checkpoint)
    if "task" not in run.record:
        raise DataError(f"{run.path / 'run.json'} does not say what the run was trained for (no `task`).")
    config = RunConfig.build(run.config)
    record = read_record(place)
    if not record.get("borrowed"):  # all weights are in the checkpoint
        config = to_be_filled_later(config)
    with torch.random.fork_rng(devices=[]):
        method = build_method(config, read_task(run.record["task"]))
    setattr(method, "run_seed", config.training.seed)  # noqa: B010 (as in assemble.make_method)
    method.borrows = bool(record.get("borrowed"))
    weights = restored(load_weights(place), method.state_dict(), method.borrowed, record)
    try:
        method.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise DataError(f"{place} does not fit the run's configuration: {error}") from error
    return method.eval()
